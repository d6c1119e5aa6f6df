"""Variational training on one example with the exponential loss, in closed form.

One labelled row x, b = ||x||^2, margin mean m = x^T mu and factor s = S^T x. Under gradient flow s e^m is conserved, and
time is explicit: with Y = e^m and c = ||s_0||^2 e^{2 m_0}/2,

    b t = F(e^m) - F(e^{m_0}),      F(Y) = Y exp(-c/Y^2) + sqrt(pi c) erf(sqrt(c)/Y),      F'(Y) = exp(-c/Y^2).

Rows that are orthogonal to each other are independent copies. Derived in `proofs/implicit_bias/classification`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .gaussian_law import GaussianLaw


def time_to_margin(row: Any, prior: GaussianLaw, margin: float) -> float:
    """The time of gradient flow at which x^T mu reaches `margin` >= x^T mu_0, in units of inverse squared length of the row."""
    x, start, spread = _start(row, prior)
    goal = float(finite("margin", margin, ndim=0))
    if goal < start:
        raise InvalidInput(f"margin {goal:g} lies below the start {start:g}.", "Margins only grow.")
    return _elapsed(goal, start, spread) / float(x @ x)


def law_at_time(row: Any, prior: GaussianLaw, time: float) -> GaussianLaw:
    """The law after `time` >= 0 of gradient flow: mu_0 + x (m - m_0)/b and S_0 + x (s - s_0)^T/b, s = s_0 e^{-(m - m_0)}."""
    from scipy.optimize import brentq

    x, start, spread = _start(row, prior)
    squared = float(x @ x)
    t = float(finite("time", time, ndim=0))
    if t < 0:
        raise InvalidInput(f"time is {t:g}.", "It must not be negative.")
    target = squared * t
    # F' <= 1, and F' >= exp(-|s_0|^2/2) from the start on: the margin lies between these two logarithms
    low = start + math.log1p(target * math.exp(-start))
    high = start + math.log1p(target * math.exp(-start + spread / 2))
    margin = (
        low
        if spread == 0 or target == 0
        else brentq(
            lambda m: _elapsed(m, start, spread) - target,
            low - 1e-9,
            high + 1e-9,
            xtol=1e-15,
            rtol=8.9e-16,
            maxiter=300,
        )
    )
    gained = margin - start
    s = prior.factor.T @ x
    return GaussianLaw(
        prior.mean + x * (gained / squared), prior.factor + np.outer(x, s * math.expm1(-gained)) / squared
    )


def _start(row: Any, prior: GaussianLaw) -> tuple[Float[np.ndarray, " parameters"], float, float]:
    x = finite("row", row, ndim=1)
    if x.shape != prior.mean.shape or not x.any():
        raise InvalidInput(f"row has shape {x.shape} or is zero.", "Pass one labelled row, one entry per parameter.")
    s = prior.factor.T @ x
    return x, float(x @ prior.mean), float(s @ s)


def _elapsed(margin: float, start: float, spread: float) -> float:
    """F(e^m) - F(e^{m_0}) in units of e^{m_0}: nothing overflows before e^(m - m_0) does."""
    gained, c = margin - start, spread / 2

    def f(y: float) -> float:
        return y * math.exp(-c / y**2) + math.sqrt(math.pi * c) * math.erf(math.sqrt(c) / y)

    return math.exp(start) * (f(math.exp(gained)) - f(1.0))
