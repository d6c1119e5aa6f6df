"""What the theorems of this area take as inputs: points, labels and an architecture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ...numerics.kernels.fully_connected import fully_connected_kernels, layer_scales
from ...numerics.wide_networks.gram import GramBlocks, kernel_blocks
from ...theory.activations import Activation, resolve
from ...theory.errors import InvalidInput
from ...theory.validation import finite

Trained = Literal["relu", "erf"]  # what the finite networks of this area are trained with


def _check_scales(weight_scale: Any, bias_scale: Any) -> None:
    depth = len(weight_scale) - 1
    if depth < 1:
        raise InvalidInput("weight_scale needs at least two entries.", "One per weight layer, the readout last.")
    layer_scales("weight_scale", weight_scale, depth)
    layer_scales("bias_scale", bias_scale, depth)


@dataclass(frozen=True, eq=False)
class KernelSetting:
    """Inputs x (n, d) and y (m, d); sw and sb of each weight layer, the readout last (hidden layers = entries - 1)."""

    x: Float[np.ndarray, "n features"]
    y: Float[np.ndarray, "m features"]
    activation: Activation
    weight_scale: tuple[float, ...]
    bias_scale: tuple[float, ...]

    def __post_init__(self) -> None:
        x, y = finite("x", self.x, ndim=2), finite("y", self.y, ndim=2)
        if x.shape[1] != y.shape[1]:
            raise InvalidInput(f"x has {x.shape[1]} columns and y has {y.shape[1]}.", "Both need the same features.")
        resolve(self.activation)
        _check_scales(self.weight_scale, self.bias_scale)

    @property
    def architecture(self) -> dict[str, Any]:
        """Keyword arguments of the kernel functions."""
        return _architecture(self)


@dataclass(frozen=True, eq=False)
class EnsembleSetting:
    """Training inputs (N, d) with labels (N,), test inputs (S, d), and an architecture as in `KernelSetting`."""

    train: Float[np.ndarray, "train features"]
    test: Float[np.ndarray, "test features"]
    labels: Float[np.ndarray, " train"]
    activation: Trained
    weight_scale: tuple[float, ...]
    bias_scale: tuple[float, ...]

    def __post_init__(self) -> None:
        train, test = finite("train", self.train, ndim=2), finite("test", self.test, ndim=2)
        labels = finite("labels", self.labels, ndim=1)
        if train.shape[1] != test.shape[1]:
            raise InvalidInput(f"train has {train.shape[1]} columns and test has {test.shape[1]}.")
        if len(labels) != len(train):
            raise InvalidInput(f"There are {len(labels)} labels for {len(train)} training inputs.")
        if self.activation not in ("relu", "erf"):
            raise InvalidInput(f"activation is {self.activation!r}.", "Use 'relu' or 'erf'.")
        _check_scales(self.weight_scale, self.bias_scale)

    @property
    def architecture(self) -> dict[str, Any]:
        """Keyword arguments of the kernel functions."""
        return _architecture(self)


def _architecture(setting: KernelSetting | EnsembleSetting) -> dict[str, Any]:
    return {
        "depth": len(setting.weight_scale) - 1,
        "activation": setting.activation,
        "weight_scale": setting.weight_scale,
        "bias_scale": setting.bias_scale,
    }


def blocks(setting: EnsembleSetting, **changes: Any) -> tuple[GramBlocks, GramBlocks]:
    """Infinite-width K and T over (test, train)."""
    joint = fully_connected_kernels(np.concatenate([setting.test, setting.train]), **(setting.architecture | changes))
    return kernel_blocks(joint, tests=len(setting.test))
