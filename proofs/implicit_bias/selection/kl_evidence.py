"""What is measured about KL-regularised regression: sequential conditioning, rival laws, limits, mean-field descent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ....numerics.claims import Comparison, Enclosures
from ....numerics.implicit_bias.gaussian_law import GaussianLaw, covariance
from ....numerics.implicit_bias.kl_regression import (
    conditioning_floor,
    mean_field_descent,
    mean_field_posterior,
    noise_free_posterior,
    nonsingular,
    positive,
    tempered_posterior,
)
from ....numerics.implicit_bias.least_squares import least_squares_problem, rounding_floor
from ....numerics.store import Rows
from ....theory.validation import finite
from ...result import Run
from ..problems import random_design

UNIT_ROUNDOFF = 2.0**-53
STEPS = (1, 5, 40)


@dataclass(frozen=True, eq=False)
class KlSetting:
    """X (examples, parameters), y, the prior's mean and full-rank factor, noise variance, KL weight, temperature, step."""

    design: Float[np.ndarray, "examples parameters"]
    targets: Float[np.ndarray, " examples"]
    prior_mean: Float[np.ndarray, " parameters"]
    prior_factor: Float[np.ndarray, "parameters parameters"]
    noise: float
    kl_weight: float
    temperature: float
    step: float

    def __post_init__(self) -> None:
        least_squares_problem(self.design, self.targets, self.prior_mean), nonsingular(self.prior)
        for name in ("noise", "kl_weight", "temperature"):
            positive(name, getattr(self, name))
        finite("step", self.step, ndim=0)

    @property
    def prior(self) -> GaussianLaw:
        return GaussianLaw(self.prior_mean, self.prior_factor)

    @property
    def weight(self) -> float:
        return self.kl_weight * self.noise


@dataclass(frozen=True, eq=False)
class KlPrediction:
    """Tempered posterior, the limit for vanishing KL weight, mean-field variances; mean-field scales without a divergence."""

    mean: Float[np.ndarray, " parameters"]
    covariance: Float[np.ndarray, "parameters parameters"]
    limit_mean: Float[np.ndarray, " parameters"]
    limit_covariance: Float[np.ndarray, "parameters parameters"]
    mean_field: Float[np.ndarray, " parameters"]
    scales: Float[np.ndarray, "times parameters"]


def predict(s: KlSetting) -> KlPrediction:
    options = {"noise": s.noise, "kl_weight": s.kl_weight}
    full = tempered_posterior(s.design, s.targets, s.prior, **options, temperature=s.temperature)
    limit = noise_free_posterior(s.design, s.targets, s.prior)
    start = np.sqrt(np.diag(covariance(s.prior)))
    return KlPrediction(
        mean=full.mean,
        covariance=covariance(full),
        limit_mean=limit.mean,
        limit_covariance=covariance(limit),
        mean_field=mean_field_posterior(s.design, s.targets, s.prior, **options)[1],
        scales=mean_field_descent(s.design, s.targets, s.prior_mean, start, step=s.step, time=STEPS)[1],
    )


def random_setting(seed: int) -> KlSetting:
    rng = np.random.default_rng(seed)
    design = random_design(rng)
    n, p = design.shape
    rotations = [np.linalg.qr(rng.normal(size=(p, p)))[0] for _ in range(2)]
    factor = rotations[0] * rng.uniform(0.6, 1.8, p) @ rotations[1]
    scale = float(np.linalg.norm(design, 2))
    noise, kl_weight, temperature = scale**2 * rng.uniform(0.05, 0.5), rng.uniform(0.1, 0.8), rng.uniform(0.1, 0.8)
    step = rng.uniform(0.2, 0.9) * 2 / scale**2
    return KlSetting(
        design, scale * rng.normal(size=(n,)), rng.normal(size=(p,)), factor, noise, kl_weight, temperature, step
    )


