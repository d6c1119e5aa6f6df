"""What sampled training is held to: exact averages over batches and noise, long single runs, many short ones."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, fmpq
from jaxtyping import Float

from ....numerics.claims import Comparison, Coverage, Enclosures
from ....numerics.implicit_bias.gaussian_law import GaussianLaw
from ....numerics.implicit_bias.least_squares import least_squares_problem, row_space, whole_times
from ....numerics.implicit_bias.mini_batches import batch_curvature
from ....numerics.implicit_bias.sampled_regression import largest_sampled_step, sampled_steps
from ....numerics.intervals import ALPHA
from ....numerics.store import Rows
from ....numerics.training.sampled_law import descend_sampled_law
from ....theory.validation import sample_size
from ...result import Run
from ..problems import integer_design, rational
from .noise_moments import roots

UNIT_ROUNDOFF = 2.0**-53
DELTA = 0.05


@dataclass(frozen=True, eq=False)
class SampledSetting:
    """X (examples, parameters), y (examples,), the prior's mean and factor, step, draws per step, batch size, times."""

    design: Float[np.ndarray, "examples parameters"]
    targets: Float[np.ndarray, " examples"]
    prior_mean: Float[np.ndarray, " parameters"]
    prior_factor: Float[np.ndarray, "parameters rank"]
    step: float
    samples: int
    batch_size: int
    times: tuple[int, ...]

    def __post_init__(self) -> None:
        least_squares_problem(self.design, self.targets, self.prior_mean), whole_times(self.times)
        self.prior, sample_size("samples", self.samples), sample_size("batch_size", self.batch_size)

    @property
    def prior(self) -> GaussianLaw:
        return GaussianLaw(self.prior_mean, self.prior_factor)

    @property
    def options(self) -> dict[str, Any]:
        return {"samples": self.samples, "batch_size": self.batch_size}

    @property
    def rank(self) -> int:
        return int(self.prior_factor.shape[1])


@dataclass(frozen=True, eq=False)
class SampledPrediction:
    """mu_inf, S_inf, the factor per step, and bounds on E ||(mu, S)_t - limit||^2 (times,)."""

    mean: Float[np.ndarray, " parameters"]
    factor: Float[np.ndarray, "parameters rank"]
    contraction: float
    bounds: Float[np.ndarray, " times"]


