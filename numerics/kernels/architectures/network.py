"""Kernels of wide networks built from dense layers, activations, residual blocks, layer normalisation and dropout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....theory.architectures import Activate, Dense, Dropout, Layer, LayerNorm, Residual, check_order
from ....theory.errors import InvalidInput
from ....theory.validation import finite
from ..duals.table import dual_activation, no_tangent_kernel
from ..pairs import Matrix, PairState, affine, input_state
from .dropout import drop
from .layer_norm import normalise
from .residual import add
from .signal import Signal


@dataclass(frozen=True)
class NetworkKernels:
    """Gram matrices (n, m): covariance of the output at initialisation, and tangent kernel with all parameters trained."""

    nngp: Matrix
    ntk: Matrix


def network_kernels(x: Any, y: Any = None, *, layers: Sequence[Layer]) -> NetworkKernels:
    """Infinite-width kernels between the rows of x (n, d) and y (m, d); y = None means y = x.

    `layers`: Dense, Activate, LayerNorm, Dropout and Residual of `nonvacuous.theory.architectures`, the last one Dense. Dropout
    is that of training: with y = None the diagonal belongs to one draw of the masks, everything else to independent ones.
    On gap coordinates: nearly equal inputs keep their digits. float64 only. Source: `iw.residual`, `iw.layernorm`, `iw.dropout`.
    Raises InvalidInput, and AssumptionViolated for networks without a closed form: batch normalisation, activations or
    normalisation of non-Gaussian layers, branches that do not end in Dense, sign.
    """
    check_order(layers)
    left = finite("x", x, ndim=2)
    right = left if y is None else finite("y", y, ndim=2)
    if left.shape[1] != right.shape[1] or not left.size or not right.size:
        raise InvalidInput(
            f"x and y have shapes {left.shape} and {right.shape}.", "Both need the same columns, some rows."
        )
    if any(getattr(v, "dtype", None) in (np.dtype(np.float32), np.dtype(np.float16)) for v in (x, y)):
        raise InvalidInput("x or y is not float64.", "Kernels are computed in float64: pass float64 inputs.")
    same = np.eye(len(left), dtype=bool) if y is None else np.zeros((len(left), len(right)), dtype=bool)
    with np.errstate(over="ignore", invalid="ignore"):
        state = input_state(left, right, 1.0, 0.0)
        found = _chain(Signal(state, np.zeros_like(state.gap), same), layers)
    if not (np.isfinite(found.state.nngp).all() and np.isfinite(found.tangent).all()):
        raise InvalidInput("The kernels overflow float64.", "Bring inputs and scales nearer to 1.")
    return NetworkKernels(found.state.nngp, found.tangent)


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
