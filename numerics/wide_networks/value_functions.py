"""Uncertainty of value functions learned by temporal differences, and of one known query, in infinitely wide networks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...theory.errors import AssumptionViolated, InvalidInput
from ...theory.validation import finite
from .congruence import image_covariance
from .ensemble import smoother
from .gram import EPS, GramBlocks, Matrix
from .policy import clipped_variances


class DivergingTD(AssumptionViolated):
    """Temporal differences have no limit here. `eigenvalues` (N,) complex are those of T_XX - D T_X'X."""

    def __init__(self, eigenvalues: Any) -> None:
        self.eigenvalues = eigenvalues
        super().__init__(
            f"The least real part of an eigenvalue of T_XX - gamma T_X'X is {float(eigenvalues.real.min()):.3g}: "
            "semi-gradient descent diverges.",
            "Use a smaller discount, other transitions (on-policy ones from one long run), or a target network.",
        )


@dataclass(frozen=True)
class TransitionKernel:
    """Gram matrix of one kernel over (test, X, X'), (S+2N, S+2N), with N transitions from X to X'."""

    joint: Matrix
    transitions: int

    @property
    def tests(self) -> int:
        """S, the number of test points."""
        return len(self.joint) - 2 * self.transitions


def transition_kernel(name: str, joint: Any, *, transitions: int) -> TransitionKernel:
    """Checked Gram matrix over (test, X, X'). Raises InvalidInput for an asymmetric one or one that is too small."""
    matrix = finite(name, joint, ndim=2)
    if matrix.shape[0] != matrix.shape[1] or not 0 < 2 * transitions < len(matrix):
        raise InvalidInput(f"{name} has shape {matrix.shape} for {transitions} transitions.", "Pass (S+2N, S+2N).")
    if np.abs(matrix - matrix.T).max() > 1e3 * len(matrix) * EPS * np.abs(matrix).max():
        raise InvalidInput(f"{name} is not symmetric.", "Pass a Gram matrix.")
    return TransitionKernel((matrix + matrix.T) / 2, int(transitions))


def td_matrix(ntk: TransitionKernel, discount: Any) -> Matrix:
    """Delta = T_XX - D T_X'X, (N, N): the residuals of semi-gradient flow decay like exp(-t Delta).

    `discount` is gamma, one number or one per transition; D = diag(gamma), with 0 where the transition is terminal.
    """
    s, n = ntk.tests, ntk.transitions
    gamma = _discounts(discount, n)
    found: Matrix = ntk.joint[s : s + n, s : s + n] - gamma[:, None] * ntk.joint[s + n :, s : s + n]
    return found


def td_smoother(ntk: TransitionKernel, discount: Any) -> Matrix:
    """G_U = T_*X Delta^{-1}, (S, N): trained by semi-gradient temporal differences, f = f0 + G_U (r + D f0(X') - f0(X)).

    Raises DivergingTD unless every eigenvalue of Delta has a positive real part beyond rounding.
    """
    delta = td_matrix(ntk, discount)
    _refuse_divergence(delta)
    s, n = ntk.tests, ntk.transitions
    return np.asarray(np.linalg.solve(delta.T, ntk.joint[:s, s : s + n].T).T, dtype=np.float64)


def td_mean(ntk: TransitionKernel, rewards: Any, *, discount: Any) -> Matrix:
    """Mean (S,) over members of the learned value function at the test points, T_*X Delta^{-1} r."""
    r = finite("rewards", rewards, ndim=1)
    if len(r) != ntk.transitions:
        raise InvalidInput(f"There are {len(r)} rewards for {ntk.transitions} transitions.")
    return td_smoother(ntk, discount) @ r


def td_covariance(nngp: TransitionKernel, ntk: TransitionKernel, *, discount: Any) -> Matrix:
    """Covariance (S, S) over members of the learned value function at the test points: M_U K M_U^T, M_U = [I, -G_U, G_U D].

    Formed from a factor of K. Rewards do not enter. Source: Zanger et al. 2025 (universal value-function
    uncertainties). Raises DivergingTD, InvalidInput.
    """
    if nngp.joint.shape != ntk.joint.shape or nngp.transitions != ntk.transitions:
        raise InvalidInput("The kernels have different points.", "Use the same test points and transitions.")
    g = td_smoother(ntk, discount)
    operator = np.concatenate([np.eye(len(g)), -g, g * _discounts(discount, ntk.transitions)], axis=1)
    return image_covariance(operator, nngp.joint)


def uvu_error_covariance(nngp: TransitionKernel, ntk: TransitionKernel, *, discount: Any) -> Matrix:
    """Covariance (S, S) of u - g when u learns by temporal differences from the rewards g(X) - D g(X') of a frozen g.

    Twice `td_covariance`: half the squared error is the variance of the value ensemble. With discount 0 it is
    distillation on X. Source: Zanger et al. 2025. Raises DivergingTD, InvalidInput.
    """
    return 2 * td_covariance(nngp, ntk, discount=discount)


def td_step_limit(ntk: TransitionKernel, *, discount: Any) -> float:
    """The step size (sum loss) below which semi-gradient steps converge: min 2 Re(l)/|l|^2 over eigenvalues l of Delta.

    Raises DivergingTD.
    """
    eigenvalues = _refuse_divergence(td_matrix(ntk, discount))
    return float((2 * eigenvalues.real / np.abs(eigenvalues) ** 2).min())


def csd_variance(ntk: GramBlocks) -> Matrix:
    """Posterior variances T(x,x) - q_x(x) at the test points, (S,), q_x the regression on the labels T(X, x).

    A centred network trained on these labels gives q_x; exact for a query x known before training. Source: Zanger et
    al. 2025 (contextual similarity distillation). A value below 0 within rounding is 0; beyond it NumericalFailure is
    raised. Raises SingularGram.
    """
    prediction = np.einsum("sn,sn->s", smoother(ntk), ntk.cross)
    found = np.diag(ntk.test) - prediction
    slack = 1e3 * len(ntk.train) * EPS * float(np.linalg.cond(ntk.train)) * float(np.diag(ntk.test).max())
    return clipped_variances("The posterior", found, tolerance=slack)


def _discounts(discount: Any, transitions: int) -> Matrix:
    gamma = finite("discount", discount)
    if gamma.shape not in ((), (transitions,)) or gamma.min() < 0 or gamma.max() > 1:
        raise InvalidInput(
            f"discount has shape {gamma.shape} or leaves [0, 1].",
            f"Pass one number or {transitions}, 0 where terminal.",
        )
    return np.broadcast_to(gamma, (transitions,)).astype(np.float64)


def _refuse_divergence(delta: Matrix) -> Any:
    eigenvalues = np.linalg.eigvals(delta)
    if not float(eigenvalues.real.min()) > len(delta) * EPS * math.sqrt((delta**2).sum()):
        raise DivergingTD(eigenvalues)
    return eigenvalues
