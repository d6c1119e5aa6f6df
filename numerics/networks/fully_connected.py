"""Finite fully connected networks as functions of stacked parameters.

A population of R networks is one tensor operation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ...theory.errors import InvalidInput
from ...theory.validation import sample_size
from ..kernels.fully_connected import layer_scales

ACTIVATIONS = ("relu", "erf")
PARAMETRISATIONS = ("ntk", "standard")


@dataclass(frozen=True)
class FullyConnected:
    """`depth` hidden layers of `width` units, `outputs` heads; scales per weight layer, the readout last.

    Parametrisation "ntk": entries of the parameters are N(0,1) and layer l is `sw_l/sqrt(fan_in) W h + sb_l b`.
    "standard": the same function at initialisation with the factors inside the parameters, so gradient descent
    follows another kernel.
    """

    inputs: int
    width: int
    depth: int
    outputs: int
    activation: str
    parametrisation: str
    weight_scale: tuple[float, ...]
    bias_scale: tuple[float, ...]

    @property
    def fans(self) -> tuple[tuple[int, int], ...]:
        """(fan in, fan out) of each weight layer."""
        sizes = (self.inputs, *([self.width] * self.depth), self.outputs)
        return tuple(pairwise(sizes))

    @property
    def factors(self) -> tuple[tuple[float, float], ...]:
        """(factor of W, factor of b) that the forward pass applies in each layer."""
        if self.parametrisation == "standard":
            return tuple((1.0, 1.0) for _ in self.fans)
        return self.deviations

    @property
    def deviations(self) -> tuple[tuple[float, float], ...]:
        """(sw/sqrt(fan in), sb) of each layer: standard deviations of factor times parameter at initialisation."""
        scales = zip(self.weight_scale, self.bias_scale, self.fans, strict=True)
        return tuple((sw / math.sqrt(fan_in), sb) for sw, sb, (fan_in, _) in scales)


@dataclass(frozen=True)
class Parameters:
    """Stacked parameters: `weights[l]` (R, fan_in, fan_out) and `biases[l]` (R, 1, fan_out)."""

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]

    @property
    def members(self) -> int:
        return self.weights[0].shape[0]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Weights, then biases."""
        return (*self.weights, *self.biases)

    def select(self, index: Any) -> Parameters:
        """The members picked by an index tensor or slice."""
        return Parameters(tuple(w[index] for w in self.weights), tuple(b[index] for b in self.biases))

    def clone(self) -> Parameters:
        return Parameters(tuple(w.clone() for w in self.weights), tuple(b.clone() for b in self.biases))


def fully_connected(
    *,
    inputs: int,
    width: int,
    depth: int,
    activation: str,
    parametrisation: str,
    weight_scale: float | Sequence[float],
    bias_scale: float | Sequence[float],
    outputs: int = 1,
) -> FullyConnected:
    """A checked architecture.

    Raises InvalidInput for sizes below 1, unknown names or scales that do not fit the depth.
    """
    sizes = {"inputs": inputs, "width": width, "depth": depth, "outputs": outputs}
    sizes = {name: sample_size(name, value) for name, value in sizes.items()}
    if activation not in ACTIVATIONS:
        raise InvalidInput(f"The activation {activation!r} is unknown.", f"Use one of {', '.join(ACTIVATIONS)}.")
    if parametrisation not in PARAMETRISATIONS:
        raise InvalidInput(
            f"The parametrisation {parametrisation!r} is unknown.", f"Use one of {', '.join(PARAMETRISATIONS)}."
        )
    sw, sb = (
        layer_scales(name, value, sizes["depth"])
        for name, value in (("weight_scale", weight_scale), ("bias_scale", bias_scale))
    )
    return FullyConnected(
        **sizes, activation=activation, parametrisation=parametrisation, weight_scale=sw, bias_scale=sb
    )


def initialise(
    network: FullyConnected, members: int, *, seed: int, dtype: torch.dtype = torch.float64, device: str = "cpu"
) -> Parameters:
    """Independent Gaussian parameters of `members` networks.

    Drawn on the CPU, so that a seed means the same on every device.
    """
    generator = torch.Generator().manual_seed(seed)
    members = sample_size("members", members)
    weights, biases = [], []
    for (fan_in, fan_out), (sw, sb) in zip(network.fans, network.deviations, strict=True):
        w = torch.randn(members, fan_in, fan_out, generator=generator, dtype=dtype)
        b = torch.randn(members, 1, fan_out, generator=generator, dtype=dtype)
        if network.parametrisation == "standard":
            w, b = w * sw, b * sb
        weights.append(w.to(device))
        biases.append(b.to(device))
    return Parameters(tuple(weights), tuple(biases))


def activate(name: str, z: Tensor) -> Tensor:
    """phi(z) entrywise."""
    return torch.erf(z) if name == "erf" else torch.relu(z)


def slope(name: str, z: Tensor) -> Tensor:
    """phi'(z) entrywise; 0 at the kink of ReLU."""
    return torch.exp(-z * z).mul_(2 / math.sqrt(math.pi)) if name == "erf" else (z > 0).to(z.dtype)


@dataclass(frozen=True)
class Trace:
    """One forward pass: `preactivations[l]` and the `features[l]` that enter layer l, each (R, N, units)."""

    preactivations: tuple[Tensor, ...]
    features: tuple[Tensor, ...]

    @property
    def output(self) -> Tensor:
        """(R, N, outputs)."""
        return self.preactivations[-1]


def forward(network: FullyConnected, parameters: Parameters, x: Tensor) -> Trace:
    """The network at inputs x, (N, d) shared by the members or (R, N, d)."""
    if x.ndim not in (2, 3) or x.shape[-1] != network.inputs:
        raise InvalidInput(f"x has shape {tuple(x.shape)}.", f"Pass (points, {network.inputs}).")
    if x.dtype != parameters.weights[0].dtype:
        raise InvalidInput(
            f"x is {x.dtype} and the parameters {parameters.weights[0].dtype}.", "Use one dtype, float64."
        )
    h = x if x.ndim == 3 else x.expand(parameters.members, *x.shape)
    features: list[Tensor] = []
    preactivations: list[Tensor] = []
    layers = zip(parameters.weights, parameters.biases, network.factors, strict=True)
    for w, b, (weight_factor, bias_factor) in layers:
        if preactivations:
            h = activate(network.activation, preactivations[-1])
        features.append(h)
        preactivations.append(torch.baddbmm(b, h, w, beta=bias_factor, alpha=weight_factor))
    return Trace(tuple(preactivations), tuple(features))


def pullback(network: FullyConnected, parameters: Parameters, trace: Trace, cotangent: Tensor) -> Parameters:
    """J^T c per member: the gradient of sum(cotangent * output) in all parameters; cotangent (R, N, outputs)."""
    weights, biases = [], []
    delta = cotangent
    for layer in reversed(range(len(network.factors))):
        weight_factor, bias_factor = network.factors[layer]
        weights.append(torch.bmm(trace.features[layer].mT, delta).mul_(weight_factor))
        biases.append(delta.sum(dim=1, keepdim=True).mul_(bias_factor))
        if layer:
            delta = torch.bmm(delta, parameters.weights[layer].mT).mul_(weight_factor)
            delta = delta.mul_(slope(network.activation, trace.preactivations[layer - 1]))
    return Parameters(tuple(reversed(weights)), tuple(reversed(biases)))
