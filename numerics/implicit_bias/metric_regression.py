"""Variational regression trained in metrics D_mu for the mean and D_S for the factor: one dial from ensembles to Bayes.

Without a divergence term, mean and factor columns follow descent in their metrics (`metric`), so that the limit is
mu_0 + K_mu (y - X mu_0) and (I - K_S X) S_0 with K = D X^T (X D X^T)^+. D = I gives the law of deep ensembles, D = Sigma_0
the prior conditioned on the data without noise, and D = Sigma_0^p everything between. Multiples of one metric select the
same law, so a covariance learning rate is harmless; step sizes that differ between parameters are not.
Derived in `proofs/implicit_bias`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .gaussian_law import GaussianLaw
from .kl_regression import checked, nonsingular
from .metric import metric_limit, metric_path, metric_rounding_floor
from .momentum import Variant


def metric_regression_limit(
    design: Any, targets: Any, prior: GaussianLaw, *, mean_metric: Any, factor_metric: Any
) -> GaussianLaw:
    """Where descent ends from the prior with metric D_mu on the mean and D_S on the factor, for every stable step.

    Metrics as in `metric.metric_limit`: (parameters,) diagonals or (parameters, parameters).
    """
    x, y, prior = checked(design, targets, prior)
    columns = [metric_limit(x, 0 * y, column, metric=factor_metric) for column in prior.factor.T]
    return GaussianLaw(metric_limit(x, y, prior.mean, metric=mean_metric), np.stack(columns, axis=1))


def metric_regression_path(
    design: Any,
    targets: Any,
    prior: GaussianLaw,
    *,
    mean_metric: Any,
    factor_metric: Any,
    step: float,
    time: int,
    momentum: float = 0.0,
    variant: Variant = "heavy_ball",
) -> GaussianLaw:
    """The law after `time` steps. Raises `AssumptionViolated` when the step is not stable in either metric."""
    x, y, prior = checked(design, targets, prior)
    options: dict[str, Any] = {"step": step, "time": time, "momentum": momentum, "variant": variant}
    columns = [metric_path(x, 0 * y, column, metric=factor_metric, **options) for column in prior.factor.T]
    return GaussianLaw(metric_path(x, y, prior.mean, metric=mean_metric, **options), np.stack(columns, axis=1))


def prior_power(prior: GaussianLaw, power: float) -> Float[np.ndarray, "parameters parameters"]:
    """Sigma_0^power, the metric of the dial: 0 for ensembles, 1 for the noise-free Bayes posterior.

    `power` lies in [0, 1]. Raises `AssumptionViolated` for a singular prior, whose powers train too little.
    """
    exponent = float(finite("power", power, ndim=0))
    if not 0 <= exponent <= 1:
        raise InvalidInput(f"power is {exponent:g}.", "The dial runs from 0 (ensembles) to 1 (Bayes).")
    values, vectors = np.linalg.eigh(nonsingular(prior))
    metric = vectors * values**exponent @ vectors.T
    return (metric + metric.T) / 2


def dial_law(design: Any, targets: Any, prior: GaussianLaw, *, power: float) -> GaussianLaw:
    """The limit law in the metric Sigma_0^power for mean and factor alike."""
    metric = prior_power(prior, power)
    return metric_regression_limit(design, targets, prior, mean_metric=metric, factor_metric=metric)


def metric_law_rounding_floor(
    design: Any,
    targets: Any,
    prior: GaussianLaw,
    *,
    mean_metric: Any,
    factor_metric: Any,
    step: float,
    steps: int,
    momentum: float = 0.0,
    variant: Variant = "heavy_ball",
) -> float:
    """`metric.metric_rounding_floor` for the mean and for each column of the factor, added in quadrature."""
    x, y, prior = checked(design, targets, prior)
    runs = [(y, prior.mean, mean_metric)] + [(0 * y, column, factor_metric) for column in prior.factor.T]
    options: dict[str, Any] = {"step": step, "steps": steps, "momentum": momentum, "variant": variant}
    floors = [metric_rounding_floor(x, goal, start, metric=d, **options) for goal, start, d in runs]
    return float(np.linalg.norm(floors))
