"""Recursive PAC-Bayes (pb.rpb): each posterior is certified by what it gains over a multiple of the one before."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.variance import RPB
from ...theory.validation import finite, log_inverse_delta, non_negative, sample_size, unit_interval
from ..certified.kl_inverse import kl_upper
from ..certified.multinomial_kl import multinomial_kl_upper
from ..certified.nml import log_nml_upper
from ..certified.outward import add_up, div_up, log_up, mul_up, sub_up
from .certificate import Certificate
from .issue import issue, scalar, spend
from .seeger import CONSTANTS, complexity

DRAWS_EVENT = "Monte-Carlo pairs, all frequencies of all parts"
FORMS = ("vector", "split")


@dataclass(frozen=True)
class RecursiveStep:
    """One step t >= 2: `frequencies` (F_1, F_2, F_3) are means, over the examples of parts t..T and over h ~ pi_t, h' ~ pi_(t-1), of
    loss(h) - gamma loss(h') being >= 0, >= 1 - gamma and >= 1; kl = KL(pi_t||pi_(t-1)) in nats; n = examples in parts t..T."""

    gamma: float
    frequencies: tuple[float, float, float]
    kl: float
    n: int

    def __post_init__(self) -> None:
        g = float(finite("gamma", scalar("gamma", self.gamma)))
        if not 0 < g <= 1:
            raise InvalidInput(f"gamma is {g:g}.", "It lies in (0, 1].")
        f = unit_interval("frequencies", self.frequencies)
        if f.shape != (3,) or (f[1:] > f[:-1]).any() or (g == 1 and f[0] != f[1]):
            raise InvalidInput(
                f"frequencies is {self.frequencies!r}.",
                "Three numbers, not increasing: of excess >= 0, >= 1 - gamma, >= 1 (the first two are equal at gamma = 1).",
            )
        divergence, size = float(non_negative("kl", scalar("kl", self.kl))), sample_size("n", self.n)
        for name, value in (("gamma", g), ("frequencies", tuple(f.tolist())), ("kl", divergence), ("n", size)):
            object.__setattr__(self, name, value)


def recursive_pac_bayes(
    *,
    risk: float,
    kl: float,
    n: int,
    steps: Sequence[RecursiveStep],
    delta: float | None = None,
    log_inv_delta: float | None = None,
    form: Literal["vector", "split"] = "vector",
    constant: Literal["exact", "2sqrt"] = "exact",
    pairs: int | None = None,
    draws_delta: float | None = None,
) -> Certificate:
    """Certificate for the true Gibbs risk of the last posterior pi_T, 0-1 losses. `inputs["bounds"]` holds B_1..B_T.

    Parameters
    ----------
    risk, kl, n: empirical Gibbs risk of pi_1, KL(pi_1||pi_0) in nats, examples in all parts.
    steps: what the later posteriors gain, T - 1 of them, in order.
    delta, log_inv_delta: failure probability, shared equally by the T parts; exactly one.
    form: "split": three binary inverses for each step, as published; "vector": the relative entropy of the four frequencies at once.
    constant: "exact" for xi(n), "2sqrt" for 2 sqrt(n) (with form="split": the published bound).
    pairs, draws_delta: where risk and frequencies come from draws, each gets an upper limit first, UP(F, ln(3 T/draws_delta)/pairs).
        pairs is the number of draws from pi_t x pi_(t-1) that every example meets, or draws n/b where parts of the examples, the
        largest of b, have draws of their own (as in `gibbs_monte_carlo`); the smallest over the parts t.

    Raises `InvalidInput`. Source: Wu, Zhang, Cherief-Abdellatif and Seldin 2024; the vector form is derived here.
    """
    q, size = float(unit_interval("risk", scalar("risk", risk))), sample_size("n", n)
    first_kl = float(non_negative("kl", scalar("kl", kl)))
    later: list[Any] = list(steps) if isinstance(steps, list | tuple) else [steps]
    if not all(isinstance(step, RecursiveStep) for step in later):
        raise InvalidInput(
            "steps are no RecursiveStep objects.", "Build them with RecursiveStep(gamma, frequencies, kl, n)."
        )
    if form not in FORMS or constant not in CONSTANTS:
        raise InvalidInput(f"form is {form!r} and constant {constant!r}.", f"Choose of {FORMS} and {CONSTANTS}.")
    if form == "vector" and constant != "exact":
        raise InvalidInput("The vector form has the exact constant.", 'Use form="split" for the published one.')
    if (pairs is None) != (draws_delta is None):
        raise InvalidInput("pairs and draws_delta belong together.", "Give both, or neither for exact frequencies.")
    if any(b.n >= a for a, b in zip([size, *(s.n for s in later)], later, strict=False)):
        raise InvalidInput("The numbers of examples do not fall.", "n_t counts parts t..T.")
    count = 1 + len(later)
    level = add_up(log_inverse_delta(delta, log_inv_delta), log_up(float(count)))
    spent = [spend(event(t), None, level) for t in range(1, count + 1)]
    limit = 0.0
    if pairs is not None:
        draws = spend(DRAWS_EVENT, draws_delta)
        spent.append(draws)
        limit = div_up(add_up(draws.log_inv_delta, log_up(3.0 * count)), float(sample_size("pairs", pairs)))
    bounds = [float(kl_upper(float(kl_upper(q, limit)), complexity(first_kl, size, level, constant)))]
    for step in later:
        gain = _vector(step, level, limit) if form == "vector" else _split(step, level, constant, limit)
        bounds.append(add_up(gain, mul_up(float(step.gamma), bounds[-1])))
    given: dict[str, Any] = {
        "risk": q, "kl": first_kl, "n": size, "form": form, "constant": constant, "log_inv_delta": level,
        "gammas": tuple(float(s.gamma) for s in later),
        "frequencies": tuple(float(x) for s in later for x in s.frequencies),
        "kls": tuple(float(s.kl) for s in later),
        "ns": tuple(int(s.n) for s in later),
        "bounds": tuple(bounds),
    }  # fmt: skip
    if pairs is not None:
        given |= {"pairs": int(pairs), "draws_log_inv_delta": spent[-1].log_inv_delta}
    return issue(RPB, bounds[-1], quantity="true Gibbs risk", spent=spent, inputs=given)


def event(t: int) -> str:
    """Name of the t-th PAC-Bayes event in the ledger."""
    return f"recursive PAC-Bayes, part {t}"


def _split(step: RecursiveStep, level: float, constant: Literal["exact", "2sqrt"], limit: float) -> float:
    gamma = float(step.gamma)
    c = complexity(float(step.kl), step.n, add_up(level, log_up(3.0)), constant)
    heights = (gamma, sub_up(1.0, gamma), gamma)
    parts = [
        mul_up(a, float(kl_upper(float(kl_upper(float(f), limit)), c)))
        for a, f in zip(heights, step.frequencies, strict=True)
    ]
    return add_up(-gamma, *parts)


def _vector(step: RecursiveStep, level: float, limit: float) -> float:
    gamma = float(step.gamma)
    if math.isinf(step.kl):
        return 1.0
    # limits keep the order of the frequencies, also where the rounding of an inverse would not
    third, second, first = itertools.accumulate((float(kl_upper(f, limit)) for f in step.frequencies[::-1]), max)
    # 1 - gamma is rounded up: a larger value cannot lower the largest mean
    values = [1.0, sub_up(1.0, gamma), 0.0, -gamma]
    frequencies = [third, second - third, first - second, 1.0 - first]
    if gamma == 1:  # 1 - gamma and 0 are one outcome
        values, frequencies = [1.0, 0.0, -1.0], [third, first - third, 1.0 - first]
    c = div_up(add_up(float(step.kl), float(log_nml_upper(len(values), step.n)), level), float(step.n))
    # each difference of frequencies is right to half an ulp of itself, which moves the mean of values in [-1, 1] by a few ulps of 1
    return add_up(float(multinomial_kl_upper(frequencies, values, c)), 2.0**-48)
