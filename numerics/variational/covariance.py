"""What a covariance of a layer must offer: its factor's tensors and their scales, noise to perturbation, and the variance it gives a linear
layer's output.

One object describes the shape of every layer's factor and holds no numbers, so that layers may share it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from ...theory.errors import AssumptionViolated
from .layers import Layer
from .parametrisations import Scaling


@dataclass(frozen=True)
class FactorTensor:
    """One stored tensor of a factor; `start`: independent normal entries, or `std` with random signs."""

    shape: tuple[int, ...]
    scaling: Scaling
    start: Literal["normal", "signs"] = "normal"


class Covariance(ABC):
    """Covariance of (weight, bias) of one layer; noise z is standard normal and shared by weight and bias.

    A layer's entries are ordered as the weight's, last axis fastest, then the bias's; `factor` holds the tensors of `tensors` by name.
    """

    @abstractmethod
    def tensors(self, layer: Layer, means: Mapping[str, Scaling], rate: float | None) -> dict[str, FactorTensor]:
        """Tensors of the factor by name. means: scalings of the layer's mean tensors; rate: relative rate of the factor, None for the
        table's. Raises `InvalidInput` for ranks that do not fit the layer."""

    @abstractmethod
    def noise_size(self, layer: Layer) -> int:
        """Length of z."""

    @abstractmethod
    def perturbation(self, layer: Layer, factor: Mapping[str, Tensor], z: Float[Tensor, " noise"]) -> dict[str, Tensor]:
        """What z adds to each of the layer's mean tensors, by parameter name and of its shape."""

    @abstractmethod
    def output_variance(
        self, layer: Layer, factor: Mapping[str, Tensor], multipliers: Mapping[str, float], h: Float[Tensor, "batch in"]
    ) -> Float[Tensor, "batch out"]:
        """Variance of W h + b of a linear layer, for each input and output."""

    @abstractmethod
    def matrix(self, layer: Layer, factor: Mapping[str, Tensor]) -> Float[Tensor, "size noise"]:
        """The explicit factor S, with S z the perturbation in the layer's order. For small layers."""

    @abstractmethod
    def variances(self, layer: Layer, factor: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Variance of every entry, by parameter name and of its shape: the diagonal of S S^T."""

    @abstractmethod
    def log_determinant(self, layer: Layer, factor: Mapping[str, Tensor]) -> Float[Tensor, ""]:
        """ln det(S S^T). Raises `AssumptionViolated` where the shape of the factor makes it singular."""

    @abstractmethod
    def independent(self, layer: Layer, stds: Mapping[str, float], like: Tensor) -> dict[str, Tensor]:
        """The factor of independent entries with one standard deviation for each mean tensor, in dtype and device of `like`. Raises
        `AssumptionViolated` where the factor has too few columns for it."""


def singular(layer: Layer, columns: int, rows: int) -> AssumptionViolated:
    """The refusal of a divergence that is infinite."""
    return AssumptionViolated(
        f"The factor of layer {layer.name!r} has {columns} columns for {rows} rows: its law is singular.",
        "KL to a nonsingular prior is infinite for every value of such a factor (ib.kl_compare): take a diagonal covariance, or full ranks.",
    )
