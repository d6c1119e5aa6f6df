"""The weight layers of a user's module, in the order in which a forward pass meets them, and what else of it is trained.

A layer is a weight with the bias that is added to its product: linear, convolution (1 to 3 dimensions), and the projections of
`nn.MultiheadAttention`. Only layers can carry a covariance. Everything else with `requires_grad` (norms, embeddings, loose parameters) is
trained deterministically; nothing that requires a gradient is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ...theory.errors import AssumptionViolated, InvalidInput
from ..methods.network import FrozenNetwork

Role = Literal["input", "hidden", "output"]
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.instancenorm._InstanceNorm, nn.modules.batchnorm._BatchNorm)


@dataclass(frozen=True)
class Layer:
    """One weight layer: `weight` and `bias` are parameter names (bias None where there is none or it is frozen).

    shape: of the weight, its first axis the outputs. fan_in, fan_out: numbers that enter and leave one output position. role: by the order
    of calls in the whole network. direct: its output is the module's output, and it is a linear layer that is called once.
    """

    name: str
    weight: str
    bias: str | None
    shape: tuple[int, ...]
    fan_in: int
    fan_out: int
    role: Role
    direct: bool

    @property
    def tensors(self) -> tuple[str, ...]:
        """Parameter names, the weight first."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    @property
    def rows(self) -> int:
        """Rows of the weight as a matrix, and length of the bias."""
        return self.shape[0]

    @property
    def columns(self) -> int:
        """Columns of the weight as a matrix: `shape` but for its first axis."""
        return int(torch.Size(self.shape[1:]).numel())

    @property
    def size(self) -> int:
        """Numbers in weight and bias together, P_l."""
        return self.rows * (self.columns + (self.bias is not None))


@dataclass(frozen=True)
class Loose:
    """A trained tensor that is no layer's: kind "bias" (of a layer with a frozen or shared weight), "vector" (norms, embeddings, loose
    parameters: one input to every output of `fan_out`) or "other"."""

    kind: Literal["bias", "vector", "other"]
    fan_out: int


def find_layers(network: FrozenNetwork, x: Tensor) -> tuple[tuple[Layer, ...], dict[str, Loose]]:
    """Layers whose weight is trained, in the order of a forward pass on `x[:2]`, and every other trained tensor by name.

    A layer that the pass does not reach is no layer: its tensors are loose. Raises `AssumptionViolated` where there is no trained layer.
    """
    calls, last = _trace(network.module, x[:2])
    order = [part for name in calls for part in _parts(network.module, name)]
    layers = []
    for index, (name, weight, bias, fan_out) in enumerate(order):
        if weight not in network.random:
            continue
        shape = tuple(network.random[weight].shape)
        role: Role = "output" if index == len(order) - 1 else "input" if index == 0 else "hidden"
        layers.append(
            Layer(
                name, weight, bias if bias in network.random else None, shape,
                fan_in=int(torch.Size(shape[1:]).numel()), fan_out=fan_out, role=role,
                direct=name == last and calls[name] == 1 and not _shared(network.module, weight),
            )
        )  # fmt: skip
    if not layers:
        raise AssumptionViolated(
            "The model has no linear, convolution or attention layer with a trained weight.",
            "A variational family needs weights to be random in (ib.regression_w2): unfreeze or add such a layer.",
        )
    used = {name for layer in layers for name in layer.tensors}
    return tuple(layers), {name: _loose(network, name) for name in network.random if name not in used}


def _trace(module: nn.Module, x: Tensor) -> tuple[dict[str, int], str | None]:
    """Calls of each linear, convolution and attention module by name, in order; and the linear one whose output is the module's."""
    calls: dict[str, int] = {}
    outputs: dict[str, Any] = {}

    def before(name: str) -> Any:
        def note(part: nn.Module, inputs: Any) -> None:
            calls[name] = calls.get(name, 0) + 1

        return note

    def after(name: str) -> Any:
        def note(part: nn.Module, inputs: Any, output: Any) -> None:
            outputs[name] = output

        return note

    handles = []
    for name, part in module.named_modules():
        if isinstance(part, (nn.Linear, *CONVOLUTIONS, nn.MultiheadAttention)):
            handles.append(part.register_forward_pre_hook(before(name)))
        if isinstance(part, nn.Linear):
            handles.append(part.register_forward_hook(after(name)))
    try:
        # with gradients: without them attention takes a fast path that calls no submodule
        with torch.enable_grad():
            value = module(x)
    finally:
        for handle in handles:
            handle.remove()
    same = [
        name
        for name, output in outputs.items()
        if isinstance(output, Tensor) and output.shape == value.shape and output.data_ptr() == value.data_ptr()
    ]
    return calls, same[-1] if same else None


def _parts(module: nn.Module, name: str) -> Iterator[tuple[str, str, str | None, int]]:
    """(layer, weight, bias, fan-out) of one called module."""
    part = module.get_submodule(name)
    prefix = f"{name}." if name else ""
    if not isinstance(part, nn.MultiheadAttention):
        fan_out = 1
        if isinstance(part, CONVOLUTIONS):  # as many positions of the kernel leave an input as enter an output
            fan_out = part.out_channels * int(torch.Size(part.kernel_size).numel()) // part.groups
        elif isinstance(part, nn.Linear):
            fan_out = part.out_features
        yield name, f"{prefix}weight", f"{prefix}bias", fan_out
        return
    if part.in_proj_weight is not None:
        yield f"{prefix}in_proj", f"{prefix}in_proj_weight", f"{prefix}in_proj_bias", part.embed_dim
    else:
        for which in ("q", "k", "v"):
            yield f"{prefix}{which}_proj", f"{prefix}{which}_proj_weight", None, part.embed_dim
    yield f"{prefix}out_proj", f"{prefix}out_proj.weight", f"{prefix}out_proj.bias", part.embed_dim


def _shared(module: nn.Module, weight: str) -> bool:
    """Whether the tensor has another name too."""
    tensor = dict(module.named_parameters(remove_duplicate=False))[weight]
    return sum(value is tensor for _, value in module.named_parameters(remove_duplicate=False)) > 1


def _loose(network: FrozenNetwork, name: str) -> Loose:
    owner_name, _, own = name.rpartition(".")
    owner, value = network.module.get_submodule(owner_name), network.random[name]
    if own.endswith("bias") and not isinstance(owner, NORMS):
        return Loose("bias", value.numel())
    if (
        value.ndim <= 1
        or isinstance(owner, (*NORMS, nn.Embedding))
        or type(owner).__module__.partition(".")[0] != "torch"
    ):
        return Loose("vector", value.shape[-1] if value.ndim else 1)
    return Loose("other", value.shape[0])


def choose_layers(layers: tuple[Layer, ...], wanted: str | tuple[str, ...]) -> tuple[Layer, ...]:
    """The layers that carry a covariance: "ends" (first and last), "all", or those named, in the order of the network. Raises
    `InvalidInput`."""
    if wanted == "ends":
        return layers if len(layers) == 1 else (layers[0], layers[-1])
    if wanted == "all":
        return layers
    names = [layer.name for layer in layers]
    if isinstance(wanted, str) or not isinstance(wanted, (tuple, list)) or not wanted or not set(wanted) <= set(names):
        raise InvalidInput(f"layers is {wanted!r}.", f'Choose "ends", "all", or names among {names}.')
    if len(set(wanted)) != len(wanted):
        raise InvalidInput(f"layers names one layer twice: {wanted!r}.", "Name each once.")
    return tuple(layer for layer in layers if layer.name in wanted)
