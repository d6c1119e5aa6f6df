"""Lazy training by output scale: descent on alpha (f - f0) as descent on f itself, with other labels (iw.feature_vs_lazy)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...theory.errors import InvalidInput
from ...theory.validation import finite


@dataclass(frozen=True)
class LazyProblem:
    """Train the plain network f on `targets` with `step_size_sum_loss`; then alpha (f - f0) is what the scaled model predicts."""

    targets: NDArray[np.float64]
    step_size_sum_loss: float


def lazy_problem(*, initial: Any, labels: Any, alpha: float, scaled_step_size_sum_loss: float) -> LazyProblem:
    """The plain problem equivalent to training `alpha (f - f0)` on labels y with `1/2 sum (alpha (f - f0) - y)^2`.

    Targets `f0 + y/alpha`, step `alpha^2` times the scaled problem's: a step eta of the scaled loss moves the parameters by
    `eta alpha^2 ((f - f0) - y/alpha) grad f`. The usual choice, a step divided by alpha^2, is then one fixed step here.
    `initial` f0(X) and `labels` y of one shape; alpha > 0. Centring matters: without it alpha f0 grows with alpha and
    nothing becomes lazy. Source: Chizat et al. 2019.
    """
    f0, y = finite("initial", initial), finite("labels", labels)
    if f0.shape != y.shape:
        raise InvalidInput(f"initial has shape {f0.shape} and labels {y.shape}.", "They must agree.")
    scale, step = (
        float(finite(name, value, ndim=0))
        for name, value in (("alpha", alpha), ("scaled_step_size_sum_loss", scaled_step_size_sum_loss))
    )
    if scale <= 0 or step <= 0:
        raise InvalidInput(f"alpha is {scale:g} and the step {step:g}.", "Both are positive.")
    return LazyProblem(f0 + y / scale, step * scale * scale)
