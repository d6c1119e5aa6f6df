"""The joint C-bound (pb.mv_cbound) and Chebyshev-Cantelli (pb.mv_cc): two voters drawn from the weights either both err (e), or exactly one
does (d), or none (s = 1-d-e), and KL((dh,eh)||(d,e)) <= c confines (d, e).

Both are maxima of a function f of the three outcomes, f_e (2 wrong), f_d, f_s, over that set. Weak duality bounds such a maximum by every
b >= max f (Jensen on sum u_i ln((b - f_i) p_i/u_i) <= ln(b - f.p)): f.p <= b - exp(sum_i u_i ln(b - f_i) - c). So whatever number the search for
a good b returns, the value is an upper bound; it is rounded outward step by step. For the joint C-bound R <= E(1 + a(2 err - 1))^2 for
every a > 0 (Chebyshev-Cantelli with a = 1/(1-2 mu)), that is f = ((1+a)^2, 1-a^2, (1-a)^2): the best a is searched as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.majority_vote import MV_CBOUND, MV_CC
from ...theory.validation import finite, non_negative, sample_size
from ..certified.kl_inverse import kl_upper
from ..certified.maurer import maurer_xi_upper
from ..certified.outward import add_up, div_up, expm1_down, log1p_down, log_down, log_up, mul_down, mul_up
from .certificate import Certificate
from .issue import issue, scalar, spend
from .majority_vote import PAIR_EVENT, QUANTITY, Constant, Rate, consistent, exact_rate, rate_down, rate_up, stored
from .pair_search import best_slope, best_top, largest_means_half
from .seeger import complexity

Method = Literal["trinomial", "kl"]
METHODS = ("trinomial", "kl")
TRINOMIAL_EVENT = "PAC-Bayes trinomial kl over the sample, pairs of voters"


def pair_complexity(kl: float, n: int, log_inv_delta: float) -> float:
    """(2 kl + ln((xi(n) + n)/delta))/n, rounded up."""
    return div_up(add_up(2 * kl, log_up(add_up(float(maurer_xi_upper(n)), float(n))), log_inv_delta), float(n))


def dual_upper(
    joint_error: Fraction, disagreement: Fraction, c: float, f: tuple[Fraction, ...], excess: float
) -> float:
    """At least the maximum of f_e e + f_d d + f_s s over KL((dh,eh)||(d,e)) <= c, by the dual at b = max f + excess, rounded up.

    f = (f_e, f_d, f_s) and the empirical frequencies are exact; any excess >= 0 is sound.
    """
    top = max(f)
    b = add_up(rate_up(top), excess)
    exact = Fraction(b)
    if b == 0:
        return 0.0
    terms = []
    for value, share in zip(f, (joint_error, disagreement, 1 - joint_error - disagreement), strict=True):
        if not share:
            continue
        gap = exact - value  # >= 0
        if gap <= 0:
            return math.inf  # an outcome that was seen cannot be given away
        logarithm = log1p_down(rate_down(-value / exact)) if gap > exact / 2 else log_down(rate_down(gap / exact))
        terms.append(mul_down(rate_up(share) if logarithm < 0 else rate_down(share), logarithm))
    exponent = -add_up(c, *(-term for term in terms))
    return max(0.0, mul_up(b, -expm1_down(exponent)))


def majority_vote_cbound_joint(
    *,
    joint_error: Rate,
    disagreement: Rate,
    kl: float,
    n: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Certificate for the risk of a weighted majority vote: the largest C-bound 1 - (1-2e-d)^2/(1-2d) over the probabilities e (two voters
    err together) and d (exactly one errs) with KL((dh,eh)||(d,e)) <= (2 kl + ln((xi(n)+n)/delta))/n.

    Parameters
    ----------
    joint_error, disagreement: empirical frequencies eh and dh for two voters drawn from the weights, floats or exact `Fraction`s. They add
        up to 1 at most.
    kl: KL(rho||prior) of the weights of one voter, in nats (it counts twice).
    n: number of examples that each pair of voters was judged on (the smallest such number).
    delta, log_inv_delta: probability that this event fails, or ln of its inverse; exactly one.

    The value is 1 where the set contains a law with L >= 1/2. It is never above the tandem-type bound 4 max e nor above any
    `majority_vote_chebyshev_cantelli` of the same event. Raises `InvalidInput`. Source: Germain et al. 2015; dual form derived here.
    """
    both, one, divergence, size = _frequencies(joint_error, disagreement, kl, n)
    spent = spend(TRINOMIAL_EVENT, delta, log_inv_delta)
    c = pair_complexity(divergence, size, spent.log_inv_delta)
    inputs = {
        "joint_error": stored(both),
        "disagreement": stored(one),
        "kl": divergence,
        "n": size,
        "log_inv_delta": spent.log_inv_delta,
    }
    return issue(MV_CBOUND, joint_upper(both, one, c), quantity=QUANTITY, spent=(spent,), inputs=inputs)


