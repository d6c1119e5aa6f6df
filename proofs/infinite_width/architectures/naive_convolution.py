"""The textbook recursion over pairs of positions, in float64 on the covariances themselves, and its wrong variants."""

from __future__ import annotations

import numpy as np

from ....numerics.kernels.architectures.neighbourhoods import offsets
from ....numerics.kernels.duals.table import dual_activation
from ....numerics.kernels.pairs import PairState
from .setting import ConvolutionalSetting


def naive_kernels(
    s: ConvolutionalSetting,
    *,
    filter_mean: bool = True,
    renormalised: bool = False,
    inside: bool = False,
    aligned: bool = True,
    layer_above: bool = False,
    position_power: int = 2,
) -> tuple[np.ndarray, np.ndarray]:
    """K and T on the images of a setting, (n, n), for all pairs of positions; accurate to about 1e-7 at nearly equal ones.

    Wrong on purpose: `filter_mean` False drops 1/q; `renormalised` divides by the neighbours that exist; `inside` takes V of the
    averaged covariance in place of the average of V; `aligned` False shifts x alone; `layer_above` takes Vd after the sum;
    `position_power` is the power of 1/P in the average readout.
    """
    n, height, width, channels = s.x.shape
    positions, count = height * width, s.filter_size[0] * s.filter_size[1]
    steps = [(i, j) for i in offsets(s.filter_size[0]) for j in offsets(s.filter_size[1])]

    def moved(array: np.ndarray, by: tuple[int, int], axes: tuple[int, int]) -> np.ndarray:
        shifted = np.roll(array, (-by[0], -by[1]), axes)
        if s.padding == "zero":
            for axis, step, length in zip(axes, by, (height, width), strict=True):
                place = np.arange(length) + step
                live = ((place >= 0) & (place < length)).reshape([-1 if k == axis else 1 for k in range(array.ndim)])
                shifted = shifted * live
        return shifted

    def averaged(array: np.ndarray) -> np.ndarray:
        """(1/q) sum over the offsets; axes (n, h, w, n, h, w)."""
        total, live = np.zeros_like(array), np.zeros_like(array)
        for by in steps:
            for target, values in ((total, array), (live, np.ones_like(array))):
                part = moved(values, by, (1, 2))
                target += moved(part, by, (4, 5)) if aligned else part
        if renormalised:
            return total / np.maximum(live, 1)
        return total / count if filter_mean else total

    def coordinates(k: np.ndarray) -> PairState:
        flat = k.reshape(n * positions, n * positions)
        diagonal = np.maximum(np.diag(flat), 0.0)
        a, b = diagonal[:, None], diagonal[None, :]
        return PairState(a, b, a - b, np.clip(np.sqrt(a * b) - flat, 0.0, 2 * np.sqrt(a * b)))

    x = s.x.reshape(n * positions, channels)
    shape = (n, height, width, n, height, width)
    kernel = s.weight_scale[0] ** 2 * averaged((x @ x.T / channels).reshape(shape)) + s.bias_scale[0] ** 2
    tangent = kernel
    for weight, bias in zip(s.weight_scale[1:-1], s.bias_scale[1:-1], strict=True):
        dual = dual_activation(s.activation, coordinates(averaged(kernel) if inside else kernel))
        assert dual.derivative is not None
        value, hidden = dual.value.reshape(shape), dual.derivative.reshape(shape) * tangent
        above = weight**2 * (value if inside else averaged(value)) + bias**2
        if layer_above:
            later = dual_activation(s.activation, coordinates(above)).derivative
            assert later is not None
            hidden = later.reshape(shape) * averaged(tangent)
        elif not inside:
            hidden = averaged(hidden)
        kernel, tangent = above, above + weight**2 * hidden
    dual = dual_activation(s.activation, coordinates(kernel))
    assert dual.derivative is not None
    weight, bias = s.weight_scale[-1], s.bias_scale[-1]
    read = []
    for array in (dual.value.reshape(shape), dual.derivative.reshape(shape) * tangent):
        if s.readout == "flatten":
            read.append(weight**2 / positions * np.einsum("nijmij->nm", array))
        else:
            read.append(weight**2 / positions**position_power * array.sum(axis=(1, 2, 4, 5)))
    nngp = read[0] + bias**2
    return nngp, nngp + read[1]
