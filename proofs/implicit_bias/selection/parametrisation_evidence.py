"""What is measured about parametrisations of the covariance: descent on triangles, on log-scales, and on Sigma itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.integrate import solve_ivp

from ....numerics.claims import Comparison, Enclosures
from ....numerics.implicit_bias.covariance_parameters import (
    cholesky_limit,
    covariance_steps_until_indefinite,
    log_scale_flow,
    softplus_flow_lower_bound,
)
from ....numerics.implicit_bias.gaussian_law import GaussianLaw, covariance
from ....numerics.implicit_bias.least_squares import (
    contraction_factor,
    convergence_bound,
    least_squares_problem,
    rounding_floor,
)
from ....numerics.implicit_bias.variational_regression import regression_limit
from ....numerics.implicit_bias.wasserstein import wasserstein2_squared
from ....numerics.store import Rows
from ....theory.errors import InvalidInput
from ....theory.validation import finite
from ...result import Run

UNIT_ROUNDOFF = 2.0**-53
FLOW_STEPS = 4000


@dataclass(frozen=True, eq=False)
class ParametrisationSetting:
    """X (examples, parameters), y, the prior's mean and Cholesky factor, a step for the factor, and a time for the flows."""

    design: Float[np.ndarray, "examples parameters"]
    targets: Float[np.ndarray, " examples"]
    prior_mean: Float[np.ndarray, " parameters"]
    prior_factor: Float[np.ndarray, "parameters parameters"]
    step: float
    time: float

    def __post_init__(self) -> None:
        least_squares_problem(self.design, self.targets, self.prior_mean)
        GaussianLaw(self.prior_mean, self.prior_factor), finite("step", self.step, ndim=0)
        if np.triu(self.prior_factor, 1).any() or not np.diag(self.prior_factor).all():
            raise InvalidInput("prior_factor is no Cholesky factor.", "Pass a lower triangle with a nonzero diagonal.")

    @property
    def prior(self) -> GaussianLaw:
        return GaussianLaw(self.prior_mean, self.prior_factor)

    @property
    def scales(self) -> np.ndarray:
        return np.sqrt(np.sum(self.prior_factor**2, axis=1))


@dataclass(frozen=True, eq=False)
class ParametrisationPrediction:
    """Factor of the Cholesky limit; log-scales' flow, the softplus bound; steps until Sigma is no covariance."""

    factor: Float[np.ndarray, "parameters parameters"]
    log_scales: Float[np.ndarray, " parameters"]
    softplus: Float[np.ndarray, " parameters"]
    steps: float


def predict(s: ParametrisationSetting) -> ParametrisationPrediction:
    return ParametrisationPrediction(
        factor=cholesky_limit(s.design, s.targets, s.prior).factor,
        log_scales=log_scale_flow(s.design, s.scales, time=s.time),
        softplus=softplus_flow_lower_bound(s.design, s.scales, time=s.time),
        steps=covariance_steps_until_indefinite(s.design, s.prior, step=s.step),
    )


def random_setting(seed: int) -> ParametrisationSetting:
    """Fewer examples than parameters; drawn again until every X[:, j:] is well conditioned enough for 2000 steps."""
    rng = np.random.default_rng(seed)
    while True:
        p = int(rng.integers(3, 6))
        n = int(rng.integers(1, p - 1))
        x = rng.normal(size=(n, p))
        step = 1 / float(np.linalg.norm(x, 2)) ** 2
        if max(contraction_factor(x[:, j:], step) for j in range(p)) < np.exp(-30 / 2000):
            break
    factor = np.tril(rng.normal(size=(p, p)), -1) + np.diag(rng.uniform(0.5, 2, p))
    time = 10 ** rng.uniform(0, 1) / np.max(np.sum(x**2, axis=0) * np.sum(factor**2, axis=1))
    return ParametrisationSetting(x, rng.normal(size=(n,)), rng.normal(size=(p,)), factor, step, float(time))


def steps_of(s: ParametrisationSetting) -> int:
    rate = max(contraction_factor(s.design[:, j:], s.step) for j in range(len(s.prior_mean)))
    return int(np.ceil(-30 / np.log(max(rate, 1e-9))))


def train_triangle(s: ParametrisationSetting, run: Run, *, entries: str = "lower") -> dict[str, Any]:
    """Descent of tr(X S S^T X^T)/2 on the lower triangle of S (or on all its entries)."""
    factor, mask = s.prior_factor.copy(), np.tril(np.ones_like(s.prior_factor)) if entries == "lower" else 1.0
    for _ in range(steps_of(s)):
        factor = factor - s.step * mask * (s.design.T @ (s.design @ factor))
    return {"factor": factor.reshape(1, -1)}


def compare_triangle(s: ParametrisationSetting, p: ParametrisationPrediction, rows: Rows) -> Comparison:
    """Column j is least squares on X[:, j:] with targets 0, and carries its bound and its floor."""
    zero, steps, bounds = 0 * s.targets, steps_of(s), np.zeros_like(s.prior_factor)
    for j, column in enumerate(s.prior_factor.T):
        problem = (s.design[:, j:], zero, column[j:])
        left = convergence_bound(*problem, step=s.step, steps=steps)
        bounds[:, j] = left + 2 * rounding_floor(*problem, step=s.step, steps=steps)
    trained = rows["factor"][0].reshape(p.factor.shape)
    return Comparison(trained, p.factor, bounds, float(np.linalg.norm(s.prior_factor)))


