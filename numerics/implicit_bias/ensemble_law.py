"""The law of a linear deep ensemble at every time of training, and what a finite number of members tells about it.

A member starts at w_0 ~ N(mu_0, S_0 S_0^T) and descends 1/2 ||y - X w||^2 on its own. Its iterate is an affine function of
its start, w_t = A_t w_0 + b_t, by the full batch with or without heavy ball and along the gradient flow. So the members'
law is N(A_t mu_0 + b_t, A_t Sigma_0 A_t^T) at every time, which is where descent on (mu, S) in the expected loss takes the
variational law at the same time: deep ensembles and variational training without a divergence are one. With mini-batches
the laws agree in the limit alone. Shapes and conventions are those of `least_squares`. Derived in `proofs/implicit_bias`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.validation import sample_size
from .gaussian_law import GaussianLaw, covariance
from .least_squares import whole_times
from .momentum import momentum_path
from .spectral_filters import gradient_flow_path


def ensemble_law(
    design: Any, targets: Any, prior: GaussianLaw, *, step: float, time: int, momentum: float = 0.0
) -> GaussianLaw:
    """The law of every member after `time` steps from rest: mean A_t mu_0 + b_t and factor A_t S_0.

    Raises `AssumptionViolated` when the step is not stable.
    """
    t = int(whole_times(time))
    return _mapped(lambda y, w: momentum_path(design, y, w, step=step, momentum=momentum, time=t), targets, prior)


def ensemble_flow_law(design: Any, targets: Any, prior: GaussianLaw, *, time: float) -> GaussianLaw:
    """The law of every member at this time of the gradient flow w' = -X^T (X w - y); `time` may be infinite."""
    return _mapped(lambda y, w: gradient_flow_path(design, y, w, time=time), targets, prior)


def ensemble_errors(law: GaussianLaw, *, members: int) -> tuple[float, float]:
    """Root mean squared errors of the average and, in Frobenius norm, of the covariance of this many members of the law.

    (tr C / K)^{1/2} and (((tr C)^2 + tr C^2)/(K - 1))^{1/2}, C the law's covariance: exact for Gaussian members and the
    covariance with K - 1 in the denominator.
    """
    count = sample_size("members", members)
    if count < 2:
        raise InvalidInput("members is 1.", "A covariance needs at least two members.")
    c = covariance(law)
    trace, square = float(np.trace(c)), float(np.sum(c * c))
    return float(np.sqrt(trace / count)), float(np.sqrt((trace**2 + square) / (count - 1)))


def _mapped(path: Any, targets: Any, prior: GaussianLaw) -> GaussianLaw:
    if not isinstance(prior, GaussianLaw):
        raise InvalidInput(f"prior is a {type(prior).__name__}.", "Pass GaussianLaw(mean, factor).")
    zeros = np.zeros(np.shape(targets))
    return GaussianLaw(path(targets, prior.mean), np.stack([path(zeros, column) for column in prior.factor.T], axis=1))
