"""What is measured about variational regression in metrics: descent on mean and factor, and rival laws in D^{-1}."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ....numerics.claims import Comparison, Enclosures
from ....numerics.implicit_bias.gaussian_law import GaussianLaw, covariance
from ....numerics.implicit_bias.kl_regression import noise_free_posterior, nonsingular
from ....numerics.implicit_bias.least_squares import least_squares_problem
from ....numerics.implicit_bias.metric import largest_stable_metric_step, metric_contraction, metric_root
from ....numerics.implicit_bias.metric_regression import metric_law_rounding_floor, metric_regression_limit, prior_power
from ....numerics.implicit_bias.wasserstein import wasserstein2_squared
from ....numerics.store import Rows
from ....theory.validation import finite, sample_size
from ...result import Run
from ..problems import random_design


@dataclass(frozen=True, eq=False)
class DialSetting:
    """X (examples, parameters), y, the prior's mean and full-rank factor, metrics of mean and factor, step and steps."""

    design: Float[np.ndarray, "examples parameters"]
    targets: Float[np.ndarray, " examples"]
    prior_mean: Float[np.ndarray, " parameters"]
    prior_factor: Float[np.ndarray, "parameters parameters"]
    mean_metric: Float[np.ndarray, "parameters parameters"]
    factor_metric: Float[np.ndarray, "parameters parameters"]
    step: float
    steps: int

    def __post_init__(self) -> None:
        least_squares_problem(self.design, self.targets, self.prior_mean), nonsingular(self.prior)
        for metric in (self.mean_metric, self.factor_metric):
            metric_root(metric, parameters=len(self.prior_mean))
        finite("step", self.step, ndim=0), sample_size("steps", self.steps)

    @property
    def prior(self) -> GaussianLaw:
        return GaussianLaw(self.prior_mean, self.prior_factor)

    @property
    def metrics(self) -> dict[str, np.ndarray]:
        return {"mean_metric": self.mean_metric, "factor_metric": self.factor_metric}


@dataclass(frozen=True, eq=False)
class DialPrediction:
    """The limit law for the two metrics (mean, factor, covariance), and the noise-free posterior (mean, covariance)."""

    mean: Float[np.ndarray, " parameters"]
    factor: Float[np.ndarray, "parameters rank"]
    covariance: Float[np.ndarray, "parameters parameters"]
    posterior_mean: Float[np.ndarray, " parameters"]
    posterior_covariance: Float[np.ndarray, "parameters parameters"]

    @property
    def law(self) -> GaussianLaw:
        return GaussianLaw(self.mean, self.factor)


def predict(s: DialSetting) -> DialPrediction:
    limit = metric_regression_limit(s.design, s.targets, s.prior, **s.metrics)
    bayes = noise_free_posterior(s.design, s.targets, s.prior)
    return DialPrediction(limit.mean, limit.factor, covariance(limit), bayes.mean, covariance(bayes))


Metrics = Callable[[np.random.Generator, GaussianLaw], tuple[np.ndarray, np.ndarray]]


def two_metrics(rng: np.random.Generator, prior: GaussianLaw) -> tuple[np.ndarray, np.ndarray]:
    """Different step sizes for the parameters of mean and factor."""
    size = len(prior.mean)
    return np.diag(rng.uniform(0.4, 2.5, size)), np.diag(rng.uniform(0.4, 2.5, size))


def bayes_metrics(rng: np.random.Generator, prior: GaussianLaw) -> tuple[np.ndarray, np.ndarray]:
    sigma = prior_power(prior, 1.0)
    return sigma, sigma


def rescaled(rng: np.random.Generator, prior: GaussianLaw) -> tuple[np.ndarray, np.ndarray]:
    """A covariance learning rate: the same metric times kappa."""
    sigma = prior_power(prior, 0.5)
    return sigma, sigma * rng.uniform(0.1, 1.0)


def random_setting(seed: int, metrics: Metrics = two_metrics) -> DialSetting:
    rng = np.random.default_rng(seed)
    design = random_design(rng)
    n, p = design.shape
    rotations = [np.linalg.qr(rng.normal(size=(p, p)))[0] for _ in range(2)]
    factor = rotations[0] * rng.uniform(0.6, 1.8, p) @ rotations[1]
    prior = GaussianLaw(rng.normal(size=(p,)), factor)
    mean_metric, factor_metric = metrics(rng, prior)
    both = (mean_metric, factor_metric)
    step = rng.uniform(0.3, 0.8) * min(largest_stable_metric_step(design, metric=m) for m in both)
    rate = max(metric_contraction(design, metric=m, step=step) for m in both)
    steps = int(np.ceil(30 / -np.log(max(rate, 0.1))))
    targets = float(np.linalg.norm(design, 2)) * rng.normal(size=(n,))
    return DialSetting(design, targets, prior.mean, prior.factor, mean_metric, factor_metric, step, steps)


