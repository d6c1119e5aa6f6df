"""Posterior draws x examples per second, and independent draws per second: `draw_risks` and `example_risks` against loops of forward
passes, on one thread, side by side. Independent draws are what a certificate's Monte-Carlo term is divided by (pb.gibbs_mc).

python benchmarks/posterior_draws.py [--json] [--device cpu]

The loops draw a whole set of parameters, put them into the module and evaluate it: `loader` in batches of 64 examples (what published
code does), `whole` on all examples at once. Both draw as many predictors as `draw_risks` does for its parts.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import argparse  # noqa: E402 (the environment comes first)
import json  # noqa: E402 (the environment comes first)
import statistics  # noqa: E402 (the environment comes first)
import time  # noqa: E402 (the environment comes first)
from collections.abc import Callable  # noqa: E402 (the environment comes first)
from typing import Any  # noqa: E402 (the environment comes first)

import torch  # noqa: E402 (the environment comes first)
from torch import Tensor, nn  # noqa: E402 (the environment comes first)

from nonvacuous.numerics.certify.certify import on_device  # noqa: E402 (the environment comes first)
from nonvacuous.numerics.certify.example_draws import example_risks  # noqa: E402 (the environment comes first)
from nonvacuous.numerics.certify.gaussian import MeanFieldGaussian, from_module, sample  # noqa: E402 (the environment comes first)
from nonvacuous.numerics.certify.losses import Loss  # noqa: E402 (the environment comes first)
from nonvacuous.numerics.certify.measure import default_parts  # noqa: E402 (the environment comes first)
from nonvacuous.numerics.certify.monte_carlo import MEMORY_MB, draw_risks  # noqa: E402 (the environment comes first)

LOSS = Loss("zero_one")
CASES = (
    (64, 100, 10, 719),
    (64, 100, 10, 64),
    (2, 16, 2, 200),
    (784, 100, 10, 1000),
)  # inputs, hidden, classes, examples


def loop(gaussian: MeanFieldGaussian, x: Tensor, y: Tensor, draws: int, batch: int) -> float:
    network, stream, errors = gaussian.network, torch.Generator(x.device).manual_seed(0), 0
    with torch.no_grad():
        for _ in range(draws):
            parameters = sample(gaussian, stream)
            for inputs, labels in zip(x.split(batch), y.split(batch), strict=True):
                found = torch.func.functional_call(network.module, parameters | network.fixed, (inputs,))
                errors += int(LOSS(found, labels).sum())
    return errors / (draws * len(x))


def seconds(action: Callable[[], Any], device: torch.device, repeats: int) -> float:
    action()
    found = []
    for _ in range(repeats):
        begin = time.perf_counter()
        action()
        if device.type == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - begin)
    return statistics.median(found)


def case(
    inputs: int, hidden: int, classes: int, examples: int, device: torch.device, memory_mb: float
) -> dict[str, Any]:
    stream = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, classes))
    gaussian = on_device(from_module(net, 0.05), device)
    x = torch.randn(examples, inputs, generator=stream).to(device)
    y = (torch.arange(examples) % classes).to(device)
    row: dict[str, Any] = {"network": f"{inputs}-{hidden}-{classes}", "examples": examples, "memory_mb": memory_mb}
    parts, few, many = default_parts(examples), 20, 400
    options: dict[str, Any] = {"seed": 0, "memory_mb": memory_mb}
    routes = {  # draws for each part, parts, action
        "draw_risks": (many, 1, lambda: draw_risks(gaussian, x, y, LOSS, draws=many, **options)),
        "draw_risks in parts": (
            many,
            parts,
            lambda: draw_risks(gaussian, x, y, LOSS, draws=many, parts=parts, **options),
        ),
        "example_risks": (many, examples, lambda: example_risks(gaussian, x, y, LOSS, draws=many, **options)),
        "loop over a loader": (few, 1, lambda: loop(gaussian, x, y, few, 64)),
        "loop, all at once": (few, 1, lambda: loop(gaussian, x, y, few, examples)),
    }
    for name, (draws, pieces, action) in routes.items():
        each = seconds(action, device, 3)
        row[name] = {"draws_x_examples": draws * examples / each, "independent_draws": draws * pieces / each}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--memory-mb", type=float, default=MEMORY_MB, help="working memory of draw_risks")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [case(*sizes, torch.device(options.device), options.memory_mb) for sizes in CASES]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print(f"{row['network']}, {row['examples']} examples, {row['memory_mb']:g} MiB of working memory")
        for name, found in list(row.items())[3:]:
            print(
                f"  {name:22s} {found['draws_x_examples']:14,.0f} draws x examples/s {found['independent_draws']:12,.0f} independent draws/s"
            )


if __name__ == "__main__":
    main()
