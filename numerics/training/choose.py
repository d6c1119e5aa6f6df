"""A population at once, one network at a time, or blocks between: whichever is predicted faster."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...theory.errors import InvalidInput
from ..networks.fully_connected import FullyConnected, Parameters
from .loop import train_loop
from .population import Trained

# What a step costs on one core, fitted to 252 timings of single steps (widths 16 to 4096, 1 or 2 hidden layers, 1 or 4 outputs, 5 or 32 points,
# 1 to 1024 members; AMD EPYC, AVX2, float64): nine in ten predictions were within 30 percent. The choice needs no more. It depends on the ratio
# of a step's fixed cost to a member's share and on the cache. `benchmarks/rnd_population.py` prints predicted beside measured seconds.
CACHE_BYTES = 8 * 2**20  # a working set beyond it is streamed from memory
SETUP_SECONDS = 0.7e-3  # of a block, before and after its steps
# calls of a step, whatever its size; the second again for each hidden layer
_STEP = {"one hidden layer": 45e-6, "any depth": 32e-6}
_ENTRY = {"erf": 9.5e-9, "relu": 3.2e-9}  # the passes over one activation
_PRODUCT = 0.6e-6  # one member's share in the call of a batched matrix product
_FLOP = 1 / 30e9
_TOUCH = 1 / 26e9  # a byte of a weight matrix that is in the cache
_STREAM = 1 / 8e9  # a byte of the working set that is not
_CLOSE = 1.02  # of blocks that are about as fast, the smallest
_DEVICE_SHARE = 0.5  # of an accelerator's free memory


@dataclass(frozen=True)
class Choice:
    """`block` members are trained at once: all of them ("population"), one ("loop"), or some ("blocks").

    `seconds_per_step` of all members on one core, for the chosen block; nan on an accelerator, where nothing is predicted.
    """

    block: int
    bytes_per_member: int
    strategy: str
    seconds_per_step: float = float("nan")


def bytes_per_member(network: FullyConnected, points: int, itemsize: int = 8, *, momentum: bool = False) -> int:
    """Working set of one step: three tensors of activations for each hidden layer, the parameters, and their speeds with momentum."""
    parameters = sum(fan_out * (fan_in + 1) for fan_in, fan_out in network.fans)
    activations = points * (3 * network.depth * network.width + 2 * network.outputs)
    return itemsize * ((1 + momentum) * parameters + activations)


def predicted_seconds(
    network: FullyConnected, members: int, points: int, *, block: int, itemsize: int = 8, momentum: bool = False
) -> float:
    """One step of all members on one core, in blocks. Raises InvalidInput for a block below 1."""
    if not 1 <= block <= members:
        raise InvalidInput(f"block is {block!r}.", f"It lies between 1 and {members}.")
    entries = points * network.depth * network.width
    member = _ENTRY[network.activation] * entries
    if (network.depth, network.outputs) == (1, 1):
        step = _STEP["one hidden layer"]
        member += _FLOP * 4 * points * network.width * min(points, network.inputs + 1)
    else:
        step = _STEP["any depth"] * (1 + network.depth)
        member += _PRODUCT * (3 * network.depth + 2)
        for fan_in, fan_out in network.fans[1:]:
            member += _FLOP * 6 * points * fan_in * fan_out + _TOUCH * 4 * itemsize * fan_in * fan_out
    working = bytes_per_member(network, points, itemsize, momentum=momentum)
    full, rest = divmod(members, block)
    total = 0.0
    for size, times in ((block, full), (rest, 1)):
        if size and times:
            streamed = max(0.0, size * working - CACHE_BYTES)
            total += times * (step + size * member + _STREAM * streamed)
    return total


def choose(
    network: FullyConnected,
    members: int,
    points: int,
    *,
    device: str = "cpu",
    itemsize: int = 8,
    momentum: bool = False,
) -> Choice:
    """The block that is predicted to be fastest for this network, population and number of training points.

    On an accelerator steps are bound by launches until its memory is full, so the largest block that fits is taken.
    """
    each = bytes_per_member(network, points, itemsize, momentum=momentum)
    if torch.device(device).type == "cuda":
        kept = 2 * itemsize * sum(fan_out * (fan_in + 1) for fan_in, fan_out in network.fans)  # start and result
        budget = _DEVICE_SHARE * torch.cuda.mem_get_info(torch.device(device))[0]
        block = int(min(members, max(1, budget // (each + kept))))
        return Choice(block, each, _strategy(block, members))
    blocks = sorted({min(members, 1 << power) for power in range(members.bit_length() + 1)})
    seconds = {
        block: predicted_seconds(network, members, points, block=block, itemsize=itemsize, momentum=momentum)
        for block in blocks
    }
    block = next(block for block in blocks if seconds[block] <= _CLOSE * min(seconds.values()))
    return Choice(block, each, _strategy(block, members), seconds[block])


def _strategy(block: int, members: int) -> str:
    return "population" if block == members else "loop" if block == 1 else "blocks"


def train(
    network: FullyConnected,
    parameters: Parameters,
    x: Tensor,
    targets: Tensor,
    *,
    step_size_sum_loss: Tensor | float,
    relative_residual: float,
    max_steps: int,
    momentum: Tensor | float = 0.0,
    ntk_train: Tensor | None = None,
) -> Trained:
    """`train_population` in blocks of the chosen size; the result does not depend on the choice beyond rounding."""
    heavy = bool((torch.as_tensor(momentum) > 0).any())
    choice = choose(
        network, parameters.members, x.shape[0],
        device=str(x.device), itemsize=x.element_size(), momentum=heavy,
    )  # fmt: skip
    return train_loop(
        network,
        parameters,
        x,
        targets,
        step_size_sum_loss=step_size_sum_loss,
        relative_residual=relative_residual,
        max_steps=max_steps,
        block=choice.block,
        momentum=momentum,
        ntk_train=ntk_train,
    )
