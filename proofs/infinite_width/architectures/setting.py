"""What the theorems about architectures take as inputs: images or points, and the layers' scales."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ....numerics.kernels.architectures.attention import Mechanism, Scaling
from ....numerics.kernels.architectures.images import Padding, Readout, checked_problem
from ....theory.activations import Activation
from ....theory.architectures import Layer, check_order
from ....theory.errors import InvalidInput
from ....theory.validation import finite


@dataclass(frozen=True, eq=False)
class ConvolutionalSetting:
    """Images x (n, height, width, channels); one-dimensional signals have height 1. sw and sb per layer, the dense readout last."""

    x: Float[np.ndarray, "n height width channels"]
    filter_size: tuple[int, int]
    padding: Padding
    readout: Readout
    activation: Activation
    weight_scale: tuple[float, ...]
    bias_scale: tuple[float, ...]

    def __post_init__(self) -> None:
        finite("x", self.x, ndim=4)
        if len(self.weight_scale) < 2:
            raise InvalidInput("weight_scale needs at least two entries.", "One per layer, the readout last.")
        checked_problem(self.x, None, **self.architecture)

    @property
    def architecture(self) -> dict[str, Any]:
        """Keyword arguments of `convolutional_kernels`."""
        return {
            "depth": len(self.weight_scale) - 1,
            "filter_size": self.filter_size,
            "padding": self.padding,
            "readout": self.readout,
            "activation": self.activation,
            "weight_scale": self.weight_scale,
            "bias_scale": self.bias_scale,
        }


@dataclass(frozen=True, eq=False)
class NetworkSetting:
    """Inputs x (n, d), and layers from the input to the readout."""

    x: Float[np.ndarray, "n features"]
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        finite("x", self.x, ndim=2)
        check_order(self.layers)


@dataclass(frozen=True, eq=False)
class AttentionSetting:
    """Sequences x (n, positions, features) through a dense layer per position (sw = `weight_scale`, `stem_bias_scale`; none if sw = 0)
    and one self-attention layer with s_QK, s_OV and sb."""

    x: Float[np.ndarray, "n positions features"]
    weight_scale: float
    stem_bias_scale: float
    query_key_scale: float
    output_value_scale: float
    bias_scale: float
    mechanism: Mechanism
    scaling: Scaling

    def __post_init__(self) -> None:
        finite("x", self.x, ndim=3)
        for name in ("weight_scale", "stem_bias_scale", "query_key_scale", "output_value_scale", "bias_scale"):
            value = finite(name, getattr(self, name), ndim=0)
            if value < 0:
                raise InvalidInput(f"{name} is {value:g}.", "Scales are standard deviations, or products of two.")

    @property
    def architecture(self) -> dict[str, Any]:
        """Keyword arguments of `attention_kernels` besides the blocks."""
        return {
            "query_key_scale": self.query_key_scale,
            "output_value_scale": self.output_value_scale,
            "bias_scale": self.bias_scale,
            "mechanism": self.mechanism,
            "scaling": self.scaling,
        }
