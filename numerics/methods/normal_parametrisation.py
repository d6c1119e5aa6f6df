"""A user's module in the NTK parametrisation: every weight is sw/sqrt(fan in) times, every bias sb times, a standard normal number.

The theory of wide networks is about descent in those standard normal numbers. For a module as it is that means: draw each weight from
N(0, sw^2/fan in), each bias from N(0, sb^2), and give each tensor its own step, the common one times the square of its factor. Nothing of the
module has to be rewritten. Tensors of other layers (norms, embeddings) have no such prior: they keep the module's values, are
neither drawn nor trained, and must have `requires_grad` off, except for the affine part of norm layers, which is simply held.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...theory.errors import InvalidInput
from .data import generator
from .network import FrozenNetwork, freeze, outputs, require_predictor

Normals = dict[str, Tensor]

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm)


@dataclass(frozen=True, eq=False)
class NormalModule:
    """`network` is the user's module, held still; `factors` the factor of each tensor that is drawn and trained, by name, in the
    module's order; `readout` the name of its last linear layer; `held` the names of tensors that stay at the module's values."""

    network: FrozenNetwork
    factors: dict[str, float]
    readout: str
    held: tuple[str, ...]

    @property
    def outputs(self) -> int:
        """Number of outputs, or of heads."""
        return self.network.random[f"{self.readout}.weight".lstrip(".")].shape[0]

    @property
    def readout_tensors(self) -> tuple[str, ...]:
        """Names of the drawn tensors of the last layer."""
        return tuple(name for name in self.factors if name.rpartition(".")[0] == self.readout)

    @property
    def size(self) -> int:
        """Numbers that are drawn and trained, of one member."""
        return sum(self.network.random[name].numel() for name in self.factors)

    def constants(self) -> dict[str, Tensor]:
        """Everything of the module that is not drawn."""
        return {
            **{name: self.network.random[name] for name in self.held if name in self.network.random},
            **self.network.fixed,
        }

    def call(self, normals: Normals, x: Tensor) -> Float[Tensor, "inputs outputs"]:
        """Output of one member."""
        drawn = {name: factor * normals[name] for name, factor in self.factors.items()}
        value = torch.func.functional_call(self.network.module, drawn | self.constants(), (x,))
        assert isinstance(value, Tensor)
        return value

    def population(self, normals: Normals, x: Tensor) -> Float[Tensor, "members inputs outputs"]:
        """Outputs of all members; the tensors of `normals` have the members along their first axis."""
        return torch.func.vmap(self.call, in_dims=(0, None))(normals, x)

    def draw(self, members: int, seed: int, purpose: str) -> Normals:
        """Standard normal numbers for `members` members; the k-th member does not depend on how many there are."""
        stream = generator(seed, purpose, self.network.device)
        size = self.size
        rows = torch.stack(
            [
                torch.randn(size, generator=stream, dtype=self.network.dtype, device=self.network.device)
                for _ in range(members)
            ]
        )
        shapes = [self.network.random[name].shape for name in self.factors]
        parts = rows.split([shape.numel() for shape in shapes], dim=1)
        return {
            name: part.reshape(members, *shape) for name, part, shape in zip(self.factors, parts, shapes, strict=True)
        }


def normal_module(
    model: nn.Module,
    x: Tensor,
    *,
    weight_std: float,
    bias_std: float,
    device: str | torch.device,
    heads: int | None = None,
) -> NormalModule:
    """The user's module, copied; with its last linear layer widened to `heads` outputs where that is given.

    x: inputs that it is going to see, for the checks. Raises `InvalidInput`, `AssumptionViolated`.
    """
    for name, std in (("weight_std", weight_std), ("bias_std", bias_std)):
        if isinstance(std, bool) or not isinstance(std, (int, float)) or not 0 <= std < math.inf:
            raise InvalidInput(
                f"{name} is {std!r}.", "It is a finite number of at least 0 (the weights' larger than 0)."
            )
    if weight_std == 0:
        raise InvalidInput("weight_std is 0.", "Such a network does not see its inputs.")
    network = freeze(model, device)
    if network.dtype != torch.float64:
        raise InvalidInput(
            f"The model is {network.dtype}.",
            "Kernels of trained networks lose their small eigenvalues in float32: pass model.double().",
        )
    last = readout_of(network, x)
    if heads is not None:
        network = freeze(widened(network.module, last, heads), device)
    factors: dict[str, float] = {}
    held: list[str] = []
    owners = _owners(network.module)
    for name, value in network.random.items():
        owner = owners.get(name)
        if isinstance(owner, WEIGHTED):
            fan_in = value[0].numel() if value.ndim > 1 else 1
            factor = weight_std / math.sqrt(fan_in) if value.ndim > 1 else bias_std
            if factor > 0:
                factors[name] = factor
            else:
                held.append(name)
        elif isinstance(owner, NORMS):
            held.append(name)
        else:
            raise InvalidInput(
                f"The tensor {name!r} belongs to a {type(owner).__name__ if owner else 'plain parameter'}, which has no prior here.",
                "Freeze it with requires_grad_(False), or use linear, convolution and norm layers.",
            )
    if bias_std == 0:  # a bias that is not drawn starts at 0 and stays there
        network = FrozenNetwork(
            network.module,
            {
                n: torch.zeros_like(v)
                if n in held and n.endswith("bias") and isinstance(owners.get(n), WEIGHTED)
                else v
                for n, v in network.random.items()
            },
            network.fixed,
        )
    module = NormalModule(network, factors, last, tuple(held))
    if f"{last}.weight".lstrip(".") not in factors:
        raise InvalidInput("The last layer is frozen.", "The readout must be drawn and trained.")
    require_predictor(network, x)
    return module


def readout_of(network: FrozenNetwork, x: Tensor) -> str:
    """Name of the linear layer whose output is the module's output. Raises `InvalidInput` where there is none."""
    seen: dict[str, Tensor] = {}

    def hook(name: str) -> Any:
        def note(layer: nn.Module, inputs: Any, output: Tensor) -> None:
            seen[name] = output

        return note

    handles = [
        layer.register_forward_hook(hook(name))
        for name, layer in network.module.named_modules()
        if isinstance(layer, nn.Linear)
    ]
    try:
        found = outputs(network, x[:2])
    finally:
        for handle in handles:
            handle.remove()
    for name, value in seen.items():
        if value.data_ptr() == found.data_ptr() and value.shape == found.shape:
            return name
    raise InvalidInput(
        "The model's output is not the output of a linear layer.", "End it in nn.Linear, without a softmax."
    )


def widened(model: nn.Module, last: str, heads: int) -> nn.Module:
    """A copy of the module with `heads` outputs in the linear layer called `last`, whose weights are 0."""
    module = copy.deepcopy(model)
    layer = module.get_submodule(last)
    if not isinstance(layer, nn.Linear):
        raise InvalidInput(f"The model's layer {last!r} is a {type(layer).__name__}.", "Pass the same architecture.")
    wide = nn.utils.skip_init(
        nn.Linear,
        layer.in_features,
        heads,
        bias=layer.bias is not None,
        dtype=layer.weight.dtype,
        device=layer.weight.device,
    )
    with torch.no_grad():
        for value, old in zip(wide.parameters(), layer.parameters(), strict=True):
            value.zero_()
            value.requires_grad_(old.requires_grad)
    wide.train(layer.training)
    if not last:
        return wide
    parent, _, name = last.rpartition(".")
    setattr(module.get_submodule(parent), name, wide)
    return module


def _owners(module: nn.Module) -> Mapping[str, nn.Module]:
    return {
        f"{prefix}.{name}".lstrip("."): part
        for prefix, part in module.named_modules()
        for name, _ in part.named_parameters(recurse=False)
    }
