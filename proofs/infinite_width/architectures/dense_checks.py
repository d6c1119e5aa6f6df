"""What the checks of residual blocks, layer normalisation and dropout share: prediction, formula and Monte-Carlo comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from flint import arb
from jaxtyping import Float

from ....numerics.claims import Formula
from ....numerics.kernels.architectures.network import network_kernels
from ....numerics.kernels.pairs import input_state
from ....theory.architectures import Activate, Dense, Dropout, Layer
from ....theory.balls.architectures import network_pair
from .naive_network import Wrong, naive_gram
from .setting import NetworkSetting

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class NetworkPrediction:
    """Covariance of the outputs and tangent kernel on the points, (n, n)."""

    nngp: Float[np.ndarray, "n n"]
    ntk: Float[np.ndarray, "n n"]


def predict(s: NetworkSetting) -> NetworkPrediction:
    found = network_kernels(s.x, layers=s.layers)
    return NetworkPrediction(found.nngp, found.ntk)


def wrongly(wrong: Wrong) -> Mapping[str, Any]:
    """The check with the predictions of a wrong recursion."""
    return {"predict": partial(_wrong, wrong=wrong)}


def _wrong(s: NetworkSetting, wrong: Wrong) -> NetworkPrediction:
    return NetworkPrediction(*naive_gram(s, wrong))


def flatten(p: NetworkPrediction) -> np.ndarray:
    """K(x,y), T(x,y), K(x,x), T(x,x) of the first two points."""
    return np.array([p.nngp[0, 1], p.ntk[0, 1], p.nngp[0, 0], p.ntk[0, 0]])


def exact(s: NetworkSetting) -> list[arb]:
    return network_pair(s.x[0].tolist(), s.x[1].tolist(), layers=s.layers)


def flat_layers(layers: tuple[Layer, ...]) -> list[Any]:
    """All layers, branches included."""
    return [inner for layer in layers for inner in (layer, *(getattr(layer, "branch", ())))]


def width(s: NetworkSetting) -> np.ndarray:
    """24 roundings a layer on the scale sqrt(k(x,x) k(y,y)), times 1 + sqrt(a+b) for what GELU and erf lose in their discriminants
    (a, b at most the largest K(x,x) before any readout, which the product of 1 + sw^2 + sb^2 over the layers bounds)."""
    p, layers = predict(s), flat_layers(s.layers)
    start = float(input_state(s.x, s.x, 1.0, 0.0).a.max())
    growth = np.prod([1 + v.weight_scale**2 + v.bias_scale**2 for v in layers if isinstance(v, Dense)])
    growth *= np.prod([1 / v.keep_rate for v in layers if isinstance(v, Dropout)])
    smooth = any(isinstance(v, Activate) and v.activation in ("erf", "gelu") for v in layers)
    roundings = 24 * len(layers) * (1 + (np.sqrt(2 * (1 + start) * growth) if smooth else 0.0))
    scales = [np.sqrt(np.diag(k)[:1] * np.diag(k)[1]).item() for k in (p.nngp, p.ntk)]
    found = np.abs(flatten(p))
    return roundings * HALF_ULP * np.array([*scales, found[2], found[3]]) / np.where(found == 0, 1.0, found)


def pair(rng: np.random.Generator) -> np.ndarray:
    """Two points, from far apart to 1e-12 apart, equal, or the second one larger."""
    x = rng.normal(size=3) * 10 ** rng.uniform(-0.5, 0.3)
    near = x + 10 ** rng.uniform(-12, 0) * rng.normal(size=3)
    return np.stack([x, (near, near, rng.normal(size=3), x, 1.5 * x)[rng.integers(5)]])


def formula(sample: Callable[[np.random.Generator], NetworkSetting]) -> Formula:
    return Formula(
        expression=exact,
        shipped=lambda s: flatten(predict(s)),
        read=flatten,
        sample=sample,
        width=width,
        count=60,
    )


def mutant(claim: Formula, wrong: Wrong) -> Mapping[str, Any]:
    """The formula's check with a wrong recursion for the shipped function."""
    return {"claim": replace(claim, shipped=lambda s: flatten(_wrong(s, wrong)))}


def off(claim: Formula) -> Mapping[str, Any]:
    return {"claim": replace(claim, shipped=lambda s: (1 + 1e-11) * flatten(predict(s)))}


POINTS = np.array([[0.9, -0.3, 0.4], [0.8, -0.2, 0.5], [-0.6, 1.1, 0.2]])
