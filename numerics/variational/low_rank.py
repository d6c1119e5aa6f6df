"""Low-rank and full covariance S S^T of a layer, one column of S for each number of noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...theory.errors import AssumptionViolated, InvalidInput
from .covariance import Covariance, FactorTensor, singular
from .layers import Layer
from .parametrisations import Scaling, factor_scaling

MOST_NUMBERS = 2**28  # of a full factor: 2 GiB in float64, and as much again for its gradient and its momentum


@dataclass(frozen=True)
class LowRank(Covariance):
    """S with `rank` columns for the whole layer; None: as many as the layer has entries, a full covariance. Raises `AssumptionViolated` for
    rank 0."""

    rank: int | None = 10

    def __post_init__(self) -> None:
        check_rank("rank", self.rank)

    def columns(self, layer: Layer) -> int:
        """R of this layer. Raises `InvalidInput` where it is more than the layer's entries or S does not fit in memory."""
        rank = layer.size if self.rank is None else self.rank
        if rank > layer.size:
            raise InvalidInput(
                f"rank is {rank}, the layer {layer.name!r} has {layer.size} entries.",
                'More columns than entries add nothing: lower the rank, or take covariance="full".',
            )
        if rank * layer.size > MOST_NUMBERS:
            raise InvalidInput(
                f"The factor of layer {layer.name!r} would have {layer.size} x {rank} numbers.",
                'Take covariance="low_rank" or "kronecker".',
            )
        return rank

    def tensors(self, layer: Layer, means: Mapping[str, Scaling], rate: float | None) -> dict[str, FactorTensor]:
        rank = self.columns(layer)
        shapes = {layer.weight: layer.shape} | ({} if layer.bias is None else {layer.bias: (layer.rows,)})
        return {
            name: FactorTensor((*shape, rank), factor_scaling(means[name], rank=rank, rate=rate))
            for name, shape in shapes.items()
        }

    def noise_size(self, layer: Layer) -> int:
        return self.columns(layer)

    def perturbation(self, layer: Layer, factor: Mapping[str, Tensor], z: Float[Tensor, " noise"]) -> dict[str, Tensor]:
        return {name: factor[name] @ z for name in layer.tensors}

    def output_variance(
        self, layer: Layer, factor: Mapping[str, Tensor], multipliers: Mapping[str, float], h: Float[Tensor, "batch in"]
    ) -> Float[Tensor, "batch out"]:
        spread = multipliers[layer.weight] * torch.einsum("bi,oir->bor", h, factor[layer.weight])
        if layer.bias is not None:
            spread = spread + multipliers[layer.bias] * factor[layer.bias]
        return spread.square().sum(2)

    def matrix(self, layer: Layer, factor: Mapping[str, Tensor]) -> Float[Tensor, "size noise"]:
        return torch.cat([factor[name].reshape(-1, factor[name].shape[-1]) for name in layer.tensors])

    def variances(self, layer: Layer, factor: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: factor[name].square().sum(-1) for name in layer.tensors}

    def log_determinant(self, layer: Layer, factor: Mapping[str, Tensor]) -> Float[Tensor, ""]:
        if self.columns(layer) < layer.size:
            raise singular(layer, self.columns(layer), layer.size)
        return 2 * torch.linalg.slogdet(self.matrix(layer, factor))[1]

    def independent(self, layer: Layer, stds: Mapping[str, float], like: Tensor) -> dict[str, Tensor]:
        if self.columns(layer) < layer.size:
            raise singular(layer, self.columns(layer), layer.size)
        eye = torch.eye(layer.size, dtype=like.dtype, device=like.device)
        count = layer.rows * layer.columns
        found = {layer.weight: stds[layer.weight] * eye[:count].reshape(*layer.shape, layer.size)}
        return found if layer.bias is None else found | {layer.bias: stds[layer.bias] * eye[count:]}


def check_rank(name: str, rank: int | None) -> None:
    """A whole number of at least 1, or None. Raises `AssumptionViolated` for 0, `InvalidInput` otherwise."""
    if rank is not None and not isinstance(rank, bool) and isinstance(rank, int) and rank == 0:
        raise AssumptionViolated(
            f"{name} is 0: the law would be a point.",
            "ib.regression_w2 needs a factor of at least one column; a point estimate is the plain network (ib.ls_minnorm).",
        )
    if rank is not None and (isinstance(rank, bool) or not isinstance(rank, int) or rank < 1):
        raise InvalidInput(f"{name} is {rank!r}.", "It is a whole number of at least 1.")
