"""Training with the lambda bound on finitely many hypotheses: best posterior at fixed lambda, best lambda at fixed posterior, in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...theory.validation import log_inverse_delta, sample_size, unit_interval
from .catoni import parameter
from .gibbs_posterior import gibbs_posterior, prior_weights
from .relaxations import best_lambda, bound_slope
from .seeger import complexity

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Alternation:
    """Where the alternation stopped.

    `bounds` are the values of the lambda bound after every half-step, which never increase but for rounding; `gradient` is the
    derivative in lambda, at the last lambda, of the bound minimised over Q: 0 at a stationary point, of which there may be several.
    """

    weights: FloatArray
    lam: float
    risk: float
    kl: float
    bounds: FloatArray
    gradient: float


def alternate_lambda(
    *,
    risks: Any,
    n: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
    prior: Any = None,
    lam: float = 1.0,
    steps: int = 1000,
    constant: Literal["exact", "2sqrt"] = "exact",
) -> Alternation:
    """Minimise the lambda bound over all posteriors on finitely many hypotheses, starting from `lam` in (0, 2).

    risks: array (hypotheses,) of empirical risks in [0, 1] over n examples. prior: their prior weights, uniform by default.
    Stops when neither half-step lowers the bound, or after `steps`. An objective, not a certificate: give the weights' risk and KL to
    `seeger_kl` or `thiemann_lambda`. Only under strong quasiconvexity is the minimum unique: look at `gradient`, and try other
    starts. Raises `InvalidInput`. Source: Thiemann et al. 2017.
    """
    r = unit_interval("risks", risks)
    p = prior_weights(prior, r.size)
    size, level = sample_size("n", n), log_inverse_delta(delta, log_inv_delta)
    current = min(parameter("lam", lam), np.nextafter(2.0, 0.0))
    trace: list[float] = []
    for _ in range(sample_size("steps", steps)):
        posterior = gibbs_posterior(losses=r, prior=p, beta=current * size)
        c = complexity(posterior.kl, size, level, constant)
        trace.append(_value(posterior.mean, c, current))
        following = best_lambda(posterior.mean, c)
        trace.append(_value(posterior.mean, c, following))
        if following == current or (len(trace) > 2 and trace[-1] >= trace[-3]):
            break
        current = following
    return Alternation(
        posterior.weights,
        current,
        posterior.mean,
        posterior.kl,
        np.array(trace),
        bound_slope(posterior.mean, c, current),
    )


def _value(risk: float, c: float, lam: float) -> float:
    return (risk + c / lam) / (1 - lam / 2)
