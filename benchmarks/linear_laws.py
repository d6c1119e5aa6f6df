"""Laws of trained linear models against the prediction, on many random problems: descent, heavy ball, Nesterov, mini-batches.

    python benchmarks/linear_laws.py [--problems 1000] [--seed 0]

Each problem is trained step by step by the recursion written out here, in float64, and handed to `nv.implicit_bias.report`: its
distance to the law predicted for the last step must be explained by rounding, its distance to the limit by the rate and rounding.
With mini-batches the bound on the mean square (Markov at 1e-9 for each problem) and rounding must explain the latter.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import Counter
from typing import Any

import numpy as np

import nonvacuous as nv
from nonvacuous.numerics.implicit_bias.mini_batches import batch_rounding_floor, mean_square_bound

ib = nv.implicit_bias
STEPS, DELTA, GOAL = 1500, 1e-9, 1e-10


def problem(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, Any, bool]:
    """Design, targets, start, and whether X w = y has a solution by construction."""
    n, p, rank = int(rng.integers(1, 9)), int(rng.integers(1, 13)), int(rng.integers(1, 4))
    x = rng.normal(size=(n, p)) * 10 ** rng.uniform(-0.3, 0.3, size=p)
    if rng.random() < 0.2 and n > 1:
        x[-1] = x[0] - (x[1] if n > 2 else 0)  # dependent rows
    fits = bool(rng.random() < 0.8)
    y = x @ rng.normal(size=p) if fits else rng.normal(size=n)
    return x, y, ib.GaussianLaw(rng.normal(size=p), rng.normal(size=(p, rank))), fits


def descend(x: np.ndarray, y: np.ndarray, start: Any, training: Any, rng: np.random.Generator) -> Any:
    """torch's SGD on mean and factor together, the columns of the factor having targets 0."""
    state = np.column_stack([start.mean, start.factor])
    goal = np.column_stack([y, np.zeros((len(y), start.factor.shape[1]))])
    speed = np.zeros_like(state)
    for _ in range(STEPS):
        rows, weight = slice(None), 1.0
        if training.batch_size is not None:
            rows = rng.choice(len(x), size=training.batch_size, replace=False)
            weight = len(x) / training.batch_size
        gradient = weight * (x[rows].T @ (x[rows] @ state - goal[rows]))
        speed = training.momentum * speed + gradient
        move = gradient + training.momentum * speed if training.nesterov else speed
        state = state - training.step * move
    return ib.GaussianLaw(state[:, 0], state[:, 1:])


def choices(x: np.ndarray, fits: bool, rng: np.random.Generator) -> dict[str, Any]:
    """Settings below their thresholds, by 10 to 60 percent."""
    beta, part = float(rng.uniform(0.3, 0.95)), float(rng.uniform(0.4, 0.9))
    found = {
        "descent": ib.Training(step=part * ib.largest_stable_step(x)),
        "heavy ball": ib.Training(step=part * ib.largest_stable_momentum_step(x, momentum=beta), momentum=beta),
        "Nesterov": ib.Training(
            step=part * ib.largest_stable_momentum_step(x, momentum=beta, variant="nesterov"),
            momentum=beta,
            nesterov=True,
        ),
    }
    if fits and len(x) > 1:
        size = int(rng.integers(1, len(x)))
        found["mini-batches"] = ib.Training(
            step=part * ib.largest_stable_batch_step(x, batch_size=size), batch_size=size
        )
    return found


def batch_allowance(x: np.ndarray, y: np.ndarray, start: Any, training: Any) -> float:
    """What convergence (at DELTA) and rounding may leave of W2 to the limit."""
    runs = [(y, start.mean), *((np.zeros_like(y), column) for column in start.factor.T)]
    options = {"step": training.step, "batch_size": training.batch_size, "steps": STEPS}
    squares = sum(mean_square_bound(x, goal, w, **options) for goal, w in runs)
    floors = [batch_rounding_floor(x, goal, w, **options) for goal, w in runs]
    return math.sqrt(squares / DELTA) + float(np.linalg.norm(floors))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    worst: dict[str, float] = {}
    closest: dict[str, float] = {}
    began = time.process_time()
    for number in range(options.problems):
        rng = np.random.default_rng([options.seed, number])
        x, y, start, fits = problem(rng)
        for name, training in choices(x, fits, rng).items():
            end = descend(x, y, start, training, rng)
            found = ib.report(x, y, ib.TrainingRun(training, {0: start, STEPS: end}))
            counts[name, "problems"] += 1
            if found.assessment.law is None:
                counts[name, "refused"] += 1
                continue
            last = found.measured[-1]
            if training.batch_size is None:
                ratio = last.to_path / last.allowed
                near = ib.wasserstein2(
                    ib.metric_regression_path(
                        x, y, start, mean_metric=np.ones(x.shape[1]), factor_metric=np.ones(x.shape[1]), time=STEPS,
                        step=training.step, momentum=training.momentum,
                        variant="look_ahead" if training.nesterov else "heavy_ball",
                    ),
                    found.assessment.law,
                ) + last.allowed  # fmt: skip
            else:
                near = batch_allowance(x, y, start, training)
                ratio = last.to_limit / near
            counts[name, "outside the bound"] += ratio > 1
            worst[name] = max(worst.get(name, 0.0), ratio)
            if near <= GOAL:
                counts[name, "bound allows 1e-10"] += 1
                counts[name, "within 1e-10"] += last.to_limit <= GOAL
                closest[name] = max(closest.get(name, 0.0), last.to_limit)
    print(f"{options.problems} random problems, {STEPS} steps, {time.process_time() - began:.0f} s of processor time\n")
    print(
        "| | problems | refused | outside the bound | largest distance / bound | bound allows W2 <= 1e-10 | of these within, largest W2 |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in dict.fromkeys(name for name, _ in counts):
        row = [counts[name, key] for key in ("problems", "refused", "outside the bound")]
        print(
            f"| {name} | {row[0]} | {row[1]} | {row[2]} | {worst.get(name, 0):.2g} | {counts[name, 'bound allows 1e-10']} "
            f"| {counts[name, 'within 1e-10']}, {closest.get(name, 0):.1g} |"
        )


if __name__ == "__main__":
    main()
