"""Kernels of wide networks built from dense layers, activations, residual blocks, layer normalisation and dropout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ....theory.architectures import Activate, Dense, Dropout, Layer, LayerNorm, Residual, check_order
from ....theory.errors import InvalidInput
from ..arrays import Matrix, checked_rows, chosen_device, functions_of, mirrored, require_finite
from ..duals.table import dual_activation, no_tangent_kernel
from ..fully_connected import TorchKernels
from ..pairs import PairState, affine, input_state
from .dropout import drop
from .layer_norm import normalise
from .residual import add
from .signal import Signal

if TYPE_CHECKING:
    from ..arrays import Device


@dataclass(frozen=True)
class NetworkKernels:
    """Gram matrices (n, m): covariance of the output at initialisation, and tangent kernel with all parameters trained."""

    nngp: Matrix
    ntk: Matrix


@overload
def network_kernels(x: Any, y: Any = None, *, layers: Sequence[Layer], device: None = None) -> NetworkKernels: ...
@overload
def network_kernels(x: Any, y: Any = None, *, layers: Sequence[Layer], device: Device) -> TorchKernels: ...
def network_kernels(
    x: Any, y: Any = None, *, layers: Sequence[Layer], device: Device | None = None
) -> NetworkKernels | TorchKernels:
    """Infinite-width kernels between the rows of x (n, d) and y (m, d); y = None means y = x.

    `layers`: Dense, Activate, LayerNorm, Dropout and Residual of `nonvacuous.theory.architectures`, the last one Dense. Dropout
    is that of training: with y = None the diagonal belongs to one draw of the masks, everything else to independent ones.
    On gap coordinates: nearly equal inputs keep their digits. float64 only. `device`: None computes in NumPy; "cpu" or "cuda" in torch there,
    which gives `TorchKernels`, as a torch tensor for x or y does, on its own device. Source: `iw.residual`, `iw.layernorm`, `iw.dropout`.
    Raises InvalidInput, and AssumptionViolated for networks without a closed form: batch normalisation, activations or
    normalisation of non-Gaussian layers, branches that do not end in Dense, sign.
    """
    check_order(layers)
    place = chosen_device(device, x, y)
    left = checked_rows("x", x, place)
    right = left if y is None else checked_rows("y", y, place)
    if left.shape[1] != right.shape[1]:
        raise InvalidInput(f"x has {left.shape[1]} columns and y has {right.shape[1]}.", "Both need the same features.")
    with np.errstate(over="ignore", invalid="ignore"):
        state = input_state(left, right, 1.0, 0.0)
        nothing = functions_of(left).zeros_like(state.gap)
        same = nothing != 0
        if y is None:
            each = np.arange(len(left))
            same[each, each] = True
        last = _chain(Signal(state, nothing, same), layers)
        found: Any = (last.state.nngp, last.tangent)
    require_finite(*found)
    if y is None:
        found = tuple(mirrored(kernel) for kernel in found)
    return TorchKernels(*found) if place is not None else NetworkKernels(*found)


def _chain(signal: Signal, layers: Sequence[Layer]) -> Signal:
    for layer in layers:
        signal = _step(signal, layer)
    return signal


def _step(signal: Signal, layer: Layer) -> Signal:
    match layer:
        case Dense():
            above = affine(signal.features, layer.weight_scale, layer.bias_scale)
            return Signal(above, above.nngp + layer.weight_scale**2 * signal.tangent, signal.same)
        case Activate():
            dual = dual_activation(layer.activation, signal.state)
            if dual.derivative is None:
                raise no_tangent_kernel(layer.activation)
            state = PairState(dual.a, dual.b, dual.difference, dual.gap, dual.known_cogap)
            return Signal(state, dual.derivative * signal.tangent, signal.same)
        case LayerNorm():
            return normalise(signal, layer.epsilon)
        case Dropout():
            return drop(signal, layer.keep_rate)
        case Residual():
            return add(signal, _chain(signal, layer.branch))
