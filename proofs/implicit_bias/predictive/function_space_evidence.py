"""What the law of predictions is held to: real descent on mean and factor, and a conditioned Gaussian process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ....numerics.claims import Comparison
from ....numerics.implicit_bias.gaussian_law import GaussianLaw
from ....numerics.implicit_bias.least_squares import (
    UNIT_ROUNDOFF,
    largest_stable_step,
    least_squares_problem,
    row_space,
)
from ....numerics.implicit_bias.variational_regression import distance_to_limit_bound, law_rounding_floor
from ....numerics.store import Rows
from ....numerics.training.linear_gd import descend_gaussian_law
from ....theory.validation import finite
from ...result import Run


@dataclass(frozen=True, eq=False)
class FunctionSpaceSetting:
    """X (examples, parameters), y (examples,), test features (tests, parameters), the prior's mean and factor."""

    design: Float[np.ndarray, "examples parameters"]
    targets: Float[np.ndarray, " examples"]
    tests: Float[np.ndarray, "tests parameters"]
    prior_mean: Float[np.ndarray, " parameters"]
    prior_factor: Float[np.ndarray, "parameters rank"]

    def __post_init__(self) -> None:
        least_squares_problem(self.design, self.targets, self.prior_mean), finite("tests", self.tests, ndim=2)
        GaussianLaw(self.prior_mean, self.prior_factor)

    @property
    def prior(self) -> GaussianLaw:
        return GaussianLaw(self.prior_mean, self.prior_factor)


@dataclass(frozen=True, eq=False)
class FunctionSpacePrediction:
    """Mean (tests,) and covariance (tests, tests) of the outputs at the test features."""

    mean: Float[np.ndarray, " tests"]
    covariance: Float[np.ndarray, "tests tests"]


def random_setting(seed: int, *, invariant: bool = False) -> FunctionSpaceSetting:
    """Fewer examples than weights, condition up to 2; the prior generic, or with P Sigma_0 Q = 0."""
    rng = np.random.default_rng(seed)
    n, extra = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    p = n + extra
    left, right = np.linalg.qr(rng.normal(size=(n, n)))[0], np.linalg.qr(rng.normal(size=(p, p)))[0]
    factor = rng.normal(size=(p, p))
    if invariant:
        inside, outside = rng.normal(size=(n, n)), rng.normal(size=(extra, extra))
        factor = right @ np.block([[inside, np.zeros((n, extra))], [np.zeros((extra, n)), outside]])
    design = left * rng.uniform(1, 2, n) @ right[:, :n].T
    return FunctionSpaceSetting(design, rng.normal(size=(n,)), rng.normal(size=(3, p)), rng.normal(size=(p,)), factor)


def flat(p: FunctionSpacePrediction) -> np.ndarray:
    return np.append(p.mean, p.covariance.ravel())


def errors(s: FunctionSpaceSetting, off: float) -> np.ndarray:
    """Absolute errors in the order of `flat` when mean and factor of the weights' limit law are off by `off`."""
    size, spread = float(np.linalg.norm(s.tests)), float(np.linalg.norm(s.prior_factor))
    moved = np.linalg.pinv(s.design) @ (s.targets - s.design @ s.prior_mean)
    reach = float(np.linalg.norm(s.prior_mean) + np.linalg.norm(moved))
    rounding = 2 * (sum(s.prior_factor.shape) + 2) * UNIT_ROUNDOFF
    count = len(s.tests)
    return np.append(
        np.full(count, size * (off + rounding * reach)),
        np.full(count**2, size**2 * ((2 * spread + off) * off + rounding * spread**2)),
    )


def limit_error(s: FunctionSpaceSetting) -> float:
    step = 0.5 * largest_stable_step(s.design)
    return law_rounding_floor(s.design, s.targets, s.prior, step=step, steps=1)


def train(s: FunctionSpaceSetting, run: Run) -> dict[str, Any]:
    """Real descent on mean and factor; the outputs' mean and covariance at the test features."""
    step, count = 0.9 * largest_stable_step(s.design) / 2, run.block["steps"]
    means, factors = descend_gaussian_law(s.design, s.targets, s.prior_mean, s.prior_factor, step=step, record=[count])
    outputs = s.tests @ factors[0]
    return {
        "steps": np.array([count]),
        "mean": (s.tests @ means[0])[None],
        "covariance": (outputs @ outputs.T).reshape(1, -1),
    }


def compare_trained(s: FunctionSpaceSetting, p: FunctionSpacePrediction, rows: Rows) -> Comparison:
    step, count = 0.9 * largest_stable_step(s.design) / 2, int(rows["steps"][0])
    off = distance_to_limit_bound(s.design, s.targets, s.prior, step=step, steps=count)
    off += law_rounding_floor(s.design, s.targets, s.prior, step=step, steps=count)
    observed = np.append(rows["mean"][0], rows["covariance"][0])
    return Comparison(observed, flat(p), errors(s, off), scale_of(s))


def scale_of(s: FunctionSpaceSetting) -> np.ndarray:
    size, count = float(np.linalg.norm(s.tests)), len(s.tests)
    spread, reach = float(np.linalg.norm(s.prior_factor)), float(np.linalg.norm(s.prior_mean)) + 1
    return np.append(np.full(count, size * reach), np.full(count**2, size**2 * spread**2))


def conditioned(s: FunctionSpaceSetting) -> FunctionSpacePrediction:
    """The Gaussian process with kernel K conditioned on the data without noise."""
    sigma = s.prior_factor @ s.prior_factor.T
    gain = np.linalg.solve(s.design @ sigma @ s.design.T, s.design @ sigma @ s.tests.T).T
    mean = s.tests @ s.prior_mean + gain @ (s.targets - s.design @ s.prior_mean)
    return FunctionSpacePrediction(mean, s.tests @ sigma @ s.tests.T - gain @ s.design @ sigma @ s.tests.T)


def compare_conditioned(s: FunctionSpaceSetting, p: FunctionSpacePrediction, rows: Rows) -> Comparison:
    """Solving with K(X, X) costs its condition number times max(n, p) roundings of everything that is added up."""
    sigma = s.prior_factor @ s.prior_factor.T
    condition = float(np.linalg.cond(s.design @ sigma @ s.design.T))
    unit = 20 * max(s.prior_factor.shape) * UNIT_ROUNDOFF * condition
    gain = 1 + float(np.linalg.norm(sigma)) / float(row_space(s.design).singular_values[-1]) * float(
        np.linalg.norm(s.targets) + 1
    )
    return Comparison(
        flat(conditioned(s)), flat(p), errors(s, limit_error(s)) + unit * gain * scale_of(s), gain * scale_of(s)
    )
