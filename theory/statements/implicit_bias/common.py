"""Implicit bias: what its theorems assume. X is N x P with rows x_n^T, Q = X^+ X projects on its rows, P = I - Q on ker X."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...statement import Assumption


def _stable(setting: Any) -> bool:
    largest = float(np.linalg.norm(setting.design, 2)) if setting.design.size else 0.0
    return bool(0 < setting.step * largest**2 < 2)


STABLE_STEP = Assumption("stable step", "0 < eta < 2/h_max, h_max the largest eigenvalue of X^T X.", _stable)
HALF_SUM = Assumption(
    "loss convention", "The loss is half the sum of squared errors; steps for other conventions are converted first."
)