def joint_upper(both: Fraction, one: Fraction, c: float) -> float:
    """The joint C-bound at complexity c, rounded up."""
    if largest_means_half(float(both), float(one), c):
        return 1.0
    shift, excess = best_slope(float(both), float(one), c)
    t = Fraction(shift)  # a - 1: the three values keep their digits near a = 1
    return consistent(min(1.0, dual_upper(both, one, c, ((2 + t) ** 2, -t * (2 + t), t * t), excess)))


def majority_vote_chebyshev_cantelli(
    *,
    joint_error: Rate,
    disagreement: Rate,
    kl: float,
    n: int,
    mu: float | Sequence[float],
    delta: float | None = None,
    log_inv_delta: float | None = None,
    method: Method = "trinomial",
    constant: Constant = "exact",
) -> Certificate:
    """Certificate for the risk of a weighted majority vote: an upper bound on E (err - mu)^2/(1/2 - mu)^2, the least over the given mu < 1/2.

    Parameters
    ----------
    joint_error, disagreement, kl, n, delta, log_inv_delta: as `majority_vote_cbound_joint`.
    mu: one number below 1/2 or several. With "trinomial" they may be chosen after seeing the data (the event holds for all of them);
        with "kl" they must be fixed in advance, and G of them cost ln G.
    method: "trinomial" bounds the mean of the three values mu^2, -mu(1-mu), (1-mu)^2 on the set of `majority_vote_cbound_joint`; "kl" rescales
        them to [0, 1] and inverts binary kl, with ln(G xi(n)/delta) (`constant="2sqrt"`: 2 sqrt(n) for xi(n)).

    Raises `InvalidInput`. Source: Wu et al. 2021, with other concentration inequalities.
    """
    if method not in METHODS:
        raise InvalidInput(f"method is {method!r}.", f"Choose one of {METHODS}.")
    both, one, divergence, size = _frequencies(joint_error, disagreement, kl, n)
    grid = tuple(float(x) for x in finite("mu", mu).ravel())
    if not grid or max(grid) >= 0.5:
        raise InvalidInput(f"mu is {mu!r}.", "Give one number below 1/2, or several.")
    spent = spend(TRINOMIAL_EVENT if method == "trinomial" else PAIR_EVENT, delta, log_inv_delta)
    level = spent.log_inv_delta
    if method == "trinomial":
        value = min(_one_mu(both, one, pair_complexity(divergence, size, level), Fraction(x)) for x in grid)
    else:
        paid = add_up(level, log_up(float(len(grid))))
        c = complexity(2 * divergence, size, paid, constant)
        value = min(_rescaled(both, one, c, Fraction(x)) for x in grid)
    inputs = {
        "joint_error": stored(both),
        "disagreement": stored(one),
        "kl": divergence,
        "n": size,
        "mu": grid,
        "log_inv_delta": level,
        "method": method,
        "constant": constant,
    }
    return issue(MV_CC, consistent(value), quantity=QUANTITY, spent=(spent,), inputs=inputs)


def values_at(mu: Fraction) -> tuple[Fraction, Fraction, Fraction]:
    """(x-mu)(x'-mu)/(1/2-mu)^2 for two voters' errors x, x': both err, one errs, none."""
    scale = (Fraction(1, 2) - mu) ** 2
    return (1 - mu) ** 2 / scale, -mu * (1 - mu) / scale, mu * mu / scale


def _one_mu(both: Fraction, one: Fraction, c: float, mu: Fraction) -> float:
    if math.isinf(c):
        return rate_up(max(values_at(mu)))
    f = values_at(mu)
    return dual_upper(both, one, c, f, best_top(float(both), float(one), c, (float(f[0]), float(f[1]), float(f[2]))))


def _rescaled(both: Fraction, one: Fraction, c: float, mu: Fraction) -> float:
    f = values_at(mu)
    low, high = min(f), max(f)
    weights = [(x - low) / (high - low) for x in f]
    mean = weights[0] * both + weights[1] * one + weights[2] * (1 - both - one)
    upper = float(kl_upper(min(1.0, rate_up(mean)), c))
    return max(0.0, rate_up(low + (high - low) * Fraction(upper)))


def _frequencies(joint_error: Any, disagreement: Any, kl: Any, n: Any) -> tuple[Fraction, Fraction, float, int]:
    both, one = exact_rate("joint_error", joint_error), exact_rate("disagreement", disagreement)
    if both + one > 1:
        raise InvalidInput(
            f"joint_error and disagreement add up to {float(both + one)!r}.",
            "They are frequencies of disjoint outcomes.",
        )
    return both, one, float(non_negative("kl", scalar("kl", kl))), sample_size("n", n)
