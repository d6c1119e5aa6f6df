"""The same training, one network at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from ..networks.fully_connected import FullyConnected, Parameters
from .population import Trained, train_population


def train_loop(
    network: FullyConnected,
    parameters: Parameters,
    x: Tensor,
    targets: Tensor,
    *,
    step_size_sum_loss: Tensor | float,
    relative_residual: float,
    max_steps: int,
    block: int = 1,
) -> Trained:
    """`train_population` on `block` members after another.

    For networks so wide that a whole population leaves the cache.
    """
    step = torch.as_tensor(step_size_sum_loss, dtype=x.dtype, device=x.device).expand(parameters.members)
    parts = [
        train_population(
            network,
            parameters.select(rows),
            x,
            targets[rows],
            step_size_sum_loss=step[rows],
            relative_residual=relative_residual,
            max_steps=max_steps,
        )
        for rows in (slice(start, start + block) for start in range(0, parameters.members, block))
    ]
    layers = range(len(parameters.weights))
    return Trained(
        Parameters(
            tuple(torch.cat([part.parameters.weights[layer] for part in parts]) for layer in layers),
            tuple(torch.cat([part.parameters.biases[layer] for part in parts]) for layer in layers),
        ),
        torch.cat([part.steps for part in parts]),
        torch.cat([part.residual for part in parts]),
    )
