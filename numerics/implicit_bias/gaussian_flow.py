"""The flow that variational training without a divergence follows: steepest descent of the expected loss in W2.

Gradient flow on mean and factor, mean' = -E grad l and factor' = -G factor with G = E Hess l, moves the covariance by
Sigma' = -(G Sigma + Sigma G): the 2-Wasserstein gradient flow of L(q) = E_q l, restricted to Gaussian laws, of any rank.
Its speed is |grad L| = (||E grad l||^2 + ||G factor||_F^2)^{1/2}, L falls at the rate |grad L|^2, and for convex losses no
Gaussian law q' has L(q') below L(q) - |grad L| W2(q, q'). The entropy term of an ELBO would add 2 I to Sigma': leaving it
out is leaving out the diffusion. Losses and shapes are those of `expected_losses`. Derived in `proofs/implicit_bias`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.integrate import solve_ivp

from ...theory.errors import InvalidInput, NumericalFailure
from ...theory.validation import finite
from .expected_losses import Loss, expected_hessian, expected_loss
from .gaussian_law import GaussianLaw, covariance
from .least_squares import design_matrix


@dataclass(frozen=True, eq=False)
class FlowVelocity:
    """mean' (parameters,), Sigma' (parameters, parameters) and the speed |grad L| in units of the weights per unit of time."""

    mean: Float[np.ndarray, " parameters"]
    covariance: Float[np.ndarray, "parameters parameters"]
    speed: float


def flow_velocity(design: Any, law: GaussianLaw, *, loss: Loss, targets: Any = None) -> FlowVelocity:
    """Where the flow moves `law`: mean' = -E grad l, Sigma' = -(G Sigma + Sigma G). Raises as `expected_loss` does."""
    found = expected_loss(design, law, loss=loss, targets=targets)
    moved = expected_hessian(design, law, loss=loss, targets=targets) @ covariance(law)
    speed = float(np.hypot(np.linalg.norm(found.mean_gradient), np.linalg.norm(found.factor_gradient)))
    return FlowVelocity(-found.mean_gradient, -(moved + moved.T), speed)


def gaussian_flow(
    design: Any,
    law: GaussianLaw,
    *,
    loss: Loss,
    times: Sequence[float],
    targets: Any = None,
    tolerance: float = 1e-11,
) -> list[GaussianLaw]:
    """The laws at increasing times >= 0 of the flow on (mean, factor) from `law`, by an eighth-order Runge-Kutta method.

    `tolerance` is its relative local error. For the squared loss `ensemble_law.ensemble_flow_law` has a closed form.
    Raises `NumericalFailure` when the integrator gives up.
    """
    x = design_matrix(design)
    marks = finite("times", times, ndim=1)
    if not marks.size or marks.min() < 0 or (np.diff(marks) <= 0).any():
        raise InvalidInput(f"times is {times!r}.", "Pass one or more increasing times, 0 or later.")
    if not 1e-13 <= float(finite("tolerance", tolerance, ndim=0)) < 1:
        raise InvalidInput(f"tolerance is {tolerance!r}.", "Local errors can be held between 1e-13 and 1.")
    expected_loss(x, law, loss=loss, targets=targets)  # refuses bad input before any work
    shape = (len(law.mean), 1 + law.factor.shape[1])

    def slope(_: float, state: np.ndarray) -> np.ndarray:
        table = state.reshape(shape)
        found = expected_loss(x, GaussianLaw(table[:, 0], table[:, 1:]), loss=loss, targets=targets)
        return -np.column_stack([found.mean_gradient, found.factor_gradient]).ravel()

    start = np.column_stack([law.mean, law.factor]).ravel()
    if marks[-1] == 0:
        return [law]
    scale = float(np.abs(start).max()) or 1.0
    run = solve_ivp(
        slope, (0.0, float(marks[-1])), start, method="DOP853", t_eval=marks, rtol=tolerance, atol=tolerance * scale
    )
    if not run.success or run.y.shape[1] != len(marks):
        raise NumericalFailure(f"The flow could not be integrated: {run.message}", "Scale the data or the factor down.")
    return [GaussianLaw(state.reshape(shape)[:, 0], state.reshape(shape)[:, 1:]) for state in run.y.T]