def descend(s: DialSetting, run: Run, *, factor_metric: Any = None) -> dict[str, Any]:
    """Descent on (mu, S) of E ||y - X w||^2 / 2, step by step, each in its metric."""
    mean, factor = s.prior_mean.copy(), s.prior_factor.copy()
    second = s.factor_metric if factor_metric is None else factor_metric(s)
    for _ in range(s.steps):
        mean = mean - s.step * s.mean_metric @ (s.design.T @ (s.design @ mean - s.targets))
        factor = factor - s.step * second @ (s.design.T @ (s.design @ factor))
    return {"mean": mean[None], "factor": factor.reshape(1, -1)}


def by_layer(s: DialSetting) -> np.ndarray:
    """Step sizes equal within each of two layers, but not between them, on top of the metric."""
    root = np.ones(len(s.prior_mean))
    root[: len(root) // 2] = 0.5
    return root[:, None] * s.factor_metric * root


def floor(s: DialSetting) -> float:
    return metric_law_rounding_floor(
        s.design,
        s.targets,
        s.prior,
        mean_metric=s.mean_metric,
        factor_metric=s.factor_metric,
        step=s.step,
        steps=s.steps,
    )


def remaining(s: DialSetting, p: DialPrediction) -> float:
    """What convergence leaves of mean and factor after the last step, at most."""
    found = []
    for metric, moved in ((s.mean_metric, p.mean - s.prior_mean), (s.factor_metric, p.factor - s.prior_factor)):
        rate, root = (
            metric_contraction(s.design, metric=metric, step=s.step),
            metric_root(metric, parameters=len(p.mean)),
        )
        found.append(np.linalg.cond(root) * rate**s.steps * float(np.linalg.norm(moved)))
    return float(np.linalg.norm(found))


def compare_law(s: DialSetting, p: DialPrediction, rows: Rows, *, bayes: bool = False) -> Comparison:
    """Mean and covariance of the trained law against the prediction, or against the noise-free posterior."""
    law = GaussianLaw(rows["mean"][0], rows["factor"][0].reshape(s.prior_factor.shape))
    mean, spread = (p.posterior_mean, p.posterior_covariance) if bayes else (p.mean, p.covariance)
    off, size = floor(s) + remaining(s, p), float(np.linalg.norm(s.prior_factor))
    # |S S^T - S' S'^T| <= (2 |S| + off) off, and the product rounds; the posterior has a floor of the same form
    bounds = [(1 + bayes) * off, (1 + bayes) * ((2 * size + off) * off + 4 * len(mean) * 2.0**-53 * size**2)]
    parts: list[tuple[Any, ...]] = [
        (law.mean, mean, bounds[0], np.linalg.norm(law.mean)),
        (covariance(law), spread, bounds[1], size**2),
    ]
    observed, predicted = (np.concatenate([np.ravel(part[k]) for part in parts]) for k in (0, 1))
    bound, scale = (np.concatenate([np.full(np.size(part[0]), part[k]) for part in parts]) for k in (2, 3))
    return Comparison(observed, predicted, bound, scale)


def in_metric(s: DialSetting, law: GaussianLaw) -> float:
    """W2^2 to the prior measured in D^{-1}: whitened by the root of D_S (which is D_mu here)."""
    root = np.linalg.cholesky(s.factor_metric)
    white = [GaussianLaw(np.linalg.solve(root, q.mean), np.linalg.solve(root, q.factor)) for q in (law, s.prior)]
    return wasserstein2_squared(*white)


def draw_competitors(s: DialSetting, run: Run) -> dict[str, Any]:
    """W2^2 in D^{-1} from the prior to random Gaussian laws on the least-squares solutions, near the best and far."""
    from scipy.linalg import lstsq, null_space

    rng = np.random.default_rng(run.seed)
    basis, solution = null_space(s.design), lstsq(s.design, s.targets)[0]
    found = []
    for power in (0.0, 1.0):  # centres: the orthogonal projection of the prior, and the one along D
        d = np.eye(len(s.prior_mean)) if power == 0 else np.linalg.inv(s.factor_metric)
        along = np.linalg.solve(basis.T @ d @ basis, basis.T @ d)
        for _ in range(run.block["competitors"]):
            spread = 10 ** rng.uniform(-4, 1)
            mean = along @ (s.prior_mean - solution) + spread * rng.normal(size=basis.shape[1])
            factor = along @ s.prior_factor + spread * rng.normal(size=(basis.shape[1], len(s.prior_mean)))
            found.append(in_metric(s, GaussianLaw(solution + basis @ mean, basis @ factor)))
    return {"distance_squared": np.array(found)}


def compare_competitors(s: DialSetting, p: DialPrediction, rows: Rows) -> Enclosures:
    # Feasibility of the laws drawn and of the prediction, whitened; and the rounding of W2^2 on whitened laws.
    norm = np.sqrt(np.linalg.norm(np.linalg.inv(s.factor_metric), 2))
    off, distance = 4 * norm * floor(s), np.sqrt(np.abs(rows["distance_squared"]))
    size = norm * (np.linalg.norm(s.prior_mean) + np.linalg.norm(s.prior_factor)) + distance
    error = 2 * distance * off + off**2 + 10 * len(p.mean) * 2 * 2.0**-53 * np.linalg.cond(s.factor_metric) * size**2
    gap = rows["distance_squared"] - in_metric(s, p.law)
    return Enclosures(gap - error, gap + error, width=float(2.1 * error.max()))
