"""1024 RND pairs trained as one population, in blocks, and by two loops over them, on one core or one accelerator, over widths.

python benchmarks/rnd_population.py [--widths 16,128,...] [--pairs 1024] [--repeats 5] [--clock cpu] [--device cuda] [--json]

Every variant does the same descent steps from the same parameters. The loops are timed on their first `--loop-pairs` and
`--natural-pairs` members and scaled by the numbers of steps, which is said in the output. The natural loop is a torch.nn.Module, its loss's
`backward()` and torch.optim.SGD; the tuned loop is our own descent with written-out gradients, one network at a time. Repeats
are interleaved, medians are printed. `--clock cpu` counts processor time, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from nonvacuous.numerics.networks.fully_connected import (
    FullyConnected,
    Parameters,
    forward,
    fully_connected,
    initialise,
)
from nonvacuous.numerics.networks.tangent_kernel import empirical_ntk
from nonvacuous.numerics.training.choose import SETUP_SECONDS, choose, predicted_seconds, train
from nonvacuous.numerics.training.loop import train_loop
from nonvacuous.numerics.training.population import train_population
from nonvacuous.numerics.training.step_size import step_rule

TOLERANCE = 0.05
Problem = tuple[FullyConnected, Parameters, torch.Tensor, torch.Tensor]


def rnd_pairs(width: int, pairs: int, *, points: int, inputs: int, device: str) -> tuple[Problem, dict[str, Any]]:
    """Predictors, inputs, the frozen targets' values there, and the step rule."""
    network = fully_connected(
        inputs=inputs, width=width, depth=1, activation="erf", parametrisation="ntk", weight_scale=1.5, bias_scale=0.3
    )
    x = torch.randn(points, inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).to(device)
    predictors = initialise(network, pairs, seed=2, device=device)
    goals = forward(network, initialise(network, pairs, seed=3, device=device), x).output
    kernels = empirical_ntk(network, predictors, x).reshape(pairs, points, points)
    rule = step_rule(kernels, relative_residual=TOLERANCE, damping=0.5)
    options = {
        "relative_residual": TOLERANCE,
        "step_size_sum_loss": rule.step_size_sum_loss,
        "max_steps": rule.max_steps,
    }
    return (network, predictors, x, goals), options


class Network(torch.nn.Module):
    """The module that most people would write for one member."""

    def __init__(self, network: FullyConnected, member: Parameters) -> None:
        super().__init__()
        self.first, self.second = (torch.nn.Parameter(w[0].T.clone()) for w in member.weights)
        self.first_bias, self.second_bias = (torch.nn.Parameter(b[0, 0].clone()) for b in member.biases)
        self.factors = network.factors

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        (a, b), (c, d) = self.factors
        h = torch.erf(torch.nn.functional.linear(x, a * self.first, b * self.first_bias))
        return torch.nn.functional.linear(h, c * self.second, d * self.second_bias)


def natural_loop(problem: Problem, *, steps: torch.Tensor, rate: torch.Tensor) -> None:
    """One module, one optimizer, one backward pass after another, for the given numbers of steps: it need not look for its end."""
    network, parameters, x, goals = problem
    for member, (count, step) in enumerate(zip(steps.tolist(), rate.tolist(), strict=True)):
        model = Network(network, parameters.select(slice(member, member + 1)))
        optimizer = torch.optim.SGD(model.parameters(), lr=step)
        for _ in range(count):
            optimizer.zero_grad()
            loss = 0.5 * (model(x) - goals[member]).square().sum()
            loss.backward()
            optimizer.step()


def seconds(run: Callable[[], Any], clock: Callable[[], float], device: str) -> float:
    start = clock()
    run()
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def matrix_throughput(device: str, clock: Callable[[], float]) -> float:
    """Floating-point operations per second of a large float64 matrix product on this device, best of five."""
    size = 8192 if torch.device(device).type == "cuda" else 768
    a = torch.randn(size, size, dtype=torch.float64, device=device)
    torch.mm(a, a)
    return 2 * size**3 / min(seconds(lambda: torch.mm(a, a), clock, device) for _ in range(5))


