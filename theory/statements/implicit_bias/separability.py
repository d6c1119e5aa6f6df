"""What theorems on separable classification assume. Labels are absorbed into the rows x_n of the design, x_n := y_n x_n."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...statement import Assumption

ROUNDING = 1e-10  # relative; margins and dual weights below it count as ties


def _dual(rows: np.ndarray) -> np.ndarray | None:
    """Dual weights of min ||w||^2 subject to rows w >= 1 by non-negative least squares; None where inseparable."""
    from scipy.optimize import nnls

    size = float(np.linalg.norm(rows, axis=1).max(initial=0.0))
    if size == 0:
        return None
    system = np.vstack([rows.T / size, np.ones(len(rows))])
    guess = nnls(system, np.eye(len(system))[-1], maxiter=30 * len(rows))[0]
    nearest = rows.T @ guess / guess.sum()
    squared = float(nearest @ nearest)
    if squared <= (ROUNDING * size) ** 2 or (rows @ nearest).min() <= 0:
        return None
    return np.asarray(guess / guess.sum() / squared)


def _support(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    dual = _dual(rows)
    return None if dual is None else (dual, rows @ (rows.T @ dual) <= 1 + ROUNDING)


def _separable(setting: Any) -> bool:
    return _dual(setting.design) is not None


def _generic(setting: Any) -> bool:
    found = _support(setting.design)
    if found is None:
        return False
    dual, support = found
    independent = np.linalg.matrix_rank(setting.design[support]) == support.sum()
    return bool(independent and (dual[support] > ROUNDING * dual.sum()).all())


def _spanning(setting: Any) -> bool:
    found = _support(setting.design)
    if found is None:
        return False
    return bool(np.linalg.matrix_rank(setting.design[found[1]]) == np.linalg.matrix_rank(setting.design))


def _small_step(setting: Any) -> bool:
    with np.errstate(over="ignore"):
        loss = float(np.exp(-(setting.design @ setting.initial)).sum())
    return bool(0 < setting.step * (setting.design**2).sum(axis=1).max() * loss <= 1)


SEPARABLE = Assumption("separable", "Some w has x_n^T w > 0 for every row.", _separable)
GENERIC_SUPPORT = Assumption(
    "generic support vectors", "The rows of margin 1 are independent and carry positive dual weights alpha.", _generic
)
SPANNING_SUPPORT = Assumption(
    "spanning support vectors", "The rows of margin 1 span all rows of the design.", _spanning
)
EXPONENTIAL_LOSS = Assumption("exponential loss", "The loss is the sum over examples of exp(-x_n^T w).")
SMALL_STEP = Assumption("small step", "0 < eta <= 1/(B^2 L(w_0)), B the length of the longest row.", _small_step)
GRADIENT_FLOW = Assumption(
    "gradient flow", "Time is continuous; for descent with a small step the claim is checked, not derived."
)