def measure_law(s: ParametrisationSetting, run: Run, *, entries: str = "lower") -> dict[str, Any]:
    """W2^2 to the prior beyond that of the free factor's limit; change of Sigma when the features are trained in reverse order."""
    flipped = ParametrisationSetting(
        s.design[:, ::-1],
        s.targets,
        s.prior_mean[::-1],
        np.linalg.cholesky(covariance(s.prior)[::-1, ::-1]),
        s.step,
        s.time,
    )
    mean = regression_limit(s.design, s.targets, s.prior).mean
    found = []
    for setting in (s, flipped):
        factor = train_triangle(setting, run, entries=entries)["factor"].reshape(s.prior_factor.shape)
        found.append(factor @ factor.T)
    best = regression_limit(s.design, s.targets, s.prior)
    values, vectors = np.linalg.eigh(found[0])
    law = GaussianLaw(mean, vectors * np.sqrt(np.maximum(values, 0)))
    excess = wasserstein2_squared(law, s.prior) - wasserstein2_squared(best, s.prior)
    size = np.linalg.norm(s.prior_factor) ** 2
    change = np.linalg.norm(found[1][::-1, ::-1] - found[0]) / size
    return {"excess": np.array([excess / size]), "change": np.array([change])}


def compare_law(s: ParametrisationSetting, p: ParametrisationPrediction, rows: Rows) -> Enclosures:
    """Both exceed 1e-6 of ||S_0||^2: training to e^-30 and rounding explain 1e-10 of either."""
    slack = np.concatenate([rows["excess"], rows["change"]]) - 1e-6
    return Enclosures(slack, slack)


def train_log_scales(s: ParametrisationSetting, run: Run) -> dict[str, Any]:
    """Descent on rho, s = exp(rho), of sum_n sum_i x_ni^2 s_i^2/2, in small steps."""
    rho = np.log(s.scales)
    for _ in range(FLOW_STEPS):
        scale = np.exp(rho)
        gradient = np.einsum("ni,ni->i", s.design, s.design * scale) * scale  # by the chain rule: d s/d rho = s
        rho = rho - s.time / FLOW_STEPS * gradient
    return {"scales": np.exp(rho)[None]}


def compare_log_scales(s: ParametrisationSetting, p: ParametrisationPrediction, rows: Rows) -> Comparison:
    """With u = s^-2 a step is u exp(2 x), x = eta c/u, where the flow adds 2 eta c. Since exp(2x) - 1 - 2x <= 2 x^2 exp(2 x_0),
    u exceeds the flow's by at most exp(2 x_0) [2 (eta c)^2/u_0 + eta c log(1 + 2 c t/u_0)]; s moves by half of that, relatively.
    Each step rounds rho by 4 u (1 + |rho|) and the gradient by (n + 4) u.
    """
    c, u = np.sum(s.design**2, axis=0), s.scales**-2.0
    small = s.time / FLOW_STEPS * c
    excess = np.exp(2 * small / u) * (2 * small**2 / u + small * np.log1p(2 * c * s.time / u))
    relative = excess / (2 * (u + 2 * c * s.time)) + FLOW_STEPS * (len(s.targets) + 8) * UNIT_ROUNDOFF * (
        2 + np.abs(np.log(u))
    )
    return Comparison(rows["scales"][0], p.log_scales, relative * p.log_scales, p.log_scales)


def integrate_softplus(s: ParametrisationSetting, run: Run) -> dict[str, Any]:
    """Flow on rho with s = log(1 + exp(rho)), integrated in rho."""
    c = np.sum(s.design**2, axis=0)

    def slope(_: float, rho: np.ndarray) -> np.ndarray:
        return -c * np.logaddexp(0, rho) / (1 + np.exp(-rho))

    start = s.scales + np.log(-np.expm1(-s.scales))
    solution = solve_ivp(slope, (0, s.time), start, method="DOP853", rtol=1e-11, atol=1e-12)
    return {"scales": np.logaddexp(0, solution.y[:, -1])[None], "steps": np.array([len(solution.t)])}


def compare_softplus(s: ParametrisationSetting, p: ParametrisationPrediction, rows: Rows) -> Enclosures:
    """Measured over bound, minus 1. The slope decreases in rho, so the flow contracts and local errors add up at most."""
    slack, reach = rows["scales"][0] / p.softplus - 1, 1 + np.abs(np.log(rows["scales"][0])) + s.scales
    error = rows["steps"][0] * (1e-11 * reach + 1e-12)
    return Enclosures(slack - error, slack + error, width=1e-6)


def train_covariance(s: ParametrisationSetting, run: Run) -> dict[str, Any]:
    """Descent on the entries of Sigma: the least eigenvalue after each step, until well after it is negative."""
    sigma, gradient = s.prior_factor @ s.prior_factor.T, s.design.T @ s.design / 2
    found: list[float] = []
    while not found or found[-1] > 0 or len(found) < 2:
        found.append(float(np.linalg.eigvalsh(sigma)[0]))
        sigma = sigma - s.step / 8 * gradient
    return {"least": np.array(found)}


def compare_covariance(s: ParametrisationSetting, p: ParametrisationPrediction, rows: Rows) -> Comparison:
    """Number of steps of size step/8 that leave Sigma positive semidefinite, counted; exact unless rounding decides."""
    counted = np.count_nonzero(rows["least"] >= 0) - 1
    return Comparison(np.array([float(counted)]), np.array([np.floor(8 * p.steps)]), np.array([1e-9]), 1.0)
