"""Tilted weights of a batch, and what the derivative of mean + inverse rate makes of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...theory.validation import finite
from .inverse_rate import inverse_rate
from .laws import FiniteLaw

FloatArray = NDArray[np.float64]


def tilted_weights(losses: ArrayLike, s: float) -> FloatArray:
    """Weights proportional to e^{-l loss} at the optimal l of Iinv(s): uniform on the smallest losses where saturated.

    losses: one row; s >= 0 nats. Raises `InvalidInput`.
    """
    law = FiniteLaw(finite("losses", losses, ndim=1))
    tilt = float(np.ravel(inverse_rate(law, s).tilt)[0])
    above = law.above[0]
    w = np.where(above == 0, 1.0, 0.0) if np.isinf(tilt) else np.exp(-tilt * above)
    return np.asarray(w / w.sum())


def penalty_coefficients(losses: ArrayLike, s: float) -> FloatArray:
    """d(mean + Iinv(s))/d loss_i = 2/N - w_i, w the tilted weights (the envelope theorem: the tilt may be held fixed).

    So the gradient of the penalised loss on a batch is 2 E[d loss] - E_tilted[d loss]. Kind: objective, never a certificate.
    """
    w = tilted_weights(losses, s)
    return 2.0 / w.size - w
