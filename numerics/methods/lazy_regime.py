"""Does an ensemble's variance depend on the labels? In the limit of infinite width it cannot.

Two ensembles are trained from the same starts, one on the labels and one on zeros, and their variances are compared, member by member. A
difference beyond its interval says that the width is too small for the limit: the tangent kernel differs between members, or training moves it
(`iw.rnd_finite_width` tells the two apart on networks of its own; this comparison does not). A module that is linear in its weights never
shows one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...theory.errors import InvalidInput
from ..intervals import multiplier
from .data import check_inputs
from .deep_ensemble import DeepEnsembleConfig
from .descent import descend
from .network import outputs
from .wide_fit import prepared

LEAST = 50  # members: the interval takes their paired differences for nearly normal


@dataclass(frozen=True, eq=False)
class LabelDependence:
    """Variance (inputs,) over the members, averaged over the outputs, after training on zeros and on the labels; `ratio` of their sums over
    the inputs, less 1, with the half width of its interval (alpha = 1e-6, Student's law over the members' paired squared deviations)."""

    zeros: Float[Tensor, " inputs"]
    labels: Float[Tensor, " inputs"]
    ratio: float
    half_width: float

    @property
    def detected(self) -> bool:
        """Whether the labels moved the variance."""
        return abs(self.ratio) > self.half_width

    def __str__(self) -> str:
        verdict = (
            "the labels move the ensemble's variance: this width is not the limit, and its statements hold only up to such a difference"
            if self.detected
            else "no dependence on the labels was found"
        )
        return (
            f"variance with labels over that with zeros, less 1: {self.ratio:+.3f} +- {self.half_width:.3f}; {verdict}"
        )


def label_dependence(
    model: nn.Module,
    data: Any,
    x: Tensor,
    config: DeepEnsembleConfig,
    *,
    seed: int,
    device: str | torch.device = "cpu",
) -> LabelDependence:
    """Train both ensembles (`config.members` members, at least 50) and compare their variances at the inputs x.

    model, data, config: as in the method `deep_ensemble`. Raises `InvalidInput`, `AssumptionViolated`, `NumericalFailure`.
    """
    module, train, y = prepared(model, data, config, DeepEnsembleConfig, seed, device)
    if config.members < LEAST:
        raise InvalidInput(
            f"members is {config.members}.",
            f"Take at least {LEAST}: the interval takes the members' paired differences for nearly normal.",
        )
    check_inputs(x, module.network.dtype, module.network.device)
    outputs(module.network, x[:1])
    start = module.draw(config.members, seed, "lazy regime: members")
    found = []
    for goal in (torch.zeros_like(y), y):
        trained = descend(
            module, start, train, goal.expand(config.members, -1, -1),
            penalty=float(config.noise_variance), tolerance=config.tolerance, max_steps=config.max_steps,
            momentum=config.momentum,
        )  # fmt: skip
        with torch.no_grad():
            members = module.population(trained.normals, x)
        # squared deviations of every member, (members, inputs); their mean is the variance with divisor members - 1
        found.append((members - members.mean(0)).square().mean(-1) * config.members / (config.members - 1))
    zeros, labels = found
    differences = (labels - zeros).sum(1) / zeros.mean(0).sum()
    error = float(differences.std()) / config.members**0.5
    return LabelDependence(
        zeros.mean(0), labels.mean(0), float(differences.mean()), multiplier(degrees=config.members - 1) * error
    )
