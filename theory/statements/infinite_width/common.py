"""Infinite width: what its theorems assume. NTK parametrisation, W and b standard normal, loss half the sum of squares, unit rate."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...statement import Assumption


def _positive_definite(setting: Any) -> bool:
    """Distinct inputs; without any bias also none at 0, and no two that every network maps to proportional outputs: positive
    multiples of one another under max(z,0), which is homogeneous, and opposite ones under erf, which is odd."""
    train = np.asarray(setting.train, dtype=np.float64)
    if len(np.unique(train, axis=0)) < len(train):
        return False
    if any(scale != 0 for scale in setting.bias_scale):
        return True
    norms = np.linalg.norm(train, axis=1)
    if (norms == 0).any():
        return False
    if setting.activation == "erf":
        return not any((a == -b).all() for i, a in enumerate(train) for b in train[:i])
    return len(np.unique(np.round(train / norms[:, None], 12), axis=0)) == len(train)


NTK_PARAMETRISATION = Assumption(
    "NTK parametrisation", "Layer l is sw_l/sqrt(fan in) W h + sb_l b with entries of W and b independent N(0, 1)."
)
LIPSCHITZ = Assumption("activation", "phi is Lipschitz; the closed forms of its dual are the rows `iw.dual.*`.")
WIDTHS_IN_ORDER = Assumption("widths", "The hidden widths tend to infinity one after the other, from the input on.")
READOUT_TRAINED = Assumption("readout", "Readout weights and readout bias are drawn from N(0, 1) and trained.")
SUM_LOSS = Assumption("loss convention", "The loss is 1/2 sum (f - y)^2, without 1/N, and gradient flow has unit rate.")
POSITIVE_DEFINITE = Assumption(
    "T_XX positive definite",
    "T_XX is invertible: distinct inputs, and without biases none at 0, no two positive multiples (max(z,0)) or opposites (erf).",
    _positive_definite,
)
SAME_ARCHITECTURE = Assumption("one architecture", "Predictor and target are independent draws of one architecture.")
FULL_BATCH = Assumption(
    "full-batch descent", "Gradient flow or small-step descent on all parameters; no Adam, no normalisation."
)
LINEAR_MODEL = Assumption(
    "linear in its parameters",
    "f(x) = f0(x) + J(x)(theta - theta0) with a fixed J: an infinitely wide network in the NTK parametrisation, or the linearisation of "
    "any network; T = J J^T, and K is the covariance of f0.",
)
POSITIVE_DEFINITE_KERNEL = Assumption("invertible kernel", "T_XX is positive definite.")
