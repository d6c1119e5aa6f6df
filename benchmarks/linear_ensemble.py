"""10,000 linear members trained as one matrix recursion, and by three loops over them, side by side, on one core.

python benchmarks/linear_ensemble.py [--members 10000] [--examples 20] [--parameters 50] [--steps 200] [--repeats 5] [--json]

Every variant does the same descent steps from the same starts, and the weights that it ends with are compared. `population`
is `descend_ensemble`; `tuned_loop` is one member at a time with the gradient written out in NumPy, the work arrays reused;
`library_loop` calls `descend_weights` for one member after another; `torch_loop` is a torch parameter, `backward()` and
torch.optim.SGD. Loops are timed on their first `--loop-members` members and scaled to all of them, which is said in the
output. Repeats are interleaved, medians are printed; processor time, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from nonvacuous.numerics.implicit_bias.least_squares import largest_stable_step
from nonvacuous.numerics.training.linear_ensemble import descend_ensemble
from nonvacuous.numerics.training.linear_gd import descend_weights


def tuned_loop(x: np.ndarray, y: np.ndarray, starts: np.ndarray, step: float, steps: int) -> np.ndarray:
    """One member at a time; two matrix-vector products per step into arrays that are made once."""
    ends = np.empty_like(starts)
    residual, gradient = np.empty(len(y)), np.empty(starts.shape[1])
    for member, start in enumerate(starts):
        w = start.copy()
        for _ in range(steps):
            np.dot(x, w, out=residual)
            residual -= y
            np.dot(x.T, residual, out=gradient)
            gradient *= step
            w -= gradient
        ends[member] = w
    return ends


def torch_loop(x: np.ndarray, y: np.ndarray, starts: np.ndarray, step: float, steps: int) -> np.ndarray:
    """What most people would write."""
    design, targets, ends = torch.tensor(x), torch.tensor(y), np.empty_like(starts)
    for member, start in enumerate(starts):
        w = torch.nn.Parameter(torch.tensor(start))
        optimiser = torch.optim.SGD([w], lr=step)
        for _ in range(steps):
            optimiser.zero_grad()
            (0.5 * (design @ w - targets).square().sum()).backward()
            optimiser.step()
        ends[member] = w.detach().numpy()
    return ends


def measure(a: argparse.Namespace) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(a.examples, a.parameters)), rng.normal(size=a.examples)
    starts = rng.normal(size=(a.members, a.parameters))
    step = 0.5 * largest_stable_step(x)
    few, fewer = min(a.loop_members, a.members), max(1, min(a.loop_members, a.members) // 10)
    variants: dict[str, tuple[Callable[[], np.ndarray], int]] = {
        "population": (lambda: descend_ensemble(x, y, starts, step=step, record=[a.steps])[0], a.members),
        "tuned_loop": (lambda: tuned_loop(x, y, starts[:few], step, a.steps), few),
        "library_loop": (
            lambda: np.stack([descend_weights(x, y, w, step=step, record=[a.steps])[0] for w in starts[:few]]),
            few,
        ),
        "torch_loop": (lambda: torch_loop(x, y, starts[:fewer], step, a.steps), fewer),
    }
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    ends: dict[str, np.ndarray] = {}
    torch_loop(x, y, starts[:1], step, 2)  # the first backward pass of a process sets things up
    for _ in range(a.repeats):
        for name, (run, count) in variants.items():
            begin = time.process_time()
            ends[name] = run()
            seconds[name].append((time.process_time() - begin) * a.members / count)
    reference = ends["population"]
    apart = {name: float(np.abs(found - reference[: len(found)]).max()) for name, found in ends.items()}
    row: dict[str, Any] = {f"{name}_s": statistics.median(values) for name, values in seconds.items()}
    row |= {f"{name}_spread": (min(values), max(values)) for name, values in seconds.items()}
    row |= {f"{name}_over_population": row[f"{name}_s"] / row["population_s"] for name in variants}
    return row | {f"{name}_apart": value for name, value in apart.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (
        ("members", 10_000),
        ("examples", 20),
        ("parameters", 50),
        ("steps", 200),
        ("repeats", 5),
        ("loop-members", 200),
    ):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--json", action="store_true")
    a = parser.parse_args()
    torch.set_num_threads(1)
    row = measure(a)
    if a.json:
        print(json.dumps({"schema_version": 1, **vars(a), **row}))
        return
    print(
        f"{a.members} members, {a.examples} examples, {a.parameters} parameters, {a.steps} steps, processor time, medians of {a.repeats} "
        f"interleaved repeats;\nloops timed on {min(a.loop_members, a.members)} members (torch: a tenth of them) and scaled to all."
    )
    print("variant         seconds   times the population   (least, most)          largest difference of weights")
    for name in ("population", "tuned_loop", "library_loop", "torch_loop"):
        low, high = row[f"{name}_spread"]
        print(
            f"{name:13} {row[f'{name}_s']:9.3f} {row[f'{name}_over_population']:22.1f}   ({low:8.3f}, {high:8.3f}) {row[f'{name}_apart']:22.1e}"
        )


if __name__ == "__main__":
    main()
