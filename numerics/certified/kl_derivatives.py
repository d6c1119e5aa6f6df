"""Derivatives of the upper kl inverse, for training through a bound.

With g = p - q: dp/dc = p(1-p)/g and dp/dq = p(1-p)/g (ln(1 + g/q) - ln(1 - g/(1-q))), from differentiating kl(q||p) = c.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...theory.validation import non_negative
from .kl_inverse import kl_upper_parts
from .probability_pair import broadcast, probability_pair


class KlUpperDerivatives(NamedTuple):
    """dUP/dq and dUP/dc as float64 arrays, in [0, inf]."""

    dq: NDArray[np.float64]
    dc: NDArray[np.float64]


def kl_upper_derivatives(q: ArrayLike, c: ArrayLike, *, q_complement: ArrayLike | None = None) -> KlUpperDerivatives:
    """dUP/dq and dUP/dc, elementwise with broadcasting; arguments as `kl_upper`. Never clamped.

    Relative error of dc: that of p, 1-p and p-q together (`kl_newton`), since each enters once.
    Limits: q = 0 < c: dq = inf (clip q from below when training), dc = 1-p; c = 0: dq = 1, dc = inf for 0 < q < 1;
    q = 1 or c = inf: dc = 0 and dq = 0.
    """
    x, y = probability_pair("q", q, q_complement)
    x, y, divergence = broadcast(q=x, q_complement=y, c=non_negative("c", c))
    parts = kl_upper_parts(x, divergence, q_complement=y)
    with np.errstate(all="ignore"):
        slope = parts.p * (parts.complement / parts.gap)
        ascent = np.where(parts.gap < x, np.log1p(parts.gap / x), np.log(parts.p) - np.log(x))
        descent = np.where(parts.gap < y / 2, -np.log1p(-parts.gap / y), np.log(y) - np.log(parts.complement))
        dq = slope * (ascent + descent)
    still = divergence == 0
    top = (parts.complement == 0) & ~still
    dc = np.where(still, np.where(x == 0, 1.0, np.where(y == 0, 0.0, np.inf)), np.where(top, 0.0, slope))
    dq = np.where(still, 1.0, np.where(top, 0.0, np.where(x == 0, np.inf, dq)))
    return KlUpperDerivatives(dq[()], dc[()])
