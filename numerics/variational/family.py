"""The variational family over a user's module: means of everything that is trained, factors of the chosen layers, and forward passes at a
draw.

The module itself is copied once and never edited: a draw is handed to `torch.func.functional_call`. A law's tensors are stored in the
coordinates of the parametrisation; `Family.at` multiplies them into what the network sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...theory.errors import InvalidInput
from ..methods.data import generator
from ..methods.network import FrozenNetwork, freeze, require_predictor
from .covariance import Covariance, FactorTensor
from .layers import Layer, Loose, choose_layers, find_layers
from .parametrisations import PARAMETRISATIONS, Parametrisation, Scaling, mean_scaling

Start = Literal["draw", "module"]


@dataclass(frozen=True, eq=False)
class Law:
    """q = N(mean, S S^T) by tensors: `means` of every trained tensor, `factors` of the variational layers."""

    means: dict[str, Tensor]
    factors: dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Family:
    """`variational` are the layers with a covariance, `layers` all of them; `scalings` of every mean and `tensors` of every factor by
    name."""

    network: FrozenNetwork
    layers: tuple[Layer, ...]
    variational: tuple[Layer, ...]
    loose: dict[str, Loose]
    covariance: Covariance
    parametrisation: Parametrisation
    scalings: dict[str, Scaling]
    tensors: dict[str, FactorTensor]

    @property
    def noise_size(self) -> int:
        """Standard normal numbers in one draw of the network."""
        return sum(self.covariance.noise_size(layer) for layer in self.variational)

    @property
    def multipliers(self) -> dict[str, float]:
        """Forward multiplier of every mean tensor."""
        return {name: scaling.multiplier for name, scaling in self.scalings.items()}

    @property
    def readout(self) -> Layer | None:
        """The variational linear layer whose output is the module's, if there is one: its expectations have closed forms."""
        return next((layer for layer in self.variational if layer.direct), None)

    def rates(self) -> tuple[dict[str, float], dict[str, float]]:
        """Learning rates of means and of factors, relative to the global one."""
        return (
            {name: scaling.rate for name, scaling in self.scalings.items()},
            {name: tensor.scaling.rate for name, tensor in self.tensors.items()},
        )

    def noise(self, stream: torch.Generator) -> Float[Tensor, " noise"]:
        """One draw of z for all layers."""
        return torch.randn(self.noise_size, generator=stream, dtype=self.network.dtype, device=self.network.device)

    def at(self, law: Law, z: Float[Tensor, " noise"] | None, *, without: tuple[Layer, ...] = ()) -> dict[str, Tensor]:
        """What the network sees at noise z (None: at the mean), by parameter name. Layers in `without` stay at their mean."""
        values = dict(law.means)
        if z is not None:
            parts = z.split([self.covariance.noise_size(layer) for layer in self.variational])
            for layer, part in zip(self.variational, parts, strict=True):
                if layer not in without:
                    for name, move in self.covariance.perturbation(layer, law.factors, part).items():
                        values[name] = values[name] + move
        for name, scaling in self.scalings.items():
            if scaling.multiplier != 1:
                values[name] = scaling.multiplier * values[name]
        return values

    def call(self, values: Mapping[str, Tensor], x: Tensor) -> Float[Tensor, "batch outputs"]:
        """The module's outputs at these parameters."""
        value: Any = torch.func.functional_call(self.network.module, {**values, **self.network.fixed}, (x,))
        assert isinstance(value, Tensor)
        return value

    def start(self, seed: int, *, scale: float = 1.0, means: Start = "draw") -> Law:
        """The law at the start, which is the prior: entries of the parametrisation's scales, factors times `scale`.

        means: "draw" draws the layers' weights and biases, "module" takes the module's own; norms and other loose tensors always start at
        the module's. A function of `seed` alone. Raises `InvalidInput`.
        """
        if means not in ("draw", "module"):
            raise InvalidInput(f"start is {means!r}.", 'Choose "draw" or "module".')
        device = self.network.device
        stream = generator(seed, "variational family: means", device)
        drawn = {name for layer in self.layers for name in layer.tensors}
        found: dict[str, Tensor] = {}
        for name, value in self.network.random.items():
            scaling = self.scalings[name]
            if means == "draw" and name in drawn:
                found[name] = scaling.std * torch.randn(value.shape, generator=stream, dtype=value.dtype, device=device)
            else:
                found[name] = value.clone() / scaling.multiplier
        stream = generator(seed, "variational family: factors", device)
        factors: dict[str, Tensor] = {}
        for name, tensor in self.tensors.items():
            entries = torch.randn(tensor.shape, generator=stream, dtype=self.network.dtype, device=device)
            if tensor.start == "signs":
                entries = torch.where(entries < 0, -1.0, 1.0).to(entries.dtype)
            # a Kronecker factor is a product: the scale enters it once
            size = 1.0 if name.endswith(".output") else scale
            factors[name] = size * tensor.scaling.std * entries
        return Law(found, factors)


def family(
    model: nn.Module,
    x: Tensor,
    covariance: Covariance,
    *,
    parametrisation: Parametrisation,
    layers: str | tuple[str, ...] = "ends",
    rate: float | None = None,
    device: str | torch.device,
) -> Family:
    """The family over a copy of `model`. x: inputs that it is going to see, on the device, for the order of its layers.

    layers: see `choose_layers`. rate: learning rate of the factors relative to their means', None for the table's. Raises `InvalidInput`,
    `AssumptionViolated`.
    """
    network = freeze(model, device)
    require_predictor(network, x)
    found, loose = find_layers(network, x)
    return assemble(network, found, loose, covariance, parametrisation=parametrisation, layers=layers, rate=rate)


def assemble(
    network: FrozenNetwork,
    found: tuple[Layer, ...],
    loose: dict[str, Loose],
    covariance: Covariance,
    *,
    parametrisation: Parametrisation,
    layers: str | tuple[str, ...] = "ends",
    rate: float | None = None,
) -> Family:
    """The family over a network whose layers are known. Raises `InvalidInput`."""
    if parametrisation not in PARAMETRISATIONS:
        raise InvalidInput(f"parametrisation is {parametrisation!r}.", f"Choose one of {PARAMETRISATIONS}.")
    if not isinstance(covariance, Covariance):
        raise InvalidInput(f"The covariance is a {type(covariance).__name__}.", "Pass LowRank, Diagonal or Kronecker.")
    chosen = choose_layers(found, layers)
    scalings = {}
    for layer in found:
        scalings[layer.weight] = mean_scaling(parametrisation, layer.role, fan_in=layer.fan_in, fan_out=layer.fan_out)
        if layer.bias is not None:
            scalings[layer.bias] = mean_scaling(parametrisation, "bias", fan_in=1, fan_out=layer.rows)
    for name, tensor in loose.items():
        scalings[name] = mean_scaling(parametrisation, tensor.kind, fan_in=1, fan_out=tensor.fan_out)
    tensors: dict[str, FactorTensor] = {}
    for layer in chosen:
        tensors |= covariance.tensors(layer, scalings, rate)
    ordered = {name: scalings[name] for name in network.random}
    return Family(network, found, chosen, loose, covariance, parametrisation, ordered, tensors)
