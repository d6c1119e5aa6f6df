"""Random network distillation in the limit of infinite width: the covariance of u - g for any linear training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.validation import finite, flag
from .congruence import checked_smoother, error_operator, image_covariance
from .ensemble import smoother as trained_smoother
from .gram import GramBlocks, Matrix


def distillation_error_covariance(
    *,
    smoother: Any,
    target_nngp: GramBlocks,
    predictor_nngp: GramBlocks | None,
    target_scale: float = 1.0,
) -> Matrix:
    """Covariance (S, S) of u - c g at the test points, M (K_u + c^2 K_g) M^T with M = [I, -G].

    `smoother` G, an array (S, N) or a LinearSmoother, is any linear training rule `u = u0 + G (y - u0(X))` that does not depend on the draw: gradient
    flow stopped at any time, any number of descent steps, a ridge towards u0, or the predictor's readout alone.
    `predictor_nngp` None means a centred predictor u - u0, which starts from the zero function. `target_scale` is c.
    Source: Zanger et al. 2026 for convergence; every other rule is derived here. Raises InvalidInput for shapes that
    do not fit.
    """
    kernels = (target_nngp,) if predictor_nngp is None else (target_nngp, predictor_nngp)
    operator = error_operator(checked_smoother(smoother, *kernels))
    scale = float(finite("target_scale", target_scale, ndim=0))
    found = scale**2 * image_covariance(operator, target_nngp.joint())
    return found if predictor_nngp is None else found + image_covariance(operator, predictor_nngp.joint())


def readout_error_covariance(nngp: GramBlocks) -> Matrix:
    """Covariance (S, S) of u - g when only the predictor's readout (weights and bias) is trained: 2 Sigma_nngp.

    Half of it is the posterior covariance of the Gaussian process with the NNGP kernel, without a matrix inverse of the
    user's. Raises SingularGram as `smoother` does.
    """
    return distillation_error_covariance(smoother=trained_smoother(nngp), target_nngp=nngp, predictor_nngp=nngp)


def distilled_variance(errors: Any, *, target_scale: float = 1.0, centred: bool = False) -> Matrix:
    """The ensemble variance estimated from errors u - c g of shape (..., heads): mean square over 1 + c^2, or c^2.

    `centred` says that the predictor's initial function was subtracted. With the defaults it is half the mean square.
    Unbiased in the limit of infinite width; see `heads_interval` for its law. Raises InvalidInput without heads or for
    c = 0 with a centred predictor.
    """
    e = finite("errors", errors)
    if e.ndim < 1 or not e.shape[-1]:
        raise InvalidInput(f"errors has shape {e.shape}.", "Pass (..., heads) with at least one head.")
    constant = float(finite("target_scale", target_scale, ndim=0)) ** 2 + (not flag("centred", centred))
    if constant == 0 or not math.isfinite(constant):
        raise InvalidInput(f"target_scale is {target_scale!r}.", "A centred predictor needs a target that is not 0.")
    return (e**2).mean(axis=-1) / constant


@dataclass(frozen=True)
class BayesGap:
    """E (g - u)(g - u)^T split in three, each (S, S): the exact posterior and two parts that are never negative.

    `posterior` is Sigma_nngp; `initialisation` M K_u M^T comes from the predictor's own draw; `smoothing` (G - H) K_XX
    (G - H)^T from a smoother G that is not the posterior mean's H = K_*X K_XX^{-1}.
    """

    posterior: Matrix
    initialisation: Matrix
    smoothing: Matrix

    @property
    def total(self) -> Matrix:
        """The covariance of g - u."""
        return self.posterior + self.initialisation + self.smoothing


def bayes_gap(nngp: GramBlocks, smoother: Any, *, predictor_nngp: GramBlocks | None) -> BayesGap:
    """How far the error of `u = u0 + G (g(X) - u0(X))` lies above the posterior of g ~ GP(0, K) given g(X).

    `predictor_nngp` is the covariance of u0, None for a centred predictor. The first part is a lower limit for every
    predictor that sees g only through g(X). Source: Ciosek et al. 2020 for the inequality. Raises SingularGram for a
    singular K_XX.
    """
    g = checked_smoother(smoother, nngp)
    best = trained_smoother(nngp)
    posterior = image_covariance(error_operator(best), nngp.joint())
    start = np.zeros_like(posterior)
    if predictor_nngp is not None:
        start = image_covariance(error_operator(checked_smoother(g, predictor_nngp)), predictor_nngp.joint())
    return BayesGap(posterior, start, image_covariance(g - best, nngp.train))
