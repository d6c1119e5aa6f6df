"""The rate function I(a) = sup over l >= 0 of {l a - J(l)}: n I(a) is the exponent of P(mean - average >= a)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...theory.validation import finite
from .cgf import FAR, cumulants
from .laws import FiniteLaw, Law, models, saturation
from .newton import solve_tilt

FloatArray = NDArray[np.float64]


def rate(losses: ArrayLike | Law, a: ArrayLike, *, weights: ArrayLike | None = None) -> Any:
    """I(a) of each model: 0 for a <= 0, ln(1/P(loss = minimum)) at a = mean - minimum, infinite above.

    losses and weights as for `inverse_rate`; a: one number, or one for each model. The tilt solves J'(l) = a by Newton's steps
    in ln l inside a bracket; l a - J(l) is flat there. One row gives a scalar. Raises `InvalidInput`. Statement pb.cramer.
    """
    law = losses if isinstance(losses, Law) else FiniteLaw(losses, weights)
    count = models(law)
    wanted = np.broadcast_to(finite("a", a), (count,)).astype(np.float64)
    gap = np.asarray(law.gap)
    inside = (wanted > 0) & (wanted < gap)
    target = np.where(inside, wanted, 1.0)

    def residual(tilt: FloatArray) -> tuple[FloatArray, FloatArray]:
        found = cumulants(law, tilt)
        return found.slope - target, tilt * found.curvature

    tilt = solve_tilt(residual, np.where(inside, target / np.where(law.variance > 0, law.variance, 1.0), 1.0), ~inside)
    found = cumulants(law, tilt)
    # far out l a - J = l (a - gap) - ln mean w without cancellation
    with np.errstate(invalid="ignore"):
        far = tilt * gap > FAR
        value = np.where(
            far & ~np.isnan(found.offset), tilt * (target - gap - found.offset), tilt * target - found.value
        )
    value = np.where(inside, value, np.where(wanted <= 0, 0.0, np.where(wanted == gap, saturation(law), np.inf)))
    scalar = np.ndim(a) == 0 and count == 1 and not (isinstance(law, FiniteLaw) and np.ndim(law.losses) == 2)
    return value[0] if scalar else value
