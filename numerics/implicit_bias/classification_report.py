"""A run on separable data, step by step: its laws against the predicted limit, its margin against the bound, and its exponent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .assessment import Assessment
from .coordinates import Coordinates
from .gaussian_law import GaussianLaw
from .least_squares import UNIT_ROUNDOFF
from .max_margin import MaxMargin, max_margin
from .separable_limits import relative_margin_bound, unseen_part
from .training_run import TrainingRun
from .wasserstein import wasserstein2


@dataclass(frozen=True)
class MeasuredMargin:
    """After `step` steps of training on separable data.

    to_limit: W2 between the law of w - w_hat log(step) and the predicted one, where one is predicted and step > 0.
    relative_margin: min_n x_n^T mean / (gamma ||mean||), the norm that of D^-1, at most 1; `least` is the theorem's lower
    bound for a point under the exponential loss. kept: how far the law moved in directions that no row sees, which in
    exact arithmetic is not at all, and what rounding allows. trained: size of the factor in the other directions.
    """

    step: int
    to_limit: float | None
    relative_margin: float
    least: float | None
    kept: float
    allowed: float
    trained: float

    @property
    def agrees(self) -> bool:
        """Is everything that holds at each finite step within rounding?"""
        return self.kept <= self.allowed and (self.least is None or self.relative_margin >= self.least)

    def __str__(self) -> str:
        parts = [f"step {self.step}: relative margin {self.relative_margin:.6g}"]
        if self.least is not None:
            parts.append(f"(at least {self.least:.6g})")
        parts.append(f"unseen directions moved by {self.kept:.3g} (rounding allows {self.allowed:.3g})")
        if self.to_limit is not None:
            parts.append(f"W2 to the limit, less w_hat log t, {self.to_limit:.6g}")
        return " ".join(parts)


def measure_classification(
    x: np.ndarray, run: TrainingRun, laws: Mapping[int, GaussianLaw], found: Assessment, frame: Coordinates
) -> tuple[tuple[MeasuredMargin, ...], float | None]:
    """One row for each recorded step, in order, and the measured exponent of the factor; nothing where theory refuses."""
    if not found.claims:
        return (), None
    solution = max_margin(x, metric=run.training.metric)
    rows = tuple(_measured(x, run, laws, found, frame, solution, step) for step in laws)
    return rows, _exponent(rows)


def _measured(
    x: np.ndarray,
    run: TrainingRun,
    laws: Mapping[int, GaussianLaw],
    found: Assessment,
    frame: Coordinates,
    solution: MaxMargin,
    step: int,
) -> MeasuredMargin:
    start, law = laws[0], laws[step]
    limit = None
    if found.law is not None and step:
        limit = wasserstein2(GaussianLaw(law.mean - math.log(step) * solution.weights, law.factor), found.law)
    moved = np.column_stack([law.mean - start.mean, *_paired(law.factor, start.factor)])
    metric = None if frame.root is None else frame.root @ frame.root.T
    kept = float(np.linalg.norm(unseen_part(x, moved, metric=metric)))
    seen = law.factor - unseen_part(x, law.factor, metric=metric)
    size = float(np.linalg.norm(frame.inner(law).mean))
    allowed = run.unit * _rounding(x, run, start, law, frame, solution, step)
    relative = float((x @ law.mean).min()) / (solution.margin * size) if size else 0.0
    least = None
    if found.claimed("ib.logit_maxmargin"):
        inner = frame.inner(start).mean
        least = float(
            relative_margin_bound(frame.rows(x), inner, step=run.training.step, time=step, margin=solution.margin)
        )
        # a longest row of length B turns an error of the weights into one of the margin
        longest = float(np.linalg.norm(frame.rows(x), axis=1).max())
        least -= 2 * allowed * longest / (solution.margin * size) if size else math.inf
    return MeasuredMargin(step, limit, relative, least, kept, allowed, float(np.linalg.norm(seen)))


def _paired(first: np.ndarray, second: np.ndarray) -> list[np.ndarray]:
    """Differences of columns; a law whose rank changed has moved by all of its columns."""
    if first.shape == second.shape:
        return list((first - second).T)
    return [*first.T, *second.T]


def _rounding(
    x: np.ndarray,
    run: TrainingRun,
    start: GaussianLaw,
    law: GaussianLaw,
    frame: Coordinates,
    solution: MaxMargin,
    step: int,
) -> float:
    """Bound, to first order in u = 2^-53, on the rounding of mean and factor after `step` steps.

    A step is w - eta D X^T c with c_n >= 0 (the losses' slopes), and S - eta kappa D X^T (c' x^T S) with 0 <= c'_n <= c_n. In
    exact arithmetic mean_t - mean_0 = D X^T sum of eta c, whose product with D^-1 w_hat is at least the sum C of all eta c_n,
    the margins of w_hat being 1 or more: so C is known from the run. A step rounds by u of what it stores, at most ||mean_0|| +
    ||D|| B C and cond ||S_0|| with B the longest row, and by gamma_{N+p+8} of its gradient's absolute sums, which add up to
    ||D|| B C (1 + kappa B cond ||S_0||). Descent below its guaranteed step does not expand errors in the norm of D^-1,
    which costs cond, the condition number of a root of D. Distances are then rounded by 4 p u of what they compare.
    """
    root = np.eye(x.shape[1]) if frame.root is None else frame.root
    condition, norm = float(np.linalg.cond(root)), float(np.linalg.norm(root, 2)) ** 2
    direction = np.linalg.solve(root, solution.weights)
    total = max(0.0, float(direction @ np.linalg.solve(root, law.mean - start.mean)))
    longest, spread = float(np.linalg.norm(x, axis=1).max()), condition * float(np.linalg.norm(start.factor))
    reach = float(np.linalg.norm(start.mean)) + norm * longest * total + spread
    gradients = norm * longest * total * (1 + run.training.covariance_rate * longest * spread)
    steps = step * UNIT_ROUNDOFF * reach + (sum(x.shape) + 8) * UNIT_ROUNDOFF * gradients
    return condition * steps + 4 * x.shape[1] * UNIT_ROUNDOFF * condition**2 * reach


def _exponent(rows: tuple[MeasuredMargin, ...]) -> float | None:
    """-d log ||trained part of the factor|| / d log t over the later half of log t, while it is a hundred times above rounding."""
    known = [(row.step, row.trained) for row in rows if row.step and row.trained > 100 * row.allowed]
    late = [pair for pair in known if pair[0] ** 2 >= known[-1][0]]
    if len(late) < 2:
        return None
    (first, before), (last, after) = late[0], late[-1]
    return math.log(before / after) / math.log(last / first)
