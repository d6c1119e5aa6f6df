"""64 RND pairs trained as one population against a Python loop over them, on one core, over widths.

python benchmarks/rnd_population.py [--widths 16,64,256,...] [--repeats 3] [--json] Prints medians in seconds, their
ratio, and the first width at which the loop wins. Every variant does the same descent steps.
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
from nonvacuous.numerics.training.choose import choose, train
from nonvacuous.numerics.training.loop import train_loop
from nonvacuous.numerics.training.population import train_population
from nonvacuous.numerics.training.step_size import step_rule

PAIRS = 64
TOLERANCE = 0.05


def rnd_pairs(width: int) -> tuple[FullyConnected, Parameters, torch.Tensor, torch.Tensor, dict[str, Any]]:
    """Predictors, inputs, the frozen targets' values there, and the step rule."""
    network = fully_connected(
        inputs=3, width=width, depth=1, activation="erf", parametrisation="ntk", weight_scale=1.5, bias_scale=0.3
    )
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    predictors = initialise(network, PAIRS, seed=2)
    goals = forward(network, initialise(network, PAIRS, seed=3), x).output
    kernels = empirical_ntk(network, predictors, x).reshape(PAIRS, 5, 5)
    rule = step_rule(kernels, relative_residual=TOLERANCE, damping=0.5)
    options = {
        "relative_residual": TOLERANCE,
        "step_size_sum_loss": rule.step_size_sum_loss,
        "max_steps": rule.max_steps,
    }
    return network, predictors, x, goals, options


def autograd_loop(
    network: FullyConnected,
    parameters: Parameters,
    x: torch.Tensor,
    goals: torch.Tensor,
    *,
    steps: torch.Tensor,
    rate: torch.Tensor,
) -> None:
    """The loop most people write: autograd, one network at a time, the same numbers of steps."""
    for member in range(parameters.members):
        one = parameters.select(slice(member, member + 1)).clone()
        for tensor in one.tensors:
            tensor.requires_grad_()
        for _ in range(int(steps[member])):
            loss = 0.5 * (forward(network, one, x).output - goals[member : member + 1]).square().sum()
            gradients = torch.autograd.grad(loss, one.tensors)
            with torch.no_grad():
                for tensor, gradient in zip(one.tensors, gradients, strict=True):
                    tensor.sub_(float(rate[member]) * gradient)


def median_seconds(run: Callable[[], Any], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(width: int, repeats: int) -> dict[str, Any]:
    """Median seconds of every variant at one width."""
    network, predictors, x, goals, options = rnd_pairs(width)
    problem = (network, predictors, x, goals)
    steps, rate = train_population(*problem, **options).steps, options["step_size_sum_loss"]
    seconds = {
        "population": median_seconds(lambda: train_population(*problem, **options), repeats),
        "loop": median_seconds(lambda: train_loop(*problem, **options), repeats),
        "chosen": median_seconds(lambda: train(*problem, **options), repeats),
        "autograd_loop": median_seconds(lambda: autograd_loop(*problem, steps=steps, rate=rate), 1),
    }
    choice = choose(network, PAIRS, x.shape[0])
    return {
        "width": width,
        "steps": int(steps.sum()),
        **{f"{name}_s": value for name, value in seconds.items()},
        "loop_over_population": seconds["loop"] / seconds["population"],
        "loop_over_chosen": seconds["loop"] / seconds["chosen"],
        "block": choice.block,
        "strategy": choice.strategy,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", default="16,64,256,1024,4096,16384")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [measure(int(width), arguments.repeats) for width in arguments.widths.split(",")]
    wins = next((row["width"] for row in rows if row["loop_over_population"] < 1), None)
    if arguments.json:
        print(json.dumps({"schema_version": 1, "pairs": PAIRS, "loop_wins_from_width": wins, "rows": rows}))
        return
    columns = ("population_s", "loop_s", "autograd_loop_s", "chosen_s", "loop_over_population", "loop_over_chosen")
    print("width".rjust(6), "steps".rjust(6), *(name.rjust(20) for name in columns), " block")
    for row in rows:
        values = (f"{row[name]:20.4f}" for name in columns)
        print(f"{row['width']:6d} {row['steps']:6d}", *values, f" {row['block']} ({row['strategy']})")
    print(f"{PAIRS} pairs, one core; the loop wins from width {wins if wins else 'none tried'}.")


if __name__ == "__main__":
    main()
