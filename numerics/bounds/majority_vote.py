"""Bounds on the risk of a weighted majority vote: first order (pb.mv_fo), tandem (pb.mv_tandem), disagreement (pb.mv_dis), and the C-bound
of two intervals (pb.mv_ctandem). The joint C-bound and Chebyshev-Cantelli are in `cbound`."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.majority_vote import MV_CTANDEM, MV_DIS, MV_FO, MV_TANDEM
from ...theory.validation import log_inverse_delta, non_negative, sample_size, unit_interval
from ..certified.kl_inverse import kl_lower, kl_upper
from ..certified.outward import add_down, add_up, div_up, mul_down, sqrt_down, sub_up
from ..confidence import Spending, split_delta
from .certificate import Certificate
from .issue import issue, scalar, spend
from .seeger import complexity

QUANTITY = "risk of the majority vote"
RISK_EVENT = "PAC-Bayes-kl over the sample"
PAIR_EVENT = "PAC-Bayes-kl over the sample, pairs of voters"
FORMS = ("box", "separate")
_LN2_UP = math.nextafter(math.log(2), 1.0)

Constant = Literal["exact", "2sqrt"]
Form = Literal["box", "separate"]
Rate = float | Fraction | str


_QUOTIENT = re.compile(r"[0-9]{1,1000}(/[0-9]{1,1000})?")  # no exponents: "1e999999999" would never end


def exact_rate(name: str, value: Any) -> Fraction:
    """A frequency in [0, 1] exactly: a float as the binary fraction that it is, a `Fraction`, `Decimal` or "a/b" as it stands."""
    number = value
    if isinstance(value, str):
        if not _QUOTIENT.fullmatch(value):
            raise InvalidInput(f"{name} is {value[:40]!r}.", 'Give a number, or a quotient such as "3/70".')
        try:
            number = Fraction(value)
        except (ValueError, ZeroDivisionError) as error:
            raise InvalidInput(f"{name} is {value!r}.", 'Give a number, or a quotient such as "3/70".') from error
    if isinstance(number, Decimal) and not number.is_finite():
        raise InvalidInput(f"{name} is {number}.", "It is a frequency.")
    exact = Fraction(
        number if isinstance(number, Fraction | Decimal) else float(unit_interval(name, scalar(name, number)))
    )
    if not 0 <= exact <= 1:
        raise InvalidInput(f"{name} lies outside [0, 1].", "It is a frequency.")
    return exact


def stored(rate: Fraction) -> float | str:
    """How a certificate keeps it: as a float where it is one, else as the quotient that it is."""
    return float(rate) if Fraction(float(rate)) == rate else str(rate)


def rate_up(rate: Fraction) -> float:
    """The smallest float that is not below it."""
    nearest = float(rate)  # a quotient of whole numbers is correctly rounded
    return nearest if Fraction(nearest) >= rate else math.nextafter(nearest, math.inf)


def rate_down(rate: Fraction) -> float:
    """The largest float that is not above it."""
    nearest = float(rate)
    return nearest if Fraction(nearest) <= rate else math.nextafter(nearest, -math.inf)


def halves(first: str, second: str, delta: float | None, log_inv_delta: float | None) -> tuple[Spending, Spending]:
    """Two events that share a delta equally."""
    if delta is not None and log_inv_delta is None:
        shares = split_delta(delta, 0.5)
        return spend(first, shares[0]), spend(second, shares[1])
    level = add_up(log_inverse_delta(delta, log_inv_delta), _LN2_UP)
    return spend(first, None, level), spend(second, None, level)


def majority_vote_first_order(
    *,
    risk: Rate,
    kl: float,
    n: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
    constant: Constant = "exact",
) -> Certificate:
    """Certificate for the risk of a weighted majority vote: `value` = 2 UP(risk, (kl + ln(xi(n)/delta))/n).

    Parameters
    ----------
    risk: empirical Gibbs risk: the weighted mean of the voters' error frequencies, in [0, 1]. A float, or a
        `Fraction` where it is to be exact (the certificate keeps it as "a/b").
    kl: KL(rho||prior) of the voters' weights in nats, in [0, inf].
    n: number of examples that each voter was judged on (the smallest such number, where voters have examples of their own).
    delta, log_inv_delta: probability that this event fails, or ln of its inverse; exactly one.
    constant: "exact" for Maurer's xi(n), "2sqrt" for 2 sqrt(n).

    Raises `InvalidInput`. Source: Masegosa et al. 2020.
    """
    rate, divergence, size = _checked("risk", risk, kl, n)
    spent = spend(RISK_EVENT, delta, log_inv_delta)
    value = 2 * float(kl_upper(rate_up(rate), complexity(divergence, size, spent.log_inv_delta, constant)))
    inputs = {
        "risk": stored(rate),
        "kl": divergence,
        "n": size,
        "log_inv_delta": spent.log_inv_delta,
        "constant": constant,
    }
    return issue(MV_FO, value, quantity=QUANTITY, spent=(spent,), inputs=inputs)


def majority_vote_tandem(
    *,
    tandem: Rate,
    kl: float,
    n: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
    constant: Constant = "exact",
) -> Certificate:
    """Certificate for the risk of a weighted majority vote: `value` = 4 UP(tandem, (2 kl + ln(xi(n)/delta))/n).

    Parameters
    ----------
    tandem: empirical tandem loss: the frequency with which two voters drawn from the weights err together, in [0, 1].
    kl: KL(rho||prior) of the weights of one voter, in nats (it counts twice: voters are drawn in pairs).
    n: number of examples that each pair of voters was judged on (the smallest such number).
    Others as `majority_vote_first_order`. Raises `InvalidInput`. Source: Masegosa et al. 2020.
    """
    rate, divergence, size = _checked("tandem", tandem, kl, n)
    spent = spend(PAIR_EVENT, delta, log_inv_delta)
    value = 4 * float(kl_upper(rate_up(rate), complexity(2 * divergence, size, spent.log_inv_delta, constant)))
    inputs = {
        "tandem": stored(rate),
        "kl": divergence,
        "n": size,
        "log_inv_delta": spent.log_inv_delta,
        "constant": constant,
    }
    return issue(MV_TANDEM, value, quantity=QUANTITY, spent=(spent,), inputs=inputs)


def majority_vote_disagreement(
    *,
    risk: Rate,
    disagreement: Rate,
    kl: float,
    n: int,
    n_pairs: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
    constant: Constant = "exact",
) -> Certificate:
    """Certificate for the risk of a weighted majority (plurality) vote, with unlabelled examples: `value` =
    4 UP(risk, (kl + ln(2 xi(n)/delta))/n) - 2 LO(disagreement, (2 kl + ln(2 xi(n_pairs)/delta))/n_pairs).

    Parameters
    ----------
    risk, n: empirical Gibbs risk, and the number of labelled examples it was averaged over.
    disagreement, n_pairs: frequency with which two voters drawn from the weights differ, and the number of examples (labelled or not)
        that it was averaged over. With more than two classes two wrong voters may differ as well: the bound then gains.
    delta, log_inv_delta: probability for both events, half for each. Others as `majority_vote_first_order`. Raises `InvalidInput`.
    Source: Masegosa et al. 2020.
    """
    rate, divergence, size = _checked("risk", risk, kl, n)
    differ, _, pairs = _checked("disagreement", disagreement, kl, n_pairs, "n_pairs")
    spent = halves(RISK_EVENT, PAIR_EVENT, delta, log_inv_delta)
    levels = (spent[0].log_inv_delta, spent[1].log_inv_delta)
    upper = float(kl_upper(rate_up(rate), complexity(divergence, size, levels[0], constant)))
    lower = float(kl_lower(rate_down(differ), complexity(2 * divergence, pairs, levels[1], constant)))
    inputs = {
        "risk": stored(rate),
        "disagreement": stored(differ),
        "kl": divergence,
        "n": size,
        "n_pairs": pairs,
        "log_inv_deltas": levels,
        "constant": constant,
    }
    return issue(MV_DIS, consistent(sub_up(4 * upper, 2 * lower)), quantity=QUANTITY, spent=spent, inputs=inputs)


def majority_vote_cbound(
    *,
    risk: Rate,
    tandem: Rate,
    kl: float,
    n: int,
    n_pairs: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
    constant: Constant = "exact",
    form: Form = "box",
) -> Certificate:
    """Certificate for the risk of a weighted majority vote: the C-bound with L in [LO(risk), UP(risk)] and L2 in [LO(tandem), UP(tandem)].

    Parameters
    ----------
    risk, n: empirical Gibbs risk and its number of examples (kl + ln(2 xi(n)/delta)).
    tandem, n_pairs: empirical tandem loss and its number of examples (2 kl + ln(2 xi(n_pairs)/delta)).
    form: "box" for the largest C-bound of that box (never above 4 UP(tandem)); "separate" for numerator and denominator bounded separately,
        as in Masegosa et al. 2020: it is 1 unless UP(risk) < 1/2 and the denominator is positive.
    delta, log_inv_delta: probability for both events, half for each. Others as `majority_vote_first_order`. Raises `InvalidInput`.
    """
    if form not in FORMS:
        raise InvalidInput(f"form is {form!r}.", f"Choose one of {FORMS}.")
    rate, divergence, size = _checked("risk", risk, kl, n)
    pair, _, pairs = _checked("tandem", tandem, kl, n_pairs, "n_pairs")
    spent = halves(RISK_EVENT, PAIR_EVENT, delta, log_inv_delta)
    levels = (spent[0].log_inv_delta, spent[1].log_inv_delta)
    one, two = complexity(divergence, size, levels[0], constant), complexity(2 * divergence, pairs, levels[1], constant)
    low, high = float(kl_lower(rate_down(rate), one)), float(kl_upper(rate_up(rate), one))
    second = float(kl_upper(rate_up(pair), two))
    below = float(kl_lower(rate_down(pair), two))
    value = _box(low, high, second) if form == "box" else _separate(low, high, below, second)
    inputs = {
        "risk": stored(rate),
        "tandem": stored(pair),
        "kl": divergence,
        "n": size,
        "n_pairs": pairs,
        "log_inv_deltas": levels,
        "constant": constant,
        "form": form,
    }
    return issue(MV_CTANDEM, value, quantity=QUANTITY, spent=spent, inputs=inputs)


def consistent(value: float) -> float:
    """A risk is not negative: inputs for which a bound is (or is 0, which none can be) contradict each other."""
    if value <= 0:
        raise InvalidInput(
            "No voters can have these frequencies: they violate L^2 <= L2 or 4L >= 2D by more than chance allows.",
            "Check that all of them belong to the same weights and the same kind of examples.",
        )
    return value


def cantelli_up(mean: float, second: float) -> float:
    """At least (second - mean^2)/(second - mean + 1/4), whose denominator is positive and numerator not negative."""
    return div_up(sub_up(second, mul_down(mean, mean)), add_down(second, -mean, 0.25))


def _box(low: float, high: float, second: float) -> float:
    """The largest C-bound with L in [low, high] and L2 <= second; it grows in L2, and in L up to L = 2 L2 where it is 4 L2."""
    if second >= 0.25 and high >= 0.5:
        return 1.0
    if high < 2 * second:  # then high < 1/2, and high^2 < second
        return cantelli_up(high, second)
    # L^2 <= L2 for every law, so low above sqrt(second) contradicts the event: the tandem bound then says it more plainly
    if 2 * second < low < sqrt_down(second):
        return cantelli_up(low, second)
    return 4 * second


def _separate(low: float, high: float, second_low: float, second: float) -> float:
    denominator = add_down(second_low, -high, 0.25)
    # without the first test a vote whose voters all err together would be certified
    if not (high < 0.5 and denominator > 0):
        return 1.0
    return consistent(div_up(sub_up(second, mul_down(low, low)), denominator))


def _checked(name: str, rate: Any, kl: Any, n: Any, size_name: str = "n") -> tuple[Fraction, float, int]:
    return (
        exact_rate(name, rate),
        float(non_negative("kl", scalar("kl", kl))),
        sample_size(size_name, n),
    )
