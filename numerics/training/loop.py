"""The same training, one network, or one block of networks, at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from ...theory.errors import InvalidInput
from ..networks.fully_connected import FullyConnected, Parameters
from .population import Trained, train_population
from .step_size import per_member


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
    momentum: Tensor | float = 0.0,
    ntk_train: Tensor | None = None,
) -> Trained:
    """`train_population` on `block` members after another.

    For networks so wide that a whole population leaves the cache.
    """
    if block < 1:
        raise InvalidInput(f"block is {block!r}.", "Train at least one member at a time.")
    step, memory = (
        per_member(name, value, like=x, members=parameters.members)
        for name, value in (("step_size_sum_loss", step_size_sum_loss), ("momentum", momentum))
    )
    parts = [
        train_population(
            network,
            parameters.select(rows),
            x,
            targets[rows],
            step_size_sum_loss=step[rows],
            relative_residual=relative_residual,
            max_steps=max_steps,
            momentum=memory[rows],
            ntk_train=None if ntk_train is None else ntk_train[rows],
        )
        for rows in (slice(start, start + block) for start in range(0, parameters.members, block))
    ]
    if len(parts) == 1:
        return parts[0]
    layers = range(len(parameters.weights))
    return Trained(
        Parameters(
            tuple(torch.cat([part.parameters.weights[layer] for part in parts]) for layer in layers),
            tuple(torch.cat([part.parameters.biases[layer] for part in parts]) for layer in layers),
        ),
        torch.cat([part.steps for part in parts]),
        torch.cat([part.residual for part in parts]),
    )
