"""Inputs on which a kl inverse goes wrong if it can: both ends of [0, 1], complements, every scale of v = -ln((1-p)/(1-q))."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def hard_inputs(size: int, rng: np.random.Generator) -> tuple[Float64, Float64, Float64]:
    """(q, 1-q, c) with c in [1e-25, 300]; in about half of them c is placed so that v is spread over [1e-6, 300]."""
    family = rng.integers(0, 6, size)
    decades = np.select([family == 0, family == 1, family == 2], [320.0, 17.0, 4.0], 1.0)
    small = 10 ** -(decades * rng.random(size))
    small = np.where(family == 3, rng.random(size), small)
    small = np.where(family == 4, rng.choice([0.0, 5e-324, 1e-300, 1e-16, 2.0**-53, 2.0**-54, 0.25, 0.5], size), small)
    flip = rng.random(size) < 0.5
    q, qc = np.where(flip, 1 - small, small), np.where(flip, small, 1 - small)
    c = 10 ** rng.uniform(-25, np.log10(300), size)
    v = 10 ** rng.uniform(-6, np.log10(300), size)
    with np.errstate(all="ignore"):
        aimed = qc * v - q * np.log1p(-qc * np.expm1(-v) / q)
    usable = (rng.random(size) < 0.6) & (aimed > 1e-25) & (aimed < 300)
    return q, qc, np.where(usable, aimed, c)
