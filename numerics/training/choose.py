"""A population at once, one network at a time, or blocks between: whichever is predicted faster."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..networks.fully_connected import FullyConnected, Parameters
from .loop import train_loop
from .population import Trained

# A step costs a fixed overhead per batch plus its arithmetic, as long as the batch stays in the last-level cache.
# Beyond that every tensor is streamed from memory, and smaller batches win. Over widths 16 to 32768 the fastest block
# was the largest one whose working set stayed near 10 MB (benchmarks/rnd_population.py compares the choice with both
# extremes).
CACHE_BYTES = 8 * 2**20
_DEVICE_SHARE = 0.5  # of an accelerator's free memory


@dataclass(frozen=True)
class Choice:
    """`block` members are trained at once: all of them ("population"), one ("loop"), or some ("blocks")."""

    block: int
    bytes_per_member: int
    strategy: str


def bytes_per_member(network: FullyConnected, points: int, itemsize: int = 8) -> int:
    """Working set of one step: per layer its parameters and their gradient, and six tensors of activations."""
    entries = sum(2 * fan_out * (fan_in + 1) + 6 * points * fan_out for fan_in, fan_out in network.fans)
    return itemsize * entries


def choose(network: FullyConnected, members: int, points: int, *, device: str = "cpu", itemsize: int = 8) -> Choice:
    """The block that is predicted to be fastest for this network, population and number of training points."""
    each = bytes_per_member(network, points, itemsize)
    budget = float(CACHE_BYTES)
    if torch.device(device).type == "cuda":
        budget = _DEVICE_SHARE * torch.cuda.mem_get_info(torch.device(device))[0]
    block = int(min(members, max(1, budget // each)))
    return Choice(block, each, "population" if block == members else "loop" if block == 1 else "blocks")


def train(
    network: FullyConnected,
    parameters: Parameters,
    x: Tensor,
    targets: Tensor,
    *,
    step_size_sum_loss: Tensor | float,
    relative_residual: float,
    max_steps: int,
) -> Trained:
    """`train_population` in blocks of the chosen size; the result does not depend on the choice beyond rounding."""
    choice = choose(network, parameters.members, x.shape[0], device=str(x.device), itemsize=x.element_size())
    return train_loop(
        network,
        parameters,
        x,
        targets,
        step_size_sum_loss=step_size_sum_loss,
        relative_residual=relative_residual,
        max_steps=max_steps,
        block=choice.block,
    )
