"""Small networks on the example's points, for paired trainings."""

from __future__ import annotations

import numpy as np
import torch

from nonvacuous.numerics.networks.fully_connected import fully_connected
from nonvacuous.numerics.training.pooled import Problem
from nonvacuous.proofs.infinite_width.finite_training.instances import EXAMPLE

ARCHITECTURE = {"activation": "erf", "depth": 1, "weight_scale": 1.5, "bias_scale": 0.3, "parametrisation": "ntk"}
POINTS = torch.from_numpy(np.concatenate([EXAMPLE.test, EXAMPLE.train]))


def problem(width: int, *, outputs: int = 1, depth: int = 1, activation: str = "erf", positions: int = 1) -> Problem:
    network = fully_connected(
        inputs=3, width=width, outputs=outputs, **(ARCHITECTURE | {"depth": depth, "activation": activation})
    )
    points = POINTS.repeat_interleave(positions, dim=0)
    return Problem(network, points, len(EXAMPLE.test), positions)