def measure(width: int, a: argparse.Namespace, clock: Callable[[], float]) -> dict[str, Any]:
    """Seconds for all pairs of every variant at one width, medians over interleaved repeats."""
    problem, options = rnd_pairs(width, a.pairs, points=a.points, inputs=a.inputs, device=a.device)
    network, predictors, x, goals = problem
    steps = train(*problem, **options).steps.cpu()
    rate = options["step_size_sum_loss"]
    few, fewer = min(a.pairs, a.loop_pairs), min(a.pairs, a.natural_pairs)

    def part(count: int) -> Problem:
        return network, predictors.select(slice(0, count)), x, goals[:count]

    variants: dict[str, tuple[Callable[[], Any], int]] = {
        "chosen": (lambda: train(*problem, **options), a.pairs),
        "population": (lambda: train_population(*problem, **options), a.pairs),
        "tuned_loop": (lambda: train_loop(*part(few), **options | {"step_size_sum_loss": rate[:few]}), few),
        "natural_loop": (lambda: natural_loop(part(fewer), steps=steps[:fewer], rate=rate[:fewer]), fewer),
    }
    natural_loop(part(1), steps=steps[:1], rate=rate[:1])  # the first backward pass of a process sets things up
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(a.repeats):
        for name, (run, count) in variants.items():
            scale = float(steps.sum()) / float(steps[:count].sum())
            times[name].append(scale * seconds(run, clock, a.device))
    median = {name: statistics.median(values) for name, values in times.items()}
    choice = choose(network, a.pairs, a.points, device=a.device)
    products = (
        2 * a.points * width * (2 * (a.inputs + 1) + 3)
    )  # of one step of one member: two for the first layer, three for the readout
    row = {"width": width, "steps": int(steps.sum()), "block": choice.block, "strategy": choice.strategy}
    row |= {f"{name}_s": value for name, value in median.items()}
    row |= {f"{name}_spread": (min(values), max(values)) for name, values in times.items()}
    row["matrix_flops_per_second"] = products * int(steps.sum()) / median["chosen"]
    if torch.device(a.device).type == "cpu":
        mean = float(steps.double().mean())
        for name, block in (("chosen", choice.block), ("population", a.pairs), ("tuned_loop", 1)):
            blocks = -(-a.pairs // block)
            row[f"{name}_predicted_s"] = blocks * SETUP_SECONDS + mean * predicted_seconds(
                network, a.pairs, a.points, block=block
            )
    return row


def crossover(rows: list[dict[str, Any]], key: str) -> str:
    """First width at which the tuned loop is faster than the whole population."""
    found = next((row["width"] for row in rows if row[f"tuned_loop{key}"] < row[f"population{key}"]), None)
    return f"from width {found}" if found else "nowhere"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", default="16,128,1024,4096")
    parser.add_argument("--pairs", type=int, default=1024)
    parser.add_argument("--loop-pairs", type=int, default=64)
    parser.add_argument("--natural-pairs", type=int, default=8)
    parser.add_argument("--points", type=int, default=5)
    parser.add_argument("--inputs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--json", action="store_true")
    a = parser.parse_args()
    torch.set_num_threads(1)
    clock = time.process_time if a.clock == "cpu" and a.device == "cpu" else time.perf_counter
    peak = matrix_throughput(a.device, clock)
    rows = [measure(int(width), a, clock) for width in a.widths.split(",")]
    if a.json:
        print(json.dumps({"schema_version": 2, **vars(a), "matrix_flops_per_second_at_best": peak, "rows": rows}))
        return
    print(
        f"{a.pairs} pairs, {a.points} points of {a.inputs} dimensions, {a.device}, {a.clock} clock, medians of {a.repeats} interleaved repeats;"
    )
    print(
        f"tuned loop timed on {min(a.pairs, a.loop_pairs)} pairs, natural loop on {min(a.pairs, a.natural_pairs)}, both scaled to all by steps."
    )
    names = ("chosen", "population", "tuned_loop", "natural_loop")
    print(
        "width   steps",
        *(f"{name}_s".rjust(15) for name in names),
        " natural/chosen  tuned/chosen  of matrix peak  block",
    )
    for row in rows:
        values = " ".join(f"{row[f'{name}_s']:15.3f}" for name in names)
        ratios = " ".join(f"{row[f'{name}_s'] / row['chosen_s']:14.1f}" for name in ("natural_loop", "tuned_loop"))
        print(
            f"{row['width']:5d} {row['steps']:7d} {values} {ratios} {row['matrix_flops_per_second'] / peak:15.4f}  {row['block']} ({row['strategy']})"
        )
    if a.device == "cpu":
        print("predicted:")
        for row in rows:
            print(f"{row['width']:5d}         " + " ".join(f"{row[f'{name}_predicted_s']:15.3f}" for name in names[:3]))
        print(
            f"The tuned loop beats the whole population {crossover(rows, '_s')} (predicted: {crossover(rows, '_predicted_s')})."
        )
    print(f"Matrix product at best: {peak / 1e9:.1f} GFLOP/s.")


if __name__ == "__main__":
    main()
