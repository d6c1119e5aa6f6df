"""NNGP and NTK kernels of fully connected networks in the NTK parametrisation, exact to rounding at any separation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.validation import finite, sample_size
from .erf import erf_dual
from .pairs import DualState, Matrix, PairState, affine, input_state
from .relu import relu_dual

DUALS: Mapping[str, Callable[[PairState], DualState]] = MappingProxyType({"relu": relu_dual, "erf": erf_dual})
_SMALLEST = 1e-150  # products of two squared norms must stay in float64's range


@dataclass(frozen=True)
class FullyConnectedKernels:
    """Gram matrices (n, m): `nngp` is the covariance of the output at initialisation, `ntk` the neural tangent kernel.

    `ntk - nngp` is the share of the hidden layers: with a trained Gaussian readout (weights and bias) the readout's
    share of the tangent kernel is the NNGP kernel itself (`iw.readout_split`).
    """

    nngp: Matrix
    ntk: Matrix


def fully_connected_kernels(
    x: Any,
    y: Any = None,
    *,
    depth: int,
    activation: str,
    weight_scale: float | Sequence[float],
    bias_scale: float | Sequence[float],
) -> FullyConnectedKernels:
    """Infinite-width kernels of `depth` hidden layers between the rows of x (n, d) and y (m, d); y = None means y = x.

    `K^1 = sw^2 x.y/d + sb^2`, `K' = sw^2 V(K) + sb^2`, `T^1 = K^1`, `T' = K' + sw^2 Vd(K) T` with the derivative
    factor at the layer below. `weight_scale` and `bias_scale` are sw and sb: one number, or depth + 1 numbers with
    the readout last. float64 only: float32 loses half the digits that this recursion exists to keep. Source: Jacot et
    al. 2018; Lee et al. 2018. Raises InvalidInput, also for squared norms outside 1e-150 to 1e150.
    """
    depth = sample_size("depth", depth)
    if activation not in DUALS:
        raise InvalidInput(f"The activation {activation!r} has no closed form here.", f"Use one of {', '.join(DUALS)}.")
    sw, sb = (
        layer_scales(name, value, depth) for name, value in (("weight_scale", weight_scale), ("bias_scale", bias_scale))
    )
    left = _inputs("x", x)
    right = left if y is None else _inputs("y", y)
    if left.shape[1] != right.shape[1]:
        raise InvalidInput(f"x has {left.shape[1]} columns and y has {right.shape[1]}.", "Both need the same features.")
    with np.errstate(over="ignore", invalid="ignore"):  # reported below as one typed error
        state = input_state(left, right, sw[0], sb[0])
        if any(((norms > 0) & (norms < _SMALLEST)).any() for norms in (state.a, state.b)):
            raise InvalidInput(
                "A squared norm of the first layer is below 1e-150.", "Bring inputs and scales nearer to 1."
            )
        ntk = state.nngp
        for weight, bias in zip(sw[1:], sb[1:], strict=True):
            dual = DUALS[activation](state)
            state = affine(dual, weight, bias)
            ntk = state.nngp + weight**2 * dual.derivative * ntk
    if not (np.isfinite(ntk).all() and np.isfinite(state.nngp).all()):
        raise InvalidInput("The kernels overflow float64.", "Bring inputs and scales nearer to 1 (inputs below 1e70).")
    return FullyConnectedKernels(state.nngp, ntk)


def nngp_kernel(x: Any, y: Any = None, **architecture: Any) -> Matrix:
    """Covariance of the network's output at initialisation, (n, m); arguments of `fully_connected_kernels`."""
    return fully_connected_kernels(x, y, **architecture).nngp


def ntk_kernel(x: Any, y: Any = None, **architecture: Any) -> Matrix:
    """Neural tangent kernel of the infinitely wide network, (n, m); arguments of `fully_connected_kernels`."""
    return fully_connected_kernels(x, y, **architecture).ntk


def layer_scales(name: str, value: float | Sequence[float], depth: int) -> tuple[float, ...]:
    """One scale per weight layer (depth + 1 of them, the readout last), each finite and not negative."""
    array = finite(name, value)
    if array.ndim > 1 or (array.ndim == 1 and array.shape[0] != depth + 1):
        raise InvalidInput(
            f"{name} has shape {array.shape}.", f"Pass one number or {depth + 1}: one per layer, readout last."
        )
    if (array < 0).any():
        raise InvalidInput(f"{name} is negative.", "Scales are standard deviations.")
    if name == "weight_scale" and (array == 0).any():
        raise InvalidInput("weight_scale contains 0.", "Such a layer ignores its input; remove it.")
    return tuple(float(entry) for entry in np.broadcast_to(array, (depth + 1,)))


def _inputs(name: str, value: Any) -> Matrix:
    if getattr(value, "dtype", None) in (np.dtype(np.float32), np.dtype(np.float16)):
        raise InvalidInput(f"{name} is {value.dtype}.", "Kernels are computed in float64: pass float64 inputs.")
    array = finite(name, value, ndim=2)
    if not array.shape[0] or not array.shape[1]:
        raise InvalidInput(f"{name} has shape {array.shape}.", "Pass at least one row and one column.")
    return array
