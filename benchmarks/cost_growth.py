"""How the costs grow: measured exponents in the number of points n, the width and the number of heads, beside the predicted ones.

python benchmarks/cost_growth.py [--repeats 5] [--clock cpu] [--device cuda] [--only TEXT] [--json]

For each operation a ladder of sizes is timed, the sizes interleaved within each repeat. The exponent is the slope of log time over the two
longest steps of the ladder; its interval runs over the repeats. Two predictions stand beside it: the asymptotic one, and the slope that
the operation counts give at the very sizes measured (what is of lower order, fixed costs of a call included, still shows there).
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from nonvacuous.numerics.kernels import fully_connected_kernels
from nonvacuous.numerics.networks.fully_connected import fully_connected, initialise
from nonvacuous.numerics.networks.tangent_kernel import empirical_ntk
from nonvacuous.numerics.training.any_depth import AnyDepth
from nonvacuous.numerics.training.choose import predicted_seconds
from nonvacuous.numerics.training.one_hidden_layer import OneHiddenLayer
from nonvacuous.numerics.wide_networks.ensemble import ensemble_law
from nonvacuous.numerics.wide_networks.gram import gram_blocks

INPUTS = 8
Run = Callable[[], Any]


@dataclass(frozen=True)
class Ladder:
    """`prepare(size)` returns what is timed; `count(size)` its predicted cost, in any unit."""

    name: str
    variable: str
    sizes: tuple[int, ...]
    prepare: Callable[[int], Run]
    count: Callable[[int], float]
    asymptotic: float


def inputs(count: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((count, INPUTS))


def closed_kernels(points: int) -> Run:
    x = inputs(points)
    return lambda: fully_connected_kernels(x, depth=3, activation="relu", weight_scale=1.4, bias_scale=0.1)


def law(points: int) -> Run:
    """The law of a ridge ensemble at 50 test points, from its kernels."""
    found = fully_connected_kernels(inputs(points + 50), depth=1, activation="erf", weight_scale=1.5, bias_scale=0.3)
    k, t = (
        gram_blocks(name, value[:50, :50], value[:50, 50:], value[50:, 50:])
        for name, value in (("nngp", found.nngp), ("ntk", found.ntk))
    )
    labels = np.random.default_rng(2).standard_normal(points)
    return lambda: ensemble_law(k, t, labels, ridge_sum_loss=0.1)


def tangent_kernel(device: str, *, points: int, width: int, heads: int) -> Run:
    network = fully_connected(
        inputs=INPUTS, width=width, depth=2, outputs=heads, activation="relu", parametrisation="ntk",
        weight_scale=1.4, bias_scale=0.1,
    )  # fmt: skip
    parameters = initialise(network, 1, seed=1, device=device)
    x = torch.from_numpy(inputs(points)).to(device)
    return lambda: empirical_ntk(network, parameters, x)


def tangent_kernel_flops(*, points: int, width: int, heads: int) -> float:
    """Feature products n^2 width of two hidden layers, sensitivity products (n heads)^2 width of two, one pull-back through the weights."""
    rows = points * heads
    return points**2 * (2 * width + INPUTS) + 2 * rows**2 * width + rows * width**2 + points * width**2


def step(device: str, *, points: int, width: int, heads: int, depth: int, members: int) -> Run:
    network = fully_connected(
        inputs=INPUTS, width=width, depth=depth, outputs=heads, activation="erf", parametrisation="ntk",
        weight_scale=1.5, bias_scale=0.3,
    )  # fmt: skip
    parameters = initialise(network, members, seed=1, device=device)
    x = torch.from_numpy(inputs(points)).to(device)
    targets = torch.zeros(members, points, heads, dtype=torch.float64, device=device)
    shape = OneHiddenLayer if (depth, heads) == (1, 1) else AnyDepth
    state = shape(network, parameters, x, targets)
    change = torch.full((members,), -1e-9, dtype=torch.float64, device=device)

    def run() -> None:
        state.measure()
        state.descend(change, None)

    return run


def step_seconds(*, points: int, width: int, heads: int, depth: int, members: int) -> float:
    network = fully_connected(
        inputs=INPUTS, width=width, depth=depth, outputs=heads, activation="erf", parametrisation="ntk",
        weight_scale=1.5, bias_scale=0.3,
    )  # fmt: skip
    return predicted_seconds(network, members, points, block=members)


def ladders(device: str) -> tuple[Ladder, ...]:
    def kernel(variable: str, sizes: tuple[int, ...], asymptotic: float, **fixed: int) -> Ladder:
        return Ladder(
            "tangent kernel of a network, 2 hidden layers", variable, sizes,
            lambda size: tangent_kernel(device, **fixed, **{variable: size}),
            lambda size: tangent_kernel_flops(**fixed, **{variable: size}), asymptotic,
        )  # fmt: skip

    def descent(name: str, variable: str, sizes: tuple[int, ...], asymptotic: float, **fixed: int) -> Ladder:
        return Ladder(
            f"step of descent, {name}", variable, sizes,
            lambda size: step(device, **fixed, **{variable: size}),
            lambda size: step_seconds(**fixed, **{variable: size}), asymptotic,
        )  # fmt: skip

    on_cpu = (
        Ladder("closed kernels, 3 hidden layers (NumPy)", "points", (250, 500, 1000, 2000), closed_kernels, lambda n: float(n**2), 2),
        Ladder(
            "law of the ensemble at 50 points (NumPy)", "points", (250, 500, 1000, 2000), law,
            # eigenvalues or Cholesky of order n^3, solves for 100 right-hand sides
            lambda n: n**3 + 300.0 * n**2, 3,
        ),
    )  # fmt: skip
    return (
        *on_cpu,
        kernel("points", (128, 256, 512, 1024), 2, width=256, heads=1),
        kernel("width", (512, 1024, 2048, 4096), 2, points=64, heads=1),
        kernel("heads", (8, 16, 32, 64), 2, points=16, width=128),
        descent("1 hidden layer", "points", (16, 32, 64, 128), 1, width=64, heads=1, depth=1, members=64),
        descent("1 hidden layer", "width", (32, 64, 128, 256), 1, points=16, heads=1, depth=1, members=64),
        descent("1 hidden layer", "members", (32, 64, 128, 256), 1, points=8, width=64, heads=1, depth=1),
        descent("2 hidden layers", "width", (64, 128, 256, 512), 2, points=16, heads=1, depth=2, members=4),
        descent("1 hidden layer", "heads", (64, 128, 256, 512), 1, points=16, width=64, depth=1, members=16),
    )


def slope(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Of log value against log size, over the last three sizes."""
    x, y = (np.log(np.asarray(part[-3:], dtype=np.float64)) for part in (sizes, values))
    return float(np.polyfit(x, y, 1)[0])


