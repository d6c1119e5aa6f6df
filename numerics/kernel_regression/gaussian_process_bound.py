"""PAC-Bayes for Gaussian-process regression: KL from the posterior to the prior, and the bound it gives (iw.gp_pac)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from ..bounds.certificate import Certificate
from ..bounds.seeger import seeger_kl
from ..networks.stochastic_moments import zero_one_loss
from .enclosures import UNIT, gamma, norm_up, residual_norms, spectrum_error

Matrix = NDArray[np.float64]

_SMALL = 1e-2  # below it ln(1+r) - r/(1+r) is summed as a series
_TERMS = 12


@dataclass(frozen=True)
class GaussianProcessKL:
    """KL(Q||P) in nats. `value` is the nearest we can compute, `upper` is never below the exact one.

    `complexity` is the share of the eigenvalues, `fit` that of the labels; `degrees` is tr K (K + s2)^{-1}.
    """

    value: float
    upper: float
    complexity: float
    fit: float
    degrees: float


def gaussian_process_kl(*, gram: Any, labels: Any, noise_variance: float, gram_error: float = 0.0) -> GaussianProcessKL:
    """KL of the exact regression posterior to its prior GP(0, K), given the Gram matrix on the training inputs.

    `1/2 [ln det(I + K/s2) - tr K (K + s2)^{-1} + y^T (K + s2)^{-1} K (K + s2)^{-1} y]`, per output.

    Parameters
    ----------
    gram: (N, N), symmetric positive semi-definite: K_XX, or T_XX for a prior with the tangent kernel as covariance.
        Repeated inputs are allowed.
    labels: (N,) or (N, outputs); outputs are independent processes with the same kernel, and their divergences add.
    noise_variance: s2 > 0 of the Gaussian likelihood that defines the posterior (it need not be that of the data).
    gram_error: bound on the spectral norm of the error of `gram`, for kernels that were themselves rounded.

    The upper value rests on residuals (see `enclosures`), not on trust in the eigenvalues. Raises InvalidInput for
    matrices that are not symmetric or not positive semi-definite. Source: Seeger 2002; the formula is derived in
    iw.gp_pac.
    """
    k, y, s2 = _checked(gram, labels, noise_variance)
    error = float(finite("gram_error", gram_error, ndim=0))
    if error < 0:
        raise InvalidInput(f"gram_error is {error:g}.", "Pass a bound on the norm of an error: at least 0.")
    size, outputs = y.shape
    error += norm_up(np.asarray(gram, dtype=np.float64) - k)  # 0 for a symmetric matrix
    found, vectors = np.linalg.eigh(k)
    doubt = spectrum_error(k, found, vectors) + error
    if found[0] < -doubt:
        raise InvalidInput(
            f"gram has the eigenvalue {found[0]:.2e}, beyond rounding ({doubt:.1e}).", "Pass a covariance matrix."
        )
    r = np.maximum(found, 0.0) / s2
    weights = vectors @ ((vectors.T @ y) / (np.maximum(found, 0.0) + s2)[:, None])
    energy = np.sum(weights * (k @ weights), axis=0)
    complexity = outputs * float(np.sum(_mode(r))) / 2
    fit = float(np.sum(energy)) / 2

    # the mode function grows with slope r/(1+r)^2 <= 1/4, and the true eigenvalues are not negative
    above = complexity * (1 + gamma(size + 40)) + outputs * size * doubt / (8 * s2) * (1 + gamma(8))
    # |K^{1/2} a| <= |K^{1/2} a^| + |K^{1/2} (K + s2)^{-1}| |residual|, and the middle norm is at most 1/(2 s)
    size_of = np.sum(np.abs(weights) * (np.abs(k) @ np.abs(weights)), axis=0)
    squares = np.sum(weights**2, axis=0) * (1 + gamma(size + 4))
    high = np.maximum(energy, 0.0) + gamma(2 * size + 8) * size_of + error * squares
    residual = residual_norms(k, s2, weights, y) + error * np.sqrt(squares)
    norms = np.sqrt(high) + residual / (2 * math.sqrt(s2))
    above += float(np.sum(norms**2)) / 2 * (1 + gamma(outputs + 16))
    value = complexity + fit
    return GaussianProcessKL(
        value, max(above * (1 + gamma(8)), value), complexity, fit, outputs * float(np.sum(r / (1 + r)))
    )


def gaussian_process_bound(
    *,
    risk: float | Certificate,
    gram: Any,
    labels: Any,
    noise_variance: float,
    delta: float | None = None,
    log_inv_delta: float | None = None,
    gram_error: float = 0.0,
    constant: Literal["exact", "2sqrt"] = "exact",
) -> Certificate:
    """Certificate (pb.kl) for the true Gibbs risk of Gaussian-process regression, from the divergence computed here.

    `risk` is the Gibbs risk of the posterior on the very N inputs of `gram`, for any loss in [0, 1]: a number (for
    0-1 loss `posterior_zero_one_risk`), or the certificate of `gibbs_monte_carlo` when it was estimated from posterior
    samples such as the heads of a Bayesian distillation. Other arguments are those of `gaussian_process_kl` and
    `seeger_kl`. **The prior must not depend on the sample**: kernel, scales and depth fixed beforehand, or each
    candidate with its own share of delta. `noise_variance` shapes the posterior only and may be chosen on the sample.
    """
    divergence = gaussian_process_kl(gram=gram, labels=labels, noise_variance=noise_variance, gram_error=gram_error)
    examples = np.asarray(labels).shape[0]
    return seeger_kl(
        risk=risk, kl=divergence.upper, n=examples, delta=delta, log_inv_delta=log_inv_delta, constant=constant
    )


def posterior_on_the_sample(*, gram: Any, labels: Any, noise_variance: float) -> tuple[Matrix, Matrix]:
    """Mean (N, outputs) and variance (N,) of the posterior function at its own training inputs, without noise.

    `y - s2 (K + s2)^{-1} y` and the diagonal of `s2 K (K + s2)^{-1}`: no difference of nearly equal numbers.
    """
    k, y, s2 = _checked(gram, labels, noise_variance)
    found, vectors = np.linalg.eigh(k)
    found = np.maximum(found, 0.0)
    return vectors @ ((vectors.T @ y) * (found / (found + s2))[:, None]), (vectors**2) @ (s2 * found / (found + s2))


def posterior_zero_one_risk(*, gram: Any, labels: Any, noise_variance: float) -> float:
    """Empirical Gibbs risk of the posterior for the 0-1 loss of the sign, labels +-1 (N,): mean of Phi(-y m / sqrt v).

    Exact up to rounding (a few ulps times the condition of K + s2), not rounded outward; ties count as errors.
    """
    mean, variance = posterior_on_the_sample(gram=gram, labels=labels, noise_variance=noise_variance)
    if mean.shape[1] != 1:
        raise InvalidInput(f"labels has {mean.shape[1]} outputs.", "The 0-1 loss of a sign needs one.")
    return float(np.mean(zero_one_loss(mean=mean[:, 0], variance=variance, labels=labels)))


def _mode(r: Matrix) -> Matrix:
    """ln(1 + r) - r/(1 + r) for r >= 0; as `sum_{k>=2} (-1)^k (k-1)/k r^k` where the two terms would cancel."""
    small = r < _SMALL
    x = np.where(small, r, 0.0)
    series = np.zeros_like(x)
    for k in range(_TERMS, 1, -1):
        series = (k - 1) / k - x * series
    y = np.where(small, 1.0, r)
    return np.where(small, x * x * series, np.log1p(y) - y / (1 + y))


def _checked(gram: Any, labels: Any, noise_variance: float) -> tuple[Matrix, Matrix, float]:
    k, y = finite("gram", gram, ndim=2), finite("labels", labels)
    if k.shape[0] != k.shape[1] or not k.shape[0]:
        raise InvalidInput(f"gram has shape {k.shape}.", "Pass the square Gram matrix of the training inputs.")
    if np.asarray(gram).dtype == np.float32:
        raise InvalidInput("gram is float32.", "Compute kernels in float64.")
    if y.ndim not in (1, 2) or y.shape[0] != k.shape[0]:
        raise InvalidInput(f"labels has shape {y.shape}.", f"Its first axis must have {k.shape[0]} entries.")
    if np.abs(k - k.T).max() > 1e3 * len(k) * UNIT * np.abs(k).max():
        raise InvalidInput("gram is not symmetric.", "Pass a Gram matrix.")
    s2 = float(finite("noise_variance", noise_variance, ndim=0))
    if s2 <= 0:
        raise InvalidInput(
            f"noise_variance is {s2:g}.", "Without noise the posterior is singular to its prior and the KL is infinite."
        )
    return (k + k.T) / 2, y.reshape(len(y), -1), s2
