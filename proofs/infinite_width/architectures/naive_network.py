"""The recursions on covariances themselves, in float64, for networks of dense layers; and their wrong variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ....numerics.kernels.duals.table import dual_activation
from ....numerics.kernels.pairs import PairState
from ....theory.architectures import Activate, Dense, Dropout, Layer, LayerNorm, Residual
from .setting import NetworkSetting

Wrong = Literal[
    "nothing",
    "branches correlated",
    "gradients through the branch forgotten",
    "skip connection forgotten",
    "branch forgotten",
    "branches averaged",
    "tangent kernel not normalised",
    "root forgotten",
    "epsilon forgotten",
    "epsilon outside the root",
    "factor on every entry",
    "factor on V alone",
    "factor squared",
    "inference mode",
    "keep rate for its inverse",
]


@dataclass(frozen=True)
class _Gram:
    kernel: np.ndarray
    tangent: np.ndarray


def naive_gram(s: NetworkSetting, wrong: Wrong = "nothing") -> tuple[np.ndarray, np.ndarray]:
    """K and T on the points of a setting, (n, n)."""
    zero = np.zeros((len(s.x), len(s.x)))
    found = _chain(_Gram(s.x @ s.x.T / s.x.shape[1], zero), s.layers, wrong)
    return found.kernel, found.tangent


def _chain(gram: _Gram, layers: Sequence[Layer], wrong: Wrong) -> _Gram:
    for layer in layers:
        gram = _step(gram, layer, wrong)
    return gram


def _step(gram: _Gram, layer: Layer, wrong: Wrong) -> _Gram:
    k, t = gram.kernel, gram.tangent
    diagonal = np.diag(k)
    match layer:
        case Dense():
            w, s = layer.weight_scale**2, layer.bias_scale**2
            return _Gram(w * k + s, w * (k + t) + s)
        case Activate():
            a, b = diagonal[:, None], diagonal[None, :]
            gap = np.clip(np.sqrt(a * b) - k, 0.0, None)
            np.fill_diagonal(gap, 0.0)
            dual = dual_activation(layer.activation, PairState(a, b, a - b, gap))
            assert dual.derivative is not None
            return _Gram(dual.value, dual.derivative * t)
        case LayerNorm():
            epsilon = 0.0 if wrong == "epsilon forgotten" else layer.epsilon
            size = diagonal + epsilon
            if wrong == "epsilon outside the root":
                size = (np.sqrt(diagonal) + epsilon) ** 2
            scale = np.outer(size, size) if wrong == "root forgotten" else np.sqrt(np.outer(size, size))
            return _Gram(k / scale, t if wrong == "tangent kernel not normalised" else t / scale)
        case Dropout():
            rate = layer.keep_rate if wrong == "keep rate for its inverse" else 1 / layer.keep_rate
            factor = {"factor squared": rate**2, "inference mode": 1.0}.get(wrong, rate)
            matrix = np.where(np.eye(len(k), dtype=bool) | (wrong == "factor on every entry"), factor, 1.0)
            return _Gram(matrix * k, t if wrong == "factor on V alone" else matrix * t)
    assert isinstance(layer, Residual)
    branch = _chain(gram, layer.branch, wrong)
    if wrong == "branches correlated":
        cross = np.sqrt(np.abs(k * branch.kernel))
        return _Gram(k + branch.kernel + cross, t + branch.tangent + cross)
    if wrong == "gradients through the branch forgotten":
        return _Gram(k + branch.kernel, t + branch.kernel)
    if wrong == "skip connection forgotten":
        return branch
    if wrong == "branch forgotten":
        return gram
    if wrong == "branches averaged":
        return _Gram((k + branch.kernel) / 2, (t + branch.tangent) / 2)
    return _Gram(k + branch.kernel, t + branch.tangent)
