"""What a convolutional network is given, checked: images, filter, padding, readout and scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from ....theory.activations import Activation, Quadrature, QuadratureOf, Scaled, resolve
from ....theory.errors import InvalidInput
from ....theory.validation import finite, sample_size
from ..duals.table import no_tangent_kernel
from ..fully_connected import layer_scales
from ..pairs import Matrix

Padding = Literal["zero", "circular"]
Readout = Literal["flatten", "average"]


@dataclass(frozen=True)
class ConvolutionalProblem:
    """A checked call. `x` (n, *spatial, channels) and `y` (m, *spatial, channels); `symmetric` where y is x."""

    x: Matrix
    y: Matrix
    symmetric: bool
    sizes: tuple[int, ...]
    circular: bool
    readout: Readout
    activation: Activation
    scales: tuple[tuple[float, float], ...]

    @property
    def spatial(self) -> tuple[int, ...]:
        return self.x.shape[1:-1]

    @property
    def positions(self) -> int:
        return int(np.prod(self.spatial))

    @property
    def filter_count(self) -> int:
        """q, the number of offsets of the filter."""
        return int(np.prod(self.sizes))


def checked_problem(
    x: Any,
    y: Any,
    *,
    depth: int,
    filter_size: int | Sequence[int],
    padding: Padding,
    readout: Readout,
    activation: Activation,
    weight_scale: float | Sequence[float],
    bias_scale: float | Sequence[float],
) -> ConvolutionalProblem:
    """Raises InvalidInput, and AssumptionViolated for a tangent kernel through sign."""
    depth = sample_size("depth", depth)
    left = checked_images("x", x)
    right = left if y is None else checked_images("y", y)
    if left.shape[1:] != right.shape[1:]:
        raise InvalidInput(f"Images of x are {left.shape[1:]}, of y {right.shape[1:]}.", "Bring them to one shape.")
    spatial = left.shape[1:-1]
    given = tuple(filter_size) if isinstance(filter_size, Sequence) else (filter_size,) * len(spatial)
    if len(given) != len(spatial):
        raise InvalidInput(f"filter_size has {len(given)} entries for {len(spatial)} spatial dimensions.")
    sizes = tuple(sample_size("filter_size", size) for size in given)
    if any(size > length for size, length in zip(sizes, spatial, strict=True)):
        raise InvalidInput(f"The filter {sizes} is larger than the image {spatial}.", "Use a smaller filter.")
    if padding not in get_args(Padding):
        raise InvalidInput(f"padding is {padding!r}.", "Use 'zero' or 'circular'; both keep the size of the image.")
    if readout not in get_args(Readout):
        raise InvalidInput(f"readout is {readout!r}.", "Use 'flatten' or 'average' (global average pooling).")
    if isinstance(activation, Quadrature | QuadratureOf):
        raise InvalidInput(
            f"{activation!r} has no closed form.", "Convolutional kernels need one: 'relu', 'erf', 'gelu', Sine, ..."
        )
    if resolve(activation.base if isinstance(activation, Scaled) else activation) == "sign":
        raise no_tangent_kernel(activation)
    sw, sb = (
        layer_scales(name, value, depth) for name, value in (("weight_scale", weight_scale), ("bias_scale", bias_scale))
    )
    return ConvolutionalProblem(
        left, right, y is None, sizes, padding == "circular", readout, activation, tuple(zip(sw, sb, strict=True))
    )


def checked_images(name: str, value: Any) -> Matrix:
    """(n, *spatial, channels) as float64. Raises InvalidInput."""
    if getattr(value, "dtype", None) in (np.dtype(np.float32), np.dtype(np.float16)):
        raise InvalidInput(f"{name} is {value.dtype}.", "Kernels are computed in float64: pass float64 images.")
    array = finite(name, value)
    if array.ndim not in (3, 4) or not array.size:
        raise InvalidInput(
            f"{name} has shape {array.shape}.", "Pass (n, length, channels) or (n, height, width, channels)."
        )
    largest = float(np.abs(array).max())
    if largest > 1e70:
        raise InvalidInput(f"{name} has entries up to {largest:.1e}.", "Bring images and scales nearer to 1.")
    return array
