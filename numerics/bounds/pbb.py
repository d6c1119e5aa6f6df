"""PAC-Bayes with backprop (pb.pbb): posterior draws, then the PAC-Bayes-kl bound, with both events in the ledger."""

from __future__ import annotations

import math
from typing import Literal

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.kl_bounds import PBB
from ...theory.validation import finite, log_inverse_delta, non_negative, sample_size, unit_interval
from ..certified import kl_upper
from ..certified.outward import add_up, div_up, log_up, mul_up
from .certificate import Certificate
from .issue import Given, issue, scalar, spend
from .monte_carlo import EVENT as DRAWS_EVENT
from .seeger import EVENT, complexity

SCALES_EVENT = "PAC-Bayes-kl over the sample, for every prior scale"
SIDES = ("two", "one")
LOG_ZETA_2 = 0.49770030247074537  # ln(pi^2/6), rounded up


def pbb(
    *,
    risk: float,
    draws: int,
    kl: float,
    n: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
    draws_delta: float | None = None,
    draws_log_inv_delta: float | None = None,
    sides: Literal["two", "one"] = "two",
    constant: Literal["exact", "2sqrt"] = "2sqrt",
    scale_index: int | None = None,
) -> Certificate:
    """Certificate for the true Gibbs risk: `value` = UP(UP(risk, ln(2/draws_delta)/draws), (kl + ln(2 sqrt(n)/delta))/n).

    Parameters
    ----------
    risk: mean over the draws of the empirical risk of the drawn predictor (each over all n examples), in [0, 1].
    draws: number of fresh posterior draws, fixed in advance.
    kl: KL(Q||P) in nats, in [0, inf].
    n: number of examples that `risk` was averaged over and that the prior never saw.
    delta, log_inv_delta: probability that the PAC-Bayes event fails; exactly one.
    draws_delta, draws_log_inv_delta: the same for the draws. The certificate holds with probability 1 - delta - draws_delta.
    sides: "two" for ln(2/draws_delta) as published; "one" for ln(1/draws_delta), which is enough.
    constant: "2sqrt" for 2 sqrt(n) as published; "exact" for xi(n).
    scale_index: j >= 1 if the prior's scale was picked from the fixed sequence j = 1, 2, ... after seeing the data (`prior_variance`):
        scale j has probability 6/(pi j)^2, which adds 2 ln j + ln(pi^2/6) to kl. None: the prior was fixed.

    Raises `InvalidInput`. Source: Perez-Ortiz et al. 2021; Dziugaite and Roy 2017 for the prior's scale.
    """
    q, m = float(unit_interval("risk", scalar("risk", risk))), sample_size("draws", draws)
    divergence, size = float(non_negative("kl", scalar("kl", kl))), sample_size("n", n)
    if sides not in SIDES:
        raise InvalidInput(f"sides is {sides!r}.", f"Choose one of {SIDES}.")
    scales = scale_index is not None
    outer = spend(SCALES_EVENT if scales else EVENT, delta, log_inv_delta)
    level = log_inverse_delta(draws_delta, draws_log_inv_delta, name="draws_delta")
    inner = spend(DRAWS_EVENT, draws_delta, None if draws_delta is not None else level)
    inputs: dict[str, Given] = {
        "risk": q,
        "draws": m,
        "kl": divergence,
        "n": size,
        "log_inv_delta": outer.log_inv_delta,
        "draws_log_inv_delta": level,
        "sides": sides,
        "constant": constant,
    }
    if scale_index is not None:
        j = sample_size("scale_index", scale_index)
        divergence = add_up(divergence, mul_up(2.0, log_up(j)), LOG_ZETA_2)
        inputs["scale_index"] = j
    c = complexity(divergence, size, outer.log_inv_delta, constant)
    gibbs = float(kl_upper(q, div_up(add_up(level, log_up(2.0)) if sides == "two" else level, m)))
    return issue(
        PBB,
        float(kl_upper(gibbs, c)),
        quantity="true Gibbs risk",
        spent=(inner, outer),
        inputs=inputs,
    )


def prior_variance(index: int, *, largest: float = 0.1, steps: float = 100.0) -> float:
    """Variance largest e^{-j/steps} of the j-th prior of the sequence j = 1, 2, ... (Dziugaite and Roy: 0.1 and 100).

    KL(Q||P) has to be computed with this very number. Raises `InvalidInput`, also for j < 1.
    """
    j = sample_size("index", index)
    return _positive("largest", largest) * math.exp(-j / _positive("steps", steps))


def scale_indices(variance: float, *, largest: float = 0.1, steps: float = 100.0) -> tuple[int, ...]:
    """The one or two members of the sequence next to a trained prior variance: compute the certificate at each, keep the smaller.

    Variances of `largest` or more have no j >= 1 before them and above e^{-1/steps} of it only one behind: those above `largest`
    are refused (their j would not be positive and its logarithm would be NaN).
    """
    scale, most = _positive("variance", variance), _positive("largest", largest)
    ratio = scale / most
    if ratio > 1:
        raise InvalidInput(
            f"The prior variance {scale:g} is above {most:g}, the largest of the sequence.",
            "Constrain it during training, or declare a larger one before seeing the data.",
        )
    j = -_positive("steps", steps) * math.log(ratio)
    return tuple(sorted({max(1, math.floor(j)), max(1, math.ceil(j))}))


def _positive(name: str, value: float) -> float:
    number = float(finite(name, scalar(name, value)))
    if number <= 0:
        raise InvalidInput(f"{name} is {number:g}.", "It is positive.")
    return number
