"""What a linear or convolution layer sees and sends back, example by example: the factors of its share of the tangent kernel.

The gradient of output c at example i with respect to a weight matrix is sum_p g_icp a_ip^T, over the positions p at which the layer's inputs a
meet its weights (one for a dense layer, one per pixel for a convolution, one more for each further call of a shared layer). So inner
products of gradients are sum_pq (a_ip . b_jq)(g_icp . h_jdq), without any gradient being formed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..methods.network import FrozenNetwork

Conv = nn.Conv1d | nn.Conv2d


@dataclass(eq=False)
class Call:
    """One call of a layer: its inputs by position, and a zero that was added to its output, through which gradients are read."""

    layer: str
    inputs: Float[Tensor, "examples positions features"]
    probe: Tensor
    by_position: Callable[[Tensor], Tensor]


@dataclass(eq=False)
class Factors:
    """Inputs and gradients of one layer at some examples; all calls of the layer side by side along the positions."""

    weight: str | None
    bias: str | None
    inputs: Float[Tensor, "examples positions features"]
    gradients: Float[Tensor, "examples outputs positions units"]


@dataclass(eq=False)
class Recorded:
    """Outputs and layer factors at some examples, and the names of the trainable tensors that they account for."""

    outputs: Float[Tensor, "examples outputs"]
    factors: list[Factors]
    covered: set[str] = field(default_factory=set)


def structured_layers(network: FrozenNetwork) -> dict[str, nn.Module]:
    """Layers by name that have a trainable tensor and the structure above: Linear, and Conv1d and Conv2d with zero padding, one group."""
    found = {}
    for name, layer in network.module.named_modules():
        plain = type(layer) is nn.Linear or (
            type(layer) in (nn.Conv1d, nn.Conv2d)
            and layer.groups == 1
            and layer.padding_mode == "zeros"
            and not isinstance(layer.padding, str)
        )
        if plain and any(f"{name}.{own}".lstrip(".") in network.random for own in ("weight", "bias")):
            found[name] = layer
    return found


def record(network: FrozenNetwork, x: Tensor) -> Recorded:
    """Forward pass at x, then the gradients of every output with respect to every structured layer's output."""
    layers = structured_layers(network)
    with _recording(layers) as calls, torch.enable_grad():
        outputs = torch.func.functional_call(network.module, network.random | network.fixed, (x,))
    used = [call for call in calls if call.probe.numel()]
    gradients = _gradients(outputs, [call.probe for call in used])
    recorded = Recorded(outputs.detach(), [])
    for name in layers:
        own = [k for k, call in enumerate(used) if call.layer == name]
        if not own:
            continue
        weight, bias = (
            full if (full := f"{name}.{part}".lstrip(".")) in network.random else None for part in ("weight", "bias")
        )
        recorded.factors.append(
            Factors(
                weight,
                bias,
                _joined([used[k].inputs for k in own], 1),
                _joined([used[k].by_position(gradients[k]) for k in own], 2),
            )
        )
        recorded.covered.update(n for n in (weight, bias) if n)
    return recorded


def _joined(parts: list[Tensor], axis: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, axis)


def _gradients(outputs: Tensor, probes: list[Tensor]) -> list[Tensor]:
    """d outputs[:, c]/d probe for every c, (outputs, *probe.shape): examples do not mix, so a sum over them keeps them apart."""
    basis = torch.eye(outputs.shape[1], dtype=outputs.dtype, device=outputs.device)
    directions = basis[:, None, :].expand(-1, len(outputs), -1)
    if not probes:
        return []
    found: list[Tensor | None]
    if len(basis) == 1:
        alone = torch.autograd.grad(outputs, probes, directions[0], allow_unused=True)
        found = [None if value is None else value[None] for value in alone]
    else:
        found = list(torch.autograd.grad(outputs, probes, directions, is_grads_batched=True, allow_unused=True))
    # a call whose result is not used has no gradient
    return [
        probe.new_zeros(len(basis), *probe.shape) if value is None else value
        for value, probe in zip(found, probes, strict=True)
    ]


@contextmanager
def _recording(layers: dict[str, nn.Module]) -> Iterator[list[Call]]:
    calls: list[Call] = []

    def hook(name: str) -> Callable[..., Tensor]:
        def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            probe = output.new_zeros(()).expand(output.shape).requires_grad_()
            seen = inputs[0].detach()
            if isinstance(layer, nn.Linear):
                calls.append(Call(name, seen.reshape(len(seen), -1, seen.shape[-1]), probe, _dense))
            else:
                assert isinstance(layer, (nn.Conv1d, nn.Conv2d))
                calls.append(Call(name, _patches(layer, seen), probe, _convolution))
            return output + probe

        return note

    handles = [layer.register_forward_hook(hook(name)) for name, layer in layers.items()]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _dense(gradient: Tensor) -> Tensor:
    """(outputs, examples, ..., units) to (examples, outputs, positions, units)."""
    return gradient.reshape(*gradient.shape[:2], -1, gradient.shape[-1]).transpose(0, 1)


def _convolution(gradient: Tensor) -> Tensor:
    """(outputs, examples, units, *pixels) to (examples, outputs, positions, units)."""
    return gradient.flatten(3).permute(1, 0, 3, 2)


def _patches(layer: Conv, inputs: Tensor) -> Float[Tensor, "examples positions features"]:
    """The receptive field of every output pixel, flattened as the layer's weight is."""

    def two(value: tuple[int, ...], default: int) -> tuple[int, int]:
        return (value[0], value[1]) if len(value) == 2 else (default, value[0])

    image = inputs if isinstance(layer, nn.Conv2d) else inputs.unsqueeze(2)
    assert not isinstance(layer.padding, str)
    unfolded = nn.functional.unfold(
        image,
        two(layer.kernel_size, 1),
        dilation=two(layer.dilation, 1),
        padding=two(layer.padding, 0),
        stride=two(layer.stride, 1),
    )
    return unfolded.transpose(1, 2)