def sequential(s: KlSetting, *, noise: float, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian conditioning, one example after the other, from covariance `spread`: no matrix is inverted."""
    mean, cov = s.prior_mean.copy(), spread.copy()
    for x, y in zip(s.design, s.targets, strict=True):
        gain = cov @ x / (x @ cov @ x + noise)
        mean = mean + gain * (y - x @ mean)
        keep = np.eye(len(mean)) - np.outer(gain, x)
        cov = keep @ cov @ keep.T + noise * np.outer(gain, gain)
    return mean, cov


def condition(s: KlSetting, run: Run, *, temper: str = "all") -> dict[str, Any]:
    """Likelihood^(1/kl_weight) times prior, then all of it (or only one of the two) to the power 1/temperature."""
    sigma, t = s.prior_factor @ s.prior_factor.T, s.temperature
    noise = s.weight * (t if temper in ("all", "likelihood") else 1.0)
    mean, cov = sequential(s, noise=noise, spread=sigma * (t if temper in ("all", "prior") else 1.0))
    return {"mean": mean[None], "covariance": cov.reshape(1, -1)}


def floors(s: KlSetting, weight: float | None = None) -> np.ndarray:
    """Rounding of mean and covariance (parameters + parameters^2,), the sequential route's included: every example's update
    has a gain of at most ||Sigma_0||^{1/2}/noise^{1/2} and rounds like 4 p u of what it updates."""
    weight, (n, p) = s.weight if weight is None else weight, s.design.shape
    mean, spread = conditioning_floor(s.design, s.targets, s.prior, weight=weight)
    size, norm = float(np.linalg.norm(s.prior_factor)), float(np.linalg.norm(s.design))
    growth = 1 + size * norm / np.sqrt(weight)  # ||I - gain x^T|| of one update in the Euclidean norm
    unit = 8 * n * p * UNIT_ROUNDOFF * growth**2
    reach = float(np.linalg.norm(s.prior_mean)) + size / np.sqrt(weight) * float(
        np.linalg.norm(s.targets - s.design @ s.prior_mean)
    )
    return np.repeat([mean + unit * growth * reach, spread + unit * size**2], [p, p * p])


def flat(mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    return np.concatenate([mean.ravel(), spread.ravel()])


def scales_of(s: KlSetting, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    p = len(s.prior_mean)
    return np.repeat([float(np.linalg.norm(mean)), float(np.linalg.norm(spread))], [p, p * p])


def compare_posterior(s: KlSetting, p: KlPrediction, rows: Rows) -> Comparison:
    mean, spread = rows["mean"][0], rows["covariance"][0]
    return Comparison(flat(mean, spread), flat(p.mean, p.covariance), floors(s), scales_of(s, mean, spread))


def weaken(s: KlSetting, run: Run) -> dict[str, Any]:
    """The posterior at a KL weight of 1e-6 s_min^2, by one solve with X Sigma_0 X^T + weight."""
    sigma, weight = s.prior_factor @ s.prior_factor.T, small_weight(s)
    gain = np.linalg.solve(s.design @ sigma @ s.design.T + weight * np.eye(len(s.targets)), s.design @ sigma).T
    mean = s.prior_mean + gain @ (s.targets - s.design @ s.prior_mean)
    return {"mean": mean[None], "covariance": (sigma - gain @ s.design @ sigma).reshape(1, -1)}


def small_weight(s: KlSetting) -> float:
    values = np.linalg.svd(s.design @ s.prior_factor, compute_uv=False)
    return 1e-6 * float(values[values > 1e-10 * values[0]][-1]) ** 2


def compare_limit(s: KlSetting, p: KlPrediction, rows: Rows) -> Comparison:
    """In each direction of A = X S_0 what is left differs by weight/(s^2 + weight) <= 1e-6; the solve has condition ||A||^2/weight."""
    a, r, size = s.design @ s.prior_factor, s.targets - s.design @ s.prior_mean, float(np.linalg.norm(s.prior_factor))
    weight, norm = small_weight(s), float(np.linalg.norm(a))
    low, unit = np.sqrt(1e6 * weight), 20 * sum(s.design.shape) * UNIT_ROUNDOFF * (1 + norm**2 / weight)
    fitted = float(np.linalg.norm(r))
    bound = np.array([size * fitted / low * (1e-6 + unit * norm / low), size**2 * (1e-6 + unit)])
    sizes = [len(p.limit_mean), len(p.limit_mean) ** 2]
    prior = np.repeat([float(np.linalg.norm(rows["mean"])) + float(np.linalg.norm(s.prior_mean)), size**2], sizes)
    return Comparison(
        flat(rows["mean"], rows["covariance"]), flat(p.limit_mean, p.limit_covariance), np.repeat(bound, sizes), prior
    )


def objective(s: KlSetting, mean: np.ndarray, spread: np.ndarray) -> float:
    """E_q ||y - X w||^2/(2 noise) + kl_weight KL(q || prior), from mean and covariance."""
    sigma, shift = s.prior_factor @ s.prior_factor.T, mean - s.prior_mean
    fit = np.sum((s.targets - s.design @ mean) ** 2) + np.trace(s.design @ spread @ s.design.T)
    logs = np.linalg.slogdet(spread)[1] - np.linalg.slogdet(sigma)[1]
    kl = np.trace(np.linalg.solve(sigma, spread)) + shift @ np.linalg.solve(sigma, shift) - len(shift) - logs
    return float(fit / (2 * s.noise) + s.kl_weight * kl / 2)


def draw_laws(s: KlSetting, run: Run, *, diagonal: bool = False) -> dict[str, Any]:
    """The objective at random Gaussian laws near the posterior, all of them or those with independent parameters."""
    rng = np.random.default_rng(run.seed)
    mean, cov = sequential(s, noise=s.weight, spread=s.prior_factor @ s.prior_factor.T)
    p, found = len(mean), []
    centre = 1 / np.diag(np.linalg.inv(cov)) if diagonal else cov
    for _ in range(run.block["laws"]):
        spread = 10 ** rng.uniform(-5, 0)
        if diagonal:
            law = np.diag(centre * np.exp(spread * rng.normal(size=p)))
        else:
            change = np.eye(p) + spread * rng.normal(size=(p, p)) / p
            law = change @ centre @ change.T
        found.append(
            objective(s, mean + spread * np.sqrt(np.diag(cov)) * rng.normal(size=p) * (rng.random() < 0.5), law)
        )
    return {"objective": np.array(found)}


def compare_objective(s: KlSetting, p: KlPrediction, rows: Rows, *, diagonal: bool = False) -> Enclosures:
    """Its rounding: 20 (n + p) u cond(Sigma_0) of its terms; the prediction's own error enters squared."""
    spread = np.diag(p.mean_field) if diagonal else p.covariance / s.temperature
    best = objective(s, p.mean, spread)
    terms = s.kl_weight * (len(p.mean) + np.sum((np.linalg.solve(s.prior_factor, p.mean - s.prior_mean)) ** 2))
    terms += (
        np.sum(s.targets**2) + np.sum((s.design @ s.prior_factor) ** 2) + np.sum((s.design @ p.mean) ** 2)
    ) / s.noise
    error = (
        20
        * sum(s.design.shape)
        * UNIT_ROUNDOFF
        * np.linalg.cond(s.prior_factor) ** 2
        * (terms + np.abs(rows["objective"]))
    )
    gap = rows["objective"] - best
    return Enclosures(gap - error, gap + error, width=float(2.1 * error.max()))


def project(s: KlSetting, run: Run, *, isotropic: bool = False) -> dict[str, Any]:
    """Eigenvalues of P Sigma_0 P minus the conditional covariance, and its trace, in units of ||Sigma_0||."""
    factor = np.eye(len(s.prior_mean)) if isotropic else s.prior_factor
    basis = np.linalg.svd(s.design)[2][np.linalg.matrix_rank(s.design) :].T  # of ker X
    # the conditional covariance through the precision on ker X, another route than the prediction's
    conditional = basis @ np.linalg.inv(basis.T @ np.linalg.inv(factor @ factor.T) @ basis) @ basis.T
    gap = basis @ basis.T @ factor @ factor.T @ basis @ basis.T - conditional
    return {"gap": np.append(np.linalg.eigvalsh((gap + gap.T) / 2), np.trace(gap)) / np.linalg.norm(factor) ** 2}


def compare_gap(s: KlSetting, p: KlPrediction, rows: Rows, *, sign: float = 1.0, shrink: float = 1.0) -> Enclosures:
    """Eigenvalues are at least 0; the trace exceeds 1e-6, priors in general position not being invariant.

    `sign` -1 asks for the reverse order, `shrink` multiplies the orthogonal projection.
    """
    size = float(np.linalg.norm(s.prior_factor)) ** 2
    basis = np.linalg.svd(s.design)[2][np.linalg.matrix_rank(s.design) :].T
    wide = basis @ basis.T @ s.prior_factor @ s.prior_factor.T @ basis @ basis.T
    predicted = np.linalg.eigvalsh(shrink * wide - p.limit_covariance) / size
    slack = sign * np.concatenate([rows["gap"][:-1] if shrink == 1 else predicted, predicted, rows["gap"][-1:] - 1e-6])
    error = (
        100
        * sum(s.design.shape)
        * UNIT_ROUNDOFF
        * np.linalg.cond(s.prior_factor) ** 2
        * np.linalg.cond(basis.T @ basis)
    )
    error += conditioning_floor(s.design, s.targets, s.prior, weight=0.0)[1] * len(p.mean) / size
    return Enclosures(slack - error, slack + error, width=2.1 * float(error))


def descend_scales(s: KlSetting, run: Run) -> dict[str, Any]:
    """Descent on the scales of independent parameters, of E ||y - X w||^2/2 = ... + sum_n sum_i x_ni^2 s_i^2/2."""
    scales, kept = np.sqrt(np.diag(s.prior_factor @ s.prior_factor.T)), []
    for t in range(max(STEPS) + 1):
        if t in STEPS:
            kept.append(scales)
        gradient = np.zeros_like(scales)
        for row in s.design:
            gradient += row * (row * scales)
        scales = scales - s.step * gradient
    return {"time": np.array(STEPS), "scales": np.stack(kept)}


def compare_scales(s: KlSetting, p: KlPrediction, rows: Rows) -> Comparison:
    """Each scale is a least-squares problem of its own: one weight, the column X_i, targets 0."""
    start = np.sqrt(np.diag(s.prior_factor @ s.prior_factor.T))
    zero = np.zeros(len(s.targets))
    floor = [
        [
            4 * rounding_floor(s.design[:, i : i + 1], zero, start[i : i + 1], step=s.step, steps=t)
            for i in range(len(start))
        ]
        for t in STEPS
    ]
    return Comparison(rows["scales"], p.scales, np.array(floor) + 4 * UNIT_ROUNDOFF * start, start)
