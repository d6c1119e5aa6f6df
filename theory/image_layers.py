"""Layers of convolutional architectures in the NTK parametrisation: frozen dataclasses, told apart in JSON by their `kind`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .activations import Scaled, resolve
from .architectures import Activate, Dense
from .errors import AssumptionViolated, InvalidInput

Border = Literal["same", "valid", "circular"]
Sizes = int | tuple[int, ...]


def _sizes(name: str, value: Any) -> None:
    entries = value if isinstance(value, tuple) else (value,)
    if not entries or any(isinstance(v, bool) or not isinstance(v, int) or v < 1 for v in entries):
        raise InvalidInput(f"{name} is {value!r}.", "Pass a whole number of at least 1, or one per spatial dimension.")


@dataclass(frozen=True)
class Conv:
    """sw/sqrt(q channels) sum over the q places of a filter + sb b, at every `stride`-th place. "same": zeros beyond the border, ceil(length/stride)
    places, missing terms 0 under an unchanged 1/q; "valid": only places where the filter fits; "circular": the other side (stride 1)."""

    filter_size: Sizes
    weight_scale: float
    bias_scale: float = 0.0
    stride: Sizes = 1
    padding: Border = "same"
    kind: Literal["conv"] = "conv"

    def __post_init__(self) -> None:
        Dense(self.weight_scale, self.bias_scale)
        _sizes("filter_size", self.filter_size)
        _sizes("stride", self.stride)
        if self.padding not in ("same", "valid", "circular"):
            raise InvalidInput(f"padding is {self.padding!r}.", "Use 'same' (zeros), 'valid' or 'circular'.")
        if self.padding == "circular" and set(self.stride if isinstance(self.stride, tuple) else (self.stride,)) != {1}:
            raise InvalidInput("A circular convolution has stride 1 here.", "Use 'same' or 'valid', or stride 1.")


@dataclass(frozen=True)
class AveragePool:
    """The mean over windows that fit, every `stride`-th one (None: windows side by side)."""

    window: Sizes
    stride: Sizes | None = None
    kind: Literal["average_pool"] = "average_pool"

    def __post_init__(self) -> None:
        _sizes("window", self.window)
        if self.stride is not None:
            _sizes("stride", self.stride)


@dataclass(frozen=True)
class GlobalAveragePool:
    """The mean over all positions."""

    kind: Literal["global_average_pool"] = "global_average_pool"


@dataclass(frozen=True)
class Flatten:
    """All positions side by side, for a Dense layer with a weight for each."""

    kind: Literal["flatten"] = "flatten"


@dataclass(frozen=True)
class ConvResidual:
    """h + F(h). The branch F ends in a Conv layer of its own, whose fresh weights make the two terms independent, and keeps the shape."""

    branch: tuple[Conv | Activate, ...]
    kind: Literal["conv_residual"] = "conv_residual"

    def __post_init__(self) -> None:
        if not isinstance(self.branch, tuple) or not self.branch:
            raise InvalidInput(f"The branch is {self.branch!r}.", "Pass a tuple of Conv and Activate layers.")
        if not all(isinstance(layer, Conv | Activate) for layer in self.branch):
            raise InvalidInput(f"The branch is {self.branch!r}.", "Pass Conv and Activate layers.")
        if not isinstance(self.branch[-1], Conv):
            raise AssumptionViolated(
                "The branch of a ConvResidual does not end in a Conv layer.",
                "K' = K + K_F and T' = T + T_F need fresh last weights: without them h and F(h) are correlated.",
            )


ImageLayer = Conv | Activate | AveragePool | GlobalAveragePool | Flatten | Dense | ConvResidual


def per_dimension(name: str, value: Sizes, spatial: Sequence[int]) -> tuple[int, ...]:
    """One number for each spatial dimension. Raises InvalidInput."""
    found = value if isinstance(value, tuple) else (value,) * len(spatial)
    if len(found) != len(spatial):
        raise InvalidInput(f"{name} has {len(found)} entries for {len(spatial)} spatial dimensions.")
    return found


def centres(size: int, stride: int, padding: Border, length: int) -> range:
    """Positions on which the windows of a convolution or of pooling are centred, (size - 1)//2 places after their starts. Empty where none fits."""
    if padding == "valid":
        return range((size - 1) // 2, (size - 1) // 2 + max(0, length - size + 1), stride)
    places = math.ceil(length / stride)
    low = max(0, (places - 1) * stride + size - length) // 2
    first = (size - 1) // 2 - low
    return range(first, first + (places - 1) * stride + 1, stride)


def check_image_layers(layers: Any, spatial: Sequence[int]) -> None:
    """Raises InvalidInput or AssumptionViolated unless the layers make a network on images of this shape whose limit has a closed form here."""
    if not isinstance(layers, tuple | list) or len(layers) < 1:
        raise InvalidInput(f"layers is {layers!r}.", "Pass a tuple of layers that ends in Dense.")
    if not isinstance(layers[-1], Dense):
        raise InvalidInput("The last layer is not Dense.", "End the network in a Dense readout.")
    _chain(layers, tuple(spatial), "input")


def _chain(layers: Any, spatial: tuple[int, ...] | None, state: str) -> tuple[int, ...] | None:
    """Shape after the layers: None where positions are gone; `state`: input, gaussian, features or flat (features or not)."""
    for layer in layers:
        if isinstance(layer, Conv | AveragePool | GlobalAveragePool | Flatten | ConvResidual) and spatial is None:
            raise InvalidInput(f"{layer!r} follows a layer without positions.", "Put it before Flatten and pooling.")
        match layer:
            case Conv():
                spatial, state = _windows(layer, layer.filter_size, layer.stride, layer.padding, spatial), "gaussian"
            case AveragePool() | GlobalAveragePool():
                if state == "input":
                    raise InvalidInput(f"{layer!r} follows the input.", "Pool the images themselves.")
                if isinstance(layer, AveragePool):
                    stride = layer.window if layer.stride is None else layer.stride
                    spatial = _windows(layer, layer.window, stride, "valid", spatial)
                else:
                    spatial = None
            case Flatten():
                spatial, state = None, "flat"
            case Dense():
                if spatial is not None:
                    raise InvalidInput(
                        "Dense follows a layer with positions.", "Put Flatten or GlobalAveragePool before."
                    )
                state = "gaussian"
            case Activate():
                if state != "gaussian":
                    raise AssumptionViolated(
                        f"Activate follows the {state}, which is not Gaussian here.",
                        "Put a Conv or Dense layer in between: closed forms need Gaussian pre-activations of mean 0.",
                    )
                kind = layer.activation.base if isinstance(layer.activation, Scaled) else layer.activation
                if resolve(kind) == "sign":
                    raise AssumptionViolated("There is no tangent kernel through sign.", "Use a smooth activation.")
                state = "features"
            case ConvResidual():
                if state != "gaussian":
                    raise InvalidInput(f"A ConvResidual follows the {state}.", "Put it after a Conv or ConvResidual.")
                if _chain(layer.branch, spatial, "gaussian") != spatial:
                    raise InvalidInput(
                        "The branch of a ConvResidual changes the shape.", "Use 'same' and stride 1 there."
                    )
            case _:
                name = type(layer).__name__.lower().replace("_", "")
                if "batchnorm" in name or "maxpool" in name or "layernorm" in name or "dropout" in name:
                    raise AssumptionViolated(
                        f"{type(layer).__name__} has no closed-form kernel on images here.",
                        "Use AveragePool, or the bridge to neural-tangents (neural_tangents_kernels).",
                    )
                raise InvalidInput(
                    f"{layer!r} is no layer.",
                    "Use Conv, Activate, AveragePool, GlobalAveragePool, Flatten, Dense or ConvResidual.",
                )
    return spatial


def _windows(
    layer: Any, size: Sizes, stride: Sizes, padding: Border, spatial: tuple[int, ...] | None
) -> tuple[int, ...]:
    assert spatial is not None
    sizes, strides = per_dimension("size", size, spatial), per_dimension("stride", stride, spatial)
    if any(one > length for one, length in zip(sizes, spatial, strict=True)):
        raise InvalidInput(
            f"{layer!r} is larger than its input {spatial}.", "Use a smaller one, or pool less before it."
        )
    return tuple(len(centres(*part[:2], padding, part[2])) for part in zip(sizes, strides, spatial, strict=True))
