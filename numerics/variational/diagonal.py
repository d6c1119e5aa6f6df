"""Diagonal covariance: every entry has noise of its own. Training takes the variance of every feature that is used (ib.kl_compare)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .covariance import Covariance, FactorTensor
from .layers import Layer
from .parametrisations import Scaling


@dataclass(frozen=True)
class Diagonal(Covariance):
    """One scale for each entry; it starts at the mean's standard deviation with a random sign, and the sign has no meaning."""

    def tensors(self, layer: Layer, means: Mapping[str, Scaling], rate: float | None) -> dict[str, FactorTensor]:
        shapes = {layer.weight: layer.shape} | ({} if layer.bias is None else {layer.bias: (layer.rows,)})
        relative = 1.0 if rate is None else rate
        return {
            name: FactorTensor(
                shape, Scaling(means[name].std, means[name].rate * relative, means[name].multiplier), start="signs"
            )
            for name, shape in shapes.items()
        }

    def noise_size(self, layer: Layer) -> int:
        return layer.size

    def perturbation(self, layer: Layer, factor: Mapping[str, Tensor], z: Float[Tensor, " noise"]) -> dict[str, Tensor]:
        parts = z.split([factor[name].numel() for name in layer.tensors])
        return {
            name: factor[name] * part.view_as(factor[name]) for name, part in zip(layer.tensors, parts, strict=True)
        }

    def output_variance(
        self, layer: Layer, factor: Mapping[str, Tensor], multipliers: Mapping[str, float], h: Float[Tensor, "batch in"]
    ) -> Float[Tensor, "batch out"]:
        variance = h.square() @ (multipliers[layer.weight] * factor[layer.weight]).square().T
        return variance if layer.bias is None else variance + (multipliers[layer.bias] * factor[layer.bias]).square()

    def matrix(self, layer: Layer, factor: Mapping[str, Tensor]) -> Float[Tensor, "size noise"]:
        return torch.diag(torch.cat([factor[name].reshape(-1) for name in layer.tensors]))

    def variances(self, layer: Layer, factor: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: factor[name].square() for name in layer.tensors}

    def log_determinant(self, layer: Layer, factor: Mapping[str, Tensor]) -> Float[Tensor, ""]:
        return 2 * torch.stack([factor[name].abs().log().sum() for name in layer.tensors]).sum()

    def independent(self, layer: Layer, stds: Mapping[str, float], like: Tensor) -> dict[str, Tensor]:
        shapes = {layer.weight: layer.shape} | ({} if layer.bias is None else {layer.bias: (layer.rows,)})
        return {
            name: torch.full(shape, stds[name], dtype=like.dtype, device=like.device) for name, shape in shapes.items()
        }
