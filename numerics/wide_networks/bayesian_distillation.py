"""Bayesian random network distillation in the limit of infinite width: an error that is a posterior sample."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...theory.errors import InvalidInput, NumericalFailure
from ...theory.validation import finite, flag
from .congruence import checked_smoother, error_operator, image_covariance
from .ensemble import smoother
from .gram import EPS, GramBlocks, Matrix, gram_blocks, same_points
from .smoother import linear_smoother


def brnd_target_covariance(nngp: GramBlocks, ntk: GramBlocks) -> GramBlocks:
    """Covariance T - K of the target J(x) psi*, psi* Gaussian with its readout weights and bias set to 0.

    It is the tangent kernel's share of the hidden layers. Source: Zanger et al. 2026. Raises NumericalFailure when T - K
    has an eigenvalue below rounding: then K is not the readout's share, for example because its bias is frozen.
    """
    same_points(nngp, ntk)
    difference = ntk.joint() - nngp.joint()
    eigenvalues = np.linalg.eigvalsh(difference)
    tolerance = len(difference) * EPS * float(np.linalg.norm(ntk.joint(), 2))
    if eigenvalues[0] < -tolerance:
        raise NumericalFailure(
            f"T - K has the eigenvalue {eigenvalues[0]:.2e}, beyond rounding ({tolerance:.1e}).",
            "Pass the NNGP and tangent kernels of one architecture whose readout weights and bias are both trained.",
        )
    tests = len(nngp.test)
    return gram_blocks("T - K", difference[:tests, :tests], difference[:tests, tests:], difference[tests:, tests:])


def brnd_error_covariance(nngp: GramBlocks, ntk: GramBlocks, *, time_sum_loss: float = math.inf) -> Matrix:
    """Covariance (S, S) of u - J psi* for a predictor trained on its own tangent target: M_t (K + (T - K)) M_t^T.

    At convergence it is the posterior covariance T_** - T_*X T_XX^{-1} T_X* of the Gaussian process with the tangent
    kernel: no factor 2. At a finite `time_sum_loss` it exceeds it. Formed from a factor of T, hence positive
    semi-definite. Source: Zanger et al. 2026. Raises as `smoother` and `brnd_target_covariance` do.
    """
    brnd_target_covariance(nngp, ntk)
    return image_covariance(error_operator(smoother(ntk, time_sum_loss=time_sum_loss)), ntk.joint())


def noisy_smoother(ntk: GramBlocks, *, noise: float) -> Matrix:
    """G_s = T_*X (T_XX + s2 I)^{-1}, (S, N), for observation noise of variance `noise` = s2 >= 0."""
    return linear_smoother(ntk, ridge_sum_loss=_noise(noise)).matrix


def brnd_noise_error_covariance(ntk: GramBlocks, *, noise: float, label_noise: bool = True) -> Matrix:
    """Covariance (S, S) of u - J psi* with penalty `noise`/2 |theta - theta0|^2 and fresh N(0, noise) on each label.

    With label noise it is the posterior T_** - T_*X (T_XX + s2 I)^{-1} T_X*; without it the error is short by s2 G_s
    G_s^T (`missing_label_noise`). Formed from factors. Source: derived here. Raises InvalidInput, SingularGram.
    """
    g = noisy_smoother(ntk, noise=noise)
    found = image_covariance(error_operator(g), ntk.joint())
    return found + _noise(noise) * (g @ g.T) if flag("label_noise", label_noise) else found


def posterior_covariance(ntk: GramBlocks) -> Matrix:
    """The posterior that Bayesian distillation samples, T_** - T_*X T_XX^{-1} T_X*, from a factor of T."""
    return image_covariance(error_operator(smoother(ntk)), ntk.joint())


# --- what breaks it, and by how much exactly ----------------------------------------------------------------------


def unzeroed_readout(nngp: GramBlocks, ntk: GramBlocks) -> Matrix:
    """Excess (S, S) when the last layer of psi is not set to 0: M K M^T, the ensemble covariance."""
    same_points(nngp, ntk)
    return image_covariance(error_operator(smoother(ntk)), nngp.joint())


def missing_label_noise(ntk: GramBlocks, *, noise: float) -> Matrix:
    """Deficit (S, S) when the ridge is used without noise on the labels: s2 G_s G_s^T."""
    g = noisy_smoother(ntk, noise=noise)
    return _noise(noise) * (g @ g.T)


def other_smoother(ntk: GramBlocks, used: Any) -> Matrix:
    """Excess (S, S) when training realises another smoother G' than T_*X T_XX^{-1}: (G' - G) T_XX (G' - G)^T.

    Early stopping, a frozen layer or readout bias, and any preconditioner (Adam) are such smoothers. Never negative.
    """
    return image_covariance(checked_smoother(used, ntk) - smoother(ntk), ntk.train)


def frozen_readout_bias(ntk: GramBlocks, *, bias_scale: float) -> Matrix:
    """Excess (S, S) when the readout bias is drawn but not trained: the smoother is that of T - sb^2."""
    b2 = float(finite("bias_scale", bias_scale, ndim=0)) ** 2
    return other_smoother(ntk, smoother(gram_blocks("T - sb^2", ntk.test - b2, ntk.cross - b2, ntk.train - b2)))


def undrawn_readout_bias(ntk: GramBlocks, *, bias_scale: float) -> Matrix:
    """Deficit (S, S) when the readout bias starts at 0 but is trained: sb^2 r r^T with r = 1 - G 1."""
    r = 1 - smoother(ntk).sum(axis=1)
    return float(finite("bias_scale", bias_scale, ndim=0)) ** 2 * np.outer(r, r)


def shared_parameters(nngp: GramBlocks, ntk: GramBlocks, *, depth: int) -> Matrix:
    """Covariance (S, S) when psi is theta0 itself, for bias-free ReLU networks of `depth` hidden layers: (H - 1)^2
    Sigma_ens instead of the posterior.

    The target is then J_{<L} theta0 = H f0 (Euler), so the initial error is (1 - H) f0: with one hidden layer it is 0.
    """
    if not isinstance(depth, int) or depth < 1:
        raise InvalidInput(f"depth is {depth!r}.", "Pass the number of hidden layers, at least 1.")
    return (depth - 1) ** 2 * unzeroed_readout(nngp, ntk)


def _noise(noise: float) -> float:
    s2 = float(finite("noise", noise, ndim=0))
    if s2 < 0:
        raise InvalidInput(f"noise is {s2:g}.", "It is a variance.")
    return s2
