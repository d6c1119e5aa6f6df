"""One training in three parametrisations, step by step: NTK, standard with a rate for each layer, mean-field on scaled labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy

from ....numerics.claims import Comparison
from ....numerics.randomness import sub_seed
from ....numerics.store import Rows
from ...result import Run
from ..settings import EnsembleSetting

if TYPE_CHECKING:
    from torch import Tensor

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class SameTraining:
    """What is predicted of the other parametrisation: a difference of 0."""

    difference: float = 0.0


def one_step() -> list[tuple[Any, Any]]:
    """A weight W = s w enters the output as s w. One step on half the square of f - y, with f = F(s w) and slope D = F'(W):

    in w with rate eta, then scaled, is one in W with rate eta s^2; and f = h/r on y with rate r^2 eta is h on r y with rate eta.
    """
    w, s, eta, f, y, d, r = sympy.symbols("w s eta f y d r", positive=True)
    ntk = s * (w - eta * (f - y) * d * s)
    standard = s * w - eta * s**2 * (f - y) * d
    mean_field = w - r**2 * eta * (f / r - y) * d / r  # f stands for h, d for its slope
    return [(ntk, standard), (mean_field, w - eta * (f - r * y) * d)]


def side_by_side(
    setting: EnsembleSetting, run: Run, *, one_rate: bool = False, scale_labels: bool = True, rate_power: int = 2
) -> Mapping[str, Any]:
    """Outputs at all points after `steps` of descent: `ntk_labels` and `ntk_scaled` in the NTK parametrisation on the labels y and on sqrt(n) y
    by hand-written gradients, `standard` and `mean_field` (times sqrt(n)) by automatic differentiation; from the same functions."""
    import torch

    from ....numerics.networks.fully_connected import Parameters, forward, initialise, pullback
    from ....numerics.networks.tangent_kernel import empirical_ntk
    from ..finite_networks import network_of

    network = network_of(setting, run.block["width"])
    x, train = (
        torch.from_numpy(v).to(run.device) for v in (np.concatenate([setting.test, setting.train]), setting.train)
    )
    y = torch.from_numpy(setting.labels).to(run.device)[None, :, None]
    start = initialise(network, 1, seed=sub_seed(run.seed, "member"), device=run.device)
    kernel = empirical_ntk(network, start, train)[:, :, 0, :, 0]
    eta = float(0.5 / torch.linalg.eigvalsh(kernel)[0, -1])
    steps, root = run.block["steps"], float(network.width) ** 0.5
    layers = len(network.fans)

    def by_hand(goal: Tensor) -> Tensor:
        p = start
        for _ in range(steps):
            trace = forward(network, p, train)
            slopes = pullback(network, p, trace, trace.output - goal)
            tensors = [t - eta * g for t, g in zip(p.tensors, slopes.tensors, strict=True)]
            p = Parameters(tuple(tensors[:layers]), tuple(tensors[layers:]))
        return forward(network, p, x).output

    def automatic(
        tensors: list[Tensor], factors: list[float], rates: list[float], divisor: float, goal: Tensor
    ) -> Tensor:
        """Layers `factor * parameter`, the output over `divisor`; every tensor has its own rate."""
        phi = {"erf": torch.erf, "relu": torch.relu}[network.activation]

        def output(values: list[Tensor], points: Tensor) -> Tensor:
            h = points[None]
            for k in range(layers):
                z = factors[k] * (h @ values[k]) + factors[layers + k] * values[layers + k]
                h = phi(z)
            return z / divisor

        for _ in range(steps):
            tensors = [t.detach().requires_grad_() for t in tensors]
            loss = ((output(tensors, train) - goal) ** 2).sum() / 2
            slopes = torch.autograd.grad(loss, tensors)
            tensors = [t - rate * g for t, g, rate in zip(tensors, slopes, rates, strict=True)]
        return output(tensors, x).detach()

    scales = [w for w, _ in network.deviations] + [b for _, b in network.deviations]
    ones = [1.0] * len(scales)
    moved = [t * s for t, s in zip(start.tensors, scales, strict=True)]
    rates = [eta if one_rate else eta * s * s for s in scales]
    found = {
        "ntk_labels": by_hand(y),
        "ntk_scaled": by_hand(root * y if scale_labels else y),
        "standard": automatic(moved, ones, rates, 1.0, y),
        "mean_field": root * automatic(list(start.tensors), scales, [root**rate_power * eta] * len(scales), root, y),
    }
    return {name: value.ravel().cpu().numpy() for name, value in found.items()}


def compare(s: EnsembleSetting, p: SameTraining, rows: Rows) -> Comparison:
    """An output sums at most n + d + N products, each rounded, in both routes, and a step below the stability limit does not magnify the
    error that is there; sums of n terms of size 1/n and of squares bring the factor 8 and the outputs' size."""
    width, steps = float(rows["width"][0]), float(rows["steps"][0])
    labels, scaled = rows["ntk_labels"], rows["ntk_scaled"]
    size = np.concatenate([np.full(len(v), np.abs(v).max()) for v in (labels, scaled)])
    products = width + s.train.shape[1] + len(s.train)
    bound = 8 * products * steps * HALF_ULP * size
    predicted = np.concatenate([labels, scaled]) + p.difference
    return Comparison(np.concatenate([rows["standard"], rows["mean_field"]]), predicted, bound, size)