def measure(ladder: Ladder, repeats: int, clock: Callable[[], float], device: str) -> dict[str, Any]:
    runs = [ladder.prepare(size) for size in ladder.sizes]
    inner = []
    for run in runs:
        run()
        start = clock()
        run()
        inner.append(max(1, math.ceil(0.02 / max(clock() - start, 1e-6))))  # at least 20 ms for each timing
    times: list[list[float]] = []
    for _ in range(repeats):
        row = []
        for run, count in zip(runs, inner, strict=True):
            start = clock()
            for _ in range(count):
                run()
            if torch.device(device).type == "cuda":
                torch.cuda.synchronize()
            row.append((clock() - start) / count)
        times.append(row)
    slopes = [slope(ladder.sizes, row) for row in times]
    return {
        "operation": ladder.name,
        "variable": ladder.variable,
        "sizes": ladder.sizes,
        "milliseconds": [1e3 * statistics.median(column) for column in zip(*times, strict=True)],
        "measured": statistics.median(slopes),
        "interval": (min(slopes), max(slopes)),
        "predicted_here": slope(ladder.sizes, [ladder.count(size) for size in ladder.sizes]),
        "asymptotic": ladder.asymptotic,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", default="", help="measure only the operations whose name contains this")
    parser.add_argument("--json", action="store_true")
    a = parser.parse_args()
    torch.set_num_threads(1)
    clock = time.process_time if a.clock == "cpu" and a.device == "cpu" else time.perf_counter
    chosen = [ladder for ladder in ladders(a.device) if a.only in ladder.name]
    rows = [measure(ladder, a.repeats, clock, a.device) for ladder in chosen]
    if a.json:
        print(
            json.dumps({"schema_version": 1, "device": a.device, "clock": a.clock, "repeats": a.repeats, "rows": rows})
        )
        return
    print(f"{a.device}, {a.clock} clock, one thread, {a.repeats} interleaved repeats; slopes over the last three sizes")
    print(
        "operation".ljust(46),
        "in".ljust(8),
        "measured (range)".ljust(22),
        "counted here  asymptotic  sizes: milliseconds",
    )
    for row in rows:
        low, high = row["interval"]
        sizes = ", ".join(f"{n}: {t:.3g}" for n, t in zip(row["sizes"], row["milliseconds"], strict=True))
        measured = f"{row['measured']:.2f} ({low:.2f} to {high:.2f})"
        print(
            row["operation"].ljust(46),
            row["variable"].ljust(8),
            measured.ljust(22),
            f"{row['predicted_here']:12.2f} {row['asymptotic']:11g}  {sizes}",
        )


if __name__ == "__main__":
    main()
