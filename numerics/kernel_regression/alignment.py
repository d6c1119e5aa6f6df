"""Alignment of a kernel with labels (iw.alignment)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.validation import finite


def alignment(*, gram: Any, labels: Any, centred: bool) -> float:
    """`y^T K y/(|K|_F |y|^2)`, or centred `y^T C K C y/(|C K C|_F |C y|^2)` with C = I - 11^T/n.

    `gram` (n, n) symmetric positive semi-definite, `labels` (n,). In [0, 1]; 1 iff K (or CKC) is proportional to yy^T
    (Cyy^TC). Labels are centred too, or 1 could not be reached. Source: Cristianini et al. 2001; Cortes et al. 2012.
    Raises InvalidInput where the denominator is 0.
    """
    k, y = finite("gram", gram, ndim=2), finite("labels", labels, ndim=1)
    if k.shape != (len(y), len(y)) or not len(y):
        raise InvalidInput(f"gram has shape {k.shape} for {len(y)} labels.", "Pass the Gram matrix of the same inputs.")
    if np.abs(k - k.T).max() > 1e3 * len(y) * np.finfo(np.float64).eps * np.abs(k).max():
        raise InvalidInput("gram is not symmetric.", "Pass a Gram matrix.")
    k_scale, y_scale = float(np.abs(k).max()), float(np.abs(y).max())
    if not k_scale or not y_scale:
        raise InvalidInput("gram or labels are 0.", "Alignment needs a direction on both sides.")
    k, y = k / k_scale, y / y_scale
    if centred:
        rounding = 8 * len(y) * np.finfo(np.float64).eps
        y = y - y.mean()
        k = k - k.mean(axis=0, keepdims=True)
        k = k - k.mean(axis=1, keepdims=True)
        if np.linalg.norm(y) <= rounding or np.linalg.norm(k) <= rounding * len(y):
            raise InvalidInput("gram or labels are constant.", "Nothing is left after centring: use centred=False.")
    value = float(y @ k @ y / (np.linalg.norm(k) * (y @ y)))
    rounding = 8 * len(y) * np.finfo(np.float64).eps
    if not -rounding <= value <= 1 + rounding:
        raise InvalidInput(f"The alignment is {value:.3g}.", "A positive semi-definite matrix gives one in [0, 1].")
    return value
