"""Bounds on the expected generalization gap by mutual information (pb.info_mi, pb.info_cmi, pb.info_cmi_kl): expectations, no delta."""

from __future__ import annotations

import math
from typing import Literal

from numpy.typing import ArrayLike

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.information import INFO_CMI, INFO_CMI_KL, INFO_MI
from ...theory.validation import finite, non_negative, sample_size, unit_interval
from ..certified import kl_lower_parts, kl_upper_parts
from ..certified.outward import add_down, add_up, div_up, log_down, mul_up, sqrt_up
from .certificate import Certificate
from .issue import Given, issue, scalar

GAP = "size of the expected generalization gap"
INTERPOLATING = "the training loss is 0, so also the expected true loss"
LOSS = "expected true loss"
FORMS = ("square_root", "interpolating")


def mutual_information(*, information: float, n: int, sigma: float) -> Certificate:
    """|E (L - Lh)| <= sqrt(2 sigma^2 I(W;S)/n).

    information: I(W;S) in nats between what was learned and the n examples (or an upper bound on it), n >= 1; sigma: every predictor's
    loss is sigma-sub-Gaussian under the data; (b - a)/2 for losses in [a, b]. Raises `InvalidInput`. Source: Xu and Raginsky 2017.
    """
    i, size, s = _information(information), sample_size("n", n), _sigma(sigma)
    value = mul_up(s, sqrt_up(div_up(2 * i, float(size))))  # 0 if s is, whatever i
    inputs: dict[str, Given] = {"form": "sample", "information": i, "n": size, "sigma": s}
    return issue(INFO_MI, value, quantity=GAP, spent=(), inputs=inputs, top=math.inf)


def individual_information(*, informations: ArrayLike, sigma: float) -> Certificate:
    """|E (L - Lh)| <= mean over i of sqrt(2 sigma^2 I(W;Z_i)): never above `mutual_information`.

    informations: I(W;Z_i) in nats for each of the n examples; sigma as there. Raises `InvalidInput`. Source: Bu, Zou and Veeravalli 2020.
    """
    each, s = non_negative("informations", finite("informations", informations, ndim=1)), _sigma(sigma)
    if not each.size:
        raise InvalidInput("No information was given.", "Give one number for each example.")
    value = mul_up(s, div_up(add_up(*(sqrt_up(2 * float(i)) for i in each)), float(each.size)))
    inputs: dict[str, Given] = {
        "form": "individual",
        "informations": tuple(map(float, each)),
        "n": int(each.size),
        "sigma": s,
    }
    return issue(INFO_MI, value, quantity=GAP, spent=(), inputs=inputs, top=math.inf)


def conditional_information(
    *, information: float, n: int, form: Literal["square_root", "interpolating"] = "square_root"
) -> Certificate:
    """|E (L - Lh)| <= sqrt(2 I/n) for losses in [0, 1], or E L <= I/(n ln 2) for a training loss that is surely 0 ("interpolating").

    information: in nats, I(W;U|supersample) or the evaluated I(losses;U|supersample), which is no larger: of n pairs of examples one each is
    trained on, U says which. n: number of pairs. Raises `InvalidInput`. Source: Steinke and Zakynthinou 2020.
    """
    if form not in FORMS:
        raise InvalidInput(f"form is {form!r}.", f"Choose one of {FORMS}.")
    i, size = _information(information), sample_size("n", n)
    quantity, value = GAP, sqrt_up(div_up(2 * i, float(size)))
    if form == "interpolating":
        quantity, value = f"{GAP} ({INTERPOLATING})", div_up(i, float(size))
        value = div_up(value, log_down(2.0))
    inputs: dict[str, Given] = {"form": form, "information": i, "n": size}
    return issue(INFO_CMI, value, quantity=quantity, spent=(), inputs=inputs)


def conditional_information_kl(*, risk: float, information: float, n: int) -> Certificate:
    """E L <= 2 UP(E Lh, I/n) - E Lh for losses in [0, 1], and >= 2 LO(E Lh, I/n) - E Lh.

    risk: the *expected* training loss E Lh, in [0, 1]; information: I(losses;U|supersample) or more, in nats; n: number of pairs.
    Raises `InvalidInput`. Source: Hellstrom and Durisi 2022.
    """
    q = float(unit_interval("risk", scalar("risk", risk)))
    i, size = _information(information), sample_size("n", n)
    upper = kl_upper_parts(q, div_up(i, float(size)))
    lower = kl_lower_parts(q, div_up(i, float(size)))
    value, least = add_up(float(upper.p), float(upper.gap)), add_down(float(lower.p), float(lower.gap))
    inputs = {"risk": q, "information": i, "n": size}
    return issue(INFO_CMI_KL, value, lower=max(0.0, least), quantity=LOSS, spent=(), inputs=inputs)


def _information(value: float) -> float:
    return float(non_negative("information", finite("information", scalar("information", value))))


def _sigma(value: float) -> float:
    return float(non_negative("sigma", finite("sigma", scalar("sigma", value))))
