"""Kronecker covariance: the weight as a matrix is M + A Z B^T, the bias a further column of it.

With the last axis fastest, vec(A Z B^T) = (A x B) vec(Z), so the covariance is (A A^T) x (B B^T): that order, and no other, for a weight
that is stored row by row. Its two factors enter the law as a product, so that the limit of training is no projection of the start
(ib.param_covariance).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...theory.errors import InvalidInput
from .covariance import Covariance, FactorTensor, singular
from .layers import Layer
from .low_rank import check_rank
from .parametrisations import Scaling, factor_scaling


@dataclass(frozen=True)
class Kronecker(Covariance):
    """A has `output_rank` columns, B `input_rank` (None: as many as rows). Raises `AssumptionViolated` for rank 0."""

    input_rank: int | None = None
    output_rank: int | None = None

    def __post_init__(self) -> None:
        check_rank("input_rank", self.input_rank)
        check_rank("output_rank", self.output_rank)

    def ranks(self, layer: Layer) -> tuple[int, int]:
        """Columns of A and of B for this layer. Raises `InvalidInput`."""
        sizes = (layer.rows, layer.columns + (layer.bias is not None))
        found = []
        for name, rank, size in zip(
            ("output_rank", "input_rank"), (self.output_rank, self.input_rank), sizes, strict=True
        ):
            if rank is not None and rank > size:
                raise InvalidInput(
                    f"{name} is {rank}, layer {layer.name!r} has {size} of them.",
                    "Lower it, or pass None for full rank.",
                )
            found.append(size if rank is None else rank)
        return found[0], found[1]

    def tensors(self, layer: Layer, means: Mapping[str, Scaling], rate: float | None) -> dict[str, FactorTensor]:
        out, into = self.ranks(layer)
        found = {
            f"{layer.weight}.input": FactorTensor(
                (layer.columns, into), factor_scaling(means[layer.weight], rank=into, rate=rate)
            )
        }
        if layer.bias is not None:
            found[f"{layer.bias}.input"] = FactorTensor(
                (1, into), factor_scaling(means[layer.bias], rank=into, rate=rate)
            )
        return found | {
            f"{layer.weight}.output": FactorTensor(
                (layer.rows, out), factor_scaling(Scaling(1.0, 1.0), rank=out, rate=rate)
            )
        }

    def noise_size(self, layer: Layer) -> int:
        out, into = self.ranks(layer)
        return out * into

    def perturbation(self, layer: Layer, factor: Mapping[str, Tensor], z: Float[Tensor, " noise"]) -> dict[str, Tensor]:
        a, b = factor[f"{layer.weight}.output"], factor[f"{layer.weight}.input"]
        left = a @ z.view(a.shape[1], b.shape[1])
        found = {layer.weight: (left @ b.T).view(layer.shape)}
        if layer.bias is not None:
            found[layer.bias] = left @ factor[f"{layer.bias}.input"][0]
        return found

    def output_variance(
        self, layer: Layer, factor: Mapping[str, Tensor], multipliers: Mapping[str, float], h: Float[Tensor, "batch in"]
    ) -> Float[Tensor, "batch out"]:
        into = multipliers[layer.weight] * (h @ factor[f"{layer.weight}.input"])
        if layer.bias is not None:
            into = into + multipliers[layer.bias] * factor[f"{layer.bias}.input"]
        return into.square().sum(1)[:, None] * factor[f"{layer.weight}.output"].square().sum(1)

    def matrix(self, layer: Layer, factor: Mapping[str, Tensor]) -> Float[Tensor, "size noise"]:
        a = factor[f"{layer.weight}.output"]
        parts = [torch.kron(a, factor[f"{name}.input"]) for name in layer.tensors]
        return torch.cat(parts)

    def variances(self, layer: Layer, factor: Mapping[str, Tensor]) -> dict[str, Tensor]:
        out = factor[f"{layer.weight}.output"].square().sum(1)
        into = {name: factor[f"{name}.input"].square().sum(1) for name in layer.tensors}
        found = {layer.weight: torch.outer(out, into[layer.weight]).view(layer.shape)}
        if layer.bias is not None:
            found[layer.bias] = out * into[layer.bias]
        return found

    def log_determinant(self, layer: Layer, factor: Mapping[str, Tensor]) -> Float[Tensor, ""]:
        a = factor[f"{layer.weight}.output"]
        b = torch.cat([factor[f"{name}.input"] for name in layer.tensors])
        for side in (a, b):
            if side.shape[1] < side.shape[0]:
                raise singular(layer, side.shape[1], side.shape[0])
        return 2 * (len(b) * torch.linalg.slogdet(a)[1] + len(a) * torch.linalg.slogdet(b)[1])

    def independent(self, layer: Layer, stds: Mapping[str, float], like: Tensor) -> dict[str, Tensor]:
        (out, into), width = self.ranks(layer), layer.columns + (layer.bias is not None)
        if out < layer.rows or into < width:
            raise singular(layer, min(out, into), layer.rows if out < layer.rows else width)
        eye = torch.eye(width, dtype=like.dtype, device=like.device)
        found = {f"{layer.weight}.input": stds[layer.weight] * eye[: layer.columns]}
        if layer.bias is not None:
            found[f"{layer.bias}.input"] = stds[layer.bias] * eye[layer.columns :]
        return found | {f"{layer.weight}.output": torch.eye(layer.rows, dtype=like.dtype, device=like.device)}
