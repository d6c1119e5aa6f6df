"""Does one learning rate serve every width? The divergence edge and the loss curve of IBVI under maximal update and standard scales.

python benchmarks/learning_rate_transfer.py [--widths 64,256] [--seeds 3] [--parametrisations mup,sp] [--json]

A network 8-width-width-1 with ReLU, factors of rank 4 on first and last layer, SGD with momentum 0.9, constant rate, batches of 32 of 512
examples of a smooth target, 208 steps. Rates are powers of 2. The edge is the largest rate at which every seed stays finite; the loss is
the last epoch's mean (half the squared error), the median over seeds. Under maximal update edge and curve should coincide over widths (one
grid step apart at most); under standard scales both move down as the width grows. The place of the smallest loss is no criterion: the curve
is flat there.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from typing import Any

import torch
from torch import nn

from nonvacuous.numerics.methods.ibvi import IBVIConfig, fit
from nonvacuous.theory.errors import NumericalFailure

EXAMPLES, BATCH, EPOCHS, RANK = 512, 32, 13, 4
EXPONENTS = tuple(range(-2, -14, -1))


def last_loss(parametrisation: str, width: int, exponent: int, seed: int) -> float:
    """Mean objective of the last epoch, infinite where training diverges."""
    stream = torch.Generator().manual_seed(1)
    x = torch.randn(EXAMPLES, 8, generator=stream)
    y = torch.sin(x[:, :1] + x[:, 1:2]) + 0.5 * x[:, 2:3]
    net = nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)).eval()
    config = IBVIConfig(
        "gaussian", epochs=EPOCHS, batch_size=BATCH, learning_rate=2.0**exponent, schedule="constant", rank=RANK,
        parametrisation=parametrisation,  # type: ignore[arg-type]
    )  # fmt: skip
    try:
        return fit(net, (x, y), config, seed=seed, device="cpu").history[-1].objective
    except NumericalFailure:
        return math.inf


def measure(parametrisation: str, width: int, seeds: int) -> dict[str, Any]:
    losses = {e: [last_loss(parametrisation, width, e, seed) for seed in range(seeds)] for e in EXPONENTS}
    edge = max((e for e, found in losses.items() if all(map(math.isfinite, found))), default=None)
    return {
        "parametrisation": parametrisation,
        "width": width,
        "edge": edge,
        "median_loss": {e: statistics.median(found) for e, found in losses.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", default="64,256")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parametrisations", default="mup,sp")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [
        measure(name, int(width), options.seeds)
        for name in options.parametrisations.split(",")
        for width in options.widths.split(",")
    ]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print("scales width edge  " + " ".join(f"2^{e:<5}" for e in EXPONENTS))
    for row in rows:
        curve = " ".join(f"{value:7.3g}" for value in row["median_loss"].values())
        print(f"{row['parametrisation']:6} {row['width']:5} {'2^' + str(row['edge']):5} {curve}")


if __name__ == "__main__":
    main()