def random_setting(seed: int, *, times: tuple[int, ...] = (), longest: float | None = None) -> SampledSetting:
    """More parameters than examples, condition up to 2; batches of any size; `longest` asks for that tolerance at ALPHA."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 5))
    p, rank, samples, size = (
        n + int(rng.integers(1, 3)),
        int(rng.integers(1, 4)),
        int(rng.integers(1, 4)),
        int(rng.integers(1, n + 1)),
    )
    left, right = (np.linalg.qr(rng.normal(size=(k, n)))[0] for k in (n, p))
    design = left * rng.uniform(1, 2, n) @ right.T
    step = rng.uniform(0.4, 0.6) * largest_sampled_step(design, rank=rank, samples=samples, batch_size=size)
    if longest is not None:
        options = {"rank": rank, "samples": samples, "batch_size": size}
        times = (sampled_steps(design, step=step, tolerance=longest, delta=ALPHA, **options),)
    return SampledSetting(
        design, rng.normal(size=(n,)), rng.normal(size=(p,)), rng.normal(size=(p, rank)), step, samples, size, times
    )  # fmt: skip


# --- exact values -------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> SampledSetting:
    design = integer_design(rng)
    n, p = design.shape
    rank, samples, size = int(rng.integers(1, 5)), int(rng.integers(1, 4)), int(rng.integers(1, n + 1))
    step = rng.uniform(0.2, 0.9) * largest_sampled_step(design, rank=rank, samples=samples, batch_size=size)
    targets = design @ rng.integers(-3, 4, size=p).astype(np.float64)
    return SampledSetting(
        design, targets, rng.normal(size=(p,)), rng.normal(size=(p, rank)), step, samples, size, (1, 4)
    )


def exact_contraction(s: SampledSetting) -> arb:
    """1 - eta h_min (2 - eta L_max c), the eigenvalues as roots of characteristic polynomials in fractions."""
    n = len(s.targets)
    h_min = min((r for r in eigenvalues(s.design) if float(r) > 0), key=float)
    tops = [
        max(eigenvalues(s.design[list(batch)]), key=float) for batch in itertools.combinations(range(n), s.batch_size)
    ]
    largest = max(tops, key=float) * arb(fmpq(n, s.batch_size))
    eta = arb(fmpq(*Fraction(s.step).as_integer_ratio()))
    c = 1 + arb(fmpq(s.rank + 2, s.samples))
    return 1 - eta * h_min * (2 - eta * largest * c)


def eigenvalues(design: np.ndarray) -> list[arb]:
    """Of X^T X, zeros as exact zeros, the others as narrow balls."""
    x = rational(design)
    gram = x.transpose() * x if x.ncols() <= x.nrows() else x * x.transpose()
    return [root.real if not root.contains(0) else arb(0) for root in roots(gram.charpoly())]


# --- exact averages -----------------------------------------------------------------------------------------------


def average(s: SampledSetting, run: Run) -> dict[str, Any]:
    """E ||W_t - W_inf||^2 by averaging over every batch and, per coordinate of noise, over a three-point Gauss-Hermite rule.

    The second-moment matrix of vec(W) in coordinates of the row space obeys one linear recursion; its entries are of
    degree four in z, for which the rule is exact.
    """
    n, rank = len(s.targets), s.rank
    right = np.linalg.svd(s.design, full_matrices=False)[2].T
    solution = np.linalg.pinv(s.design) @ s.targets
    start = right.T @ np.column_stack([s.prior_mean - solution, s.prior_factor])
    inner = s.design @ right
    curvatures = [
        inner[list(batch)].T @ inner[list(batch)] * (n / s.batch_size)
        for batch in itertools.combinations(range(n), s.batch_size)
    ]
    points, weights = np.polynomial.hermite_e.hermegauss(3)
    size = start.size
    operator = np.zeros((size * size, size * size))
    single, pair = np.zeros((size, size)), np.zeros((size * size, size * size))
    # E (I - eta H (x) U)^(x2) = I - eta (E H (x) U (x) I + ...) + eta^2 E (H (x) U)^(x2), U an average of independent u u^T
    for choice in itertools.product(range(3), repeat=rank):
        u = np.append(1.0, points[list(choice)])
        share = float(np.prod(weights[list(choice)] / np.sqrt(2 * np.pi)))
        for h in curvatures:
            one = np.kron(h, np.outer(u, u))
            single += share / len(curvatures) * one
            pair += share / len(curvatures) * np.kron(one, one)
    mean = [np.kron(h, np.eye(rank + 1)) for h in curvatures]
    both = sum(np.kron(m, m) for m in mean) / len(mean)
    eye = np.eye(size)
    operator = np.eye(size * size) - s.step * (np.kron(single, eye) + np.kron(eye, single))
    operator += s.step**2 * (pair / s.samples + (1 - 1 / s.samples) * both)
    state, found = np.kron(start.ravel(), start.ravel()), []
    for t in range(max(s.times) + 1):
        if t in s.times:
            found.append(float(np.trace(state.reshape(size, size))))
        state = operator @ state
    return {"time": np.array(s.times), "error": np.array(found), "size": np.full(len(s.times), size)}


def compare_bound(s: SampledSetting, p: SampledPrediction, rows: Rows) -> Enclosures:
    """1 - exact value over bound; a step of the exact recursion sums `size`^2 terms, each as large as the state."""
    slack = 1 - rows["error"] / p.bounds
    rounding = 4 * rows["size"] ** 2 * UNIT_ROUNDOFF * (1 + rows["time"] / max(p.contraction, 0.1))
    return Enclosures(slack - rounding, slack + rounding, width=float(3 * rounding.max()))


# --- runs -----------------------------------------------------------------------------------------------------------


def train(s: SampledSetting, run: Run, *, momentum: float = 0.0, slower: float = 1.0) -> dict[str, Any]:
    """One run to the last of the times; mean and factor in one row."""
    means, factors = descend_sampled_law(
        s.design, s.targets, s.prior_mean, s.prior_factor, step=slower * s.step, record=(s.times[-1],),
        samples=s.samples, batch=s.batch_size, momentum=momentum, seed=run.seed,
    )  # fmt: skip
    return {"state": np.column_stack([means[0, 0], factors[0, 0]]).reshape(1, -1)}


def compare_limit(s: SampledSetting, p: SampledPrediction, rows: Rows) -> Comparison:
    """Markov at ALPHA for what is left and for rounding: steps do not expand in mean square, so their errors add up there."""
    x, space = s.design, row_space(s.design)
    reach = float(np.linalg.norm(s.prior_mean) + np.linalg.norm(s.prior_factor)) + 2 * float(
        np.sqrt(p.bounds[0] / p.contraction ** s.times[0])
    )
    noise = np.sqrt(1 + 2 * s.rank + s.rank * (s.rank + 2))  # root of E ||u u^T||_F^2
    terms = sum(x.shape) + s.rank + s.samples + 4
    gain = s.step * len(x) / s.batch_size * np.linalg.norm(np.abs(x), 2) ** 2 * noise
    rounding = s.times[-1] * UNIT_ROUNDOFF * reach * (2 + terms * gain)
    limit = max(x.shape) * 2 * UNIT_ROUNDOFF * space.norm / float(space.singular_values[-1]) * 3 * reach
    bound = np.sqrt(p.bounds[-1] / ALPHA) + rounding / np.sqrt(ALPHA) + limit
    predicted = np.column_stack([p.mean, p.factor]).ravel()
    return Comparison(rows["state"][0], predicted, np.array(bound), reach)


def run_many(s: SampledSetting, run: Run) -> dict[str, Any]:
    """Squared distances of many runs to P W_0 + the least-squares solution, at the last of the times."""
    means, factors = descend_sampled_law(
        s.design, s.targets, s.prior_mean, s.prior_factor, step=s.step, record=(s.times[-1],),
        samples=s.samples, batch=s.batch_size, replicates=run.block["runs"], seed=run.seed,
    )  # fmt: skip
    inverse = np.linalg.pinv(s.design)
    rows_only = inverse @ s.design
    square = np.sum(((means[0] - inverse @ s.targets) @ rows_only) ** 2, axis=1)
    return {"square": square + np.sum((rows_only @ factors[0]) ** 2, axis=(1, 2))}


def compare_failures(s: SampledSetting, p: SampledPrediction, rows: Rows) -> Coverage:
    failures = int(np.count_nonzero(rows["square"] > p.bounds[-1] / DELTA))
    return Coverage(delta=DELTA, violations=failures, trials=len(rows["square"]))


def start_squared(s: SampledSetting) -> float:
    inverse = np.linalg.pinv(s.design)
    moved = inverse @ (s.targets - s.design @ s.prior_mean)
    return float(moved @ moved + np.sum((inverse @ s.design @ s.prior_factor) ** 2))


def largest_curvature(s: SampledSetting) -> float:
    return batch_curvature(s.design, batch_size=s.batch_size)
