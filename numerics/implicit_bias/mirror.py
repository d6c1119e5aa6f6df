"""Where mirror descent ends: the interpolating solution nearest to the start in the Bregman divergence of its potential.

Mirror descent with potential psi moves theta = grad psi(w) against the gradient of the loss, so theta - theta_0 stays in the
row space of the design. If it reaches X w = y, w = grad psi*(theta_0 + X^T nu) minimises D_psi(w, w_0) over all solutions;
nu minimises the convex dual psi*(theta_0 + X^T nu) - y^T nu, here by damped Newton steps. Potentials are sums over
coordinates. Diagonal linear networks p*p - n*n started at p = n = alpha are the potential `hypentropy(2 alpha^2)` from 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ...theory.errors import AssumptionViolated, InvalidInput, NumericalFailure
from .least_squares import least_squares_problem

RESIDUAL_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Potential:
    """A strictly convex potential, coordinate by coordinate: theta = dual(w), w = primal(theta), dw/dtheta = slope(theta).

    conjugate(theta) is psi* of one coordinate; `positive` says that weights must be positive.
    """

    name: str
    dual: Callable[[np.ndarray], np.ndarray]
    primal: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    conjugate: Callable[[np.ndarray], np.ndarray]
    positive: bool = False


EUCLIDEAN = Potential("euclidean", lambda w: w, lambda t: t, np.ones_like, lambda t: t * t / 2)
ENTROPY = Potential("entropy", np.log, np.exp, np.exp, np.exp, positive=True)


def hypentropy(scale: float) -> Potential:
    """theta = asinh(w/scale): like the Euclidean potential where |w| is far below the scale, like an l1 norm far above it."""
    if not (isinstance(scale, int | float | np.floating) and math.isfinite(scale) and scale > 0):
        raise InvalidInput(f"scale is {scale!r}.", "It must be a positive finite number.")
    b = float(scale)
    return Potential(
        f"hypentropy({b:g})",
        lambda w: np.arcsinh(w / b),
        lambda t: b * np.sinh(t),
        lambda t: b * np.cosh(t),
        lambda t: b * np.cosh(t),
    )


def bregman_solution(
    design: Any, targets: Any, initial: Any, *, potential: Potential
) -> Float[np.ndarray, " parameters"]:
    """argmin D_psi(w, w_0) subject to X w = y, for any design with independent rows or consistent targets.

    Shapes as in `least_squares`. Newton's method on the dual with step halving, to a residual of 1e-12 relative to
    |X| |w| + |y|. Raises `AssumptionViolated` when no admissible w interpolates, `NumericalFailure` when Newton stalls.
    """
    x, y, start = least_squares_problem(design, targets, initial)
    if potential.positive and start.min() <= 0:
        raise InvalidInput(
            "initial has entries that are not positive.", f"The {potential.name} potential needs w_0 > 0."
        )
    theta = potential.dual(start)
    nu, size = np.zeros(len(y)), float(np.linalg.norm(y))
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(500):
            at = theta + x.T @ nu
            w = potential.primal(at)
            residual, scale = x @ w - y, size + float(np.linalg.norm(np.abs(x) @ np.abs(w)))
            if np.linalg.norm(residual) <= RESIDUAL_TOLERANCE * scale / 10:
                return np.asarray(w)
            move = -np.linalg.lstsq((x * potential.slope(at)) @ x.T, residual, rcond=1e-14)[0]
            value, fall = float(potential.conjugate(at).sum() - y @ nu), float(residual @ move)
            length = 1.0
            while length > 1e-12:
                there = theta + x.T @ (nu + length * move)
                new = float(potential.conjugate(there).sum() - y @ (nu + length * move))
                # near the solution the values agree to rounding, and only the residual still tells steps apart
                smaller = np.linalg.norm(x @ potential.primal(there) - y) <= 0.5 * np.linalg.norm(residual)
                if new <= value + 1e-4 * length * fall or (length == 1 and smaller):
                    break
                length /= 2
            nu = nu + length * move
            if not np.isfinite(nu).all() or np.abs(theta + x.T @ nu).max() > 600:
                break
    last = float(np.linalg.norm(residual))
    if last <= RESIDUAL_TOLERANCE * scale:
        return np.asarray(w)
    fit = x @ np.linalg.lstsq(x, y, rcond=None)[0] - y
    if potential.positive or np.linalg.norm(fit) > 1e-8 * scale:
        raise AssumptionViolated(
            f"The dual of the Bregman projection does not converge (residual {last:.1e}): no admissible w interpolates.",
            "ib.mirror needs a solution of X w = y (a positive one for the entropy); drop or soften targets.",
        )
    raise NumericalFailure(
        f"Newton's method stalled at the residual {last:.1e}.", "Rescale the design or the potential."
    )


def diagonal_network_limit(design: Any, targets: Any, *, alpha: float) -> Float[np.ndarray, " parameters"]:
    """Where gradient flow on p*p - n*n from p = n = alpha ends if it interpolates: argmin sum q(beta_i/alpha^2), X beta = y.

    q(z) = 2 - sqrt(4 + z^2) + z asinh(z/2). Near the least l2 norm for large alpha, near the least l1 norm for small.
    """
    if not (isinstance(alpha, int | float | np.floating) and math.isfinite(alpha) and alpha > 0):
        raise InvalidInput(f"alpha is {alpha!r}.", "It must be a positive finite number.")
    x = np.asarray(design, dtype=np.float64)
    zero = np.zeros(x.shape[1] if x.ndim == 2 else 0)
    return bregman_solution(design, targets, zero, potential=hypentropy(2 * float(alpha) ** 2))


def diagonal_network_potential(beta: Any, *, alpha: float) -> float:
    """Q_alpha(beta) = alpha^2 sum q(beta_i/alpha^2), which the limit minimises."""
    z = np.asarray(beta, dtype=np.float64) / alpha**2
    return float(alpha**2 * (2 - np.sqrt(4 + z * z) + z * np.arcsinh(z / 2)).sum())
