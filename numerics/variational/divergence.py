"""KL divergence of the family to a prior with independent entries, in closed form for every covariance that has one.

KL(N(mean, S S^T) || N(m, diag s^2)) = 1/2 [sum (var + (mean - m)^2)/s^2 - P + sum ln s^2 - ln det S S^T], over the variational layers.
Deterministic tensors are points and enter no divergence. The terms grow like the number of entries: sums are taken in float64.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .family import Family, Law


@dataclass(frozen=True, eq=False)
class IndependentPrior:
    """Mean of every entry and one standard deviation for each tensor of the variational layers, in the coordinates of the
    parametrisation."""

    means: dict[str, Tensor]
    stds: dict[str, float]


def table_prior(family: Family, scale: float) -> IndependentPrior:
    """Means 0 and `scale` times the initial standard deviations of the parametrisation."""
    names = [name for layer in family.variational for name in layer.tensors]
    return IndependentPrior(
        {name: torch.zeros_like(family.network.random[name]) for name in names},
        {name: scale * family.scalings[name].std for name in names},
    )


def kl_divergence(family: Family, law: Law, prior: IndependentPrior) -> Float[Tensor, ""]:
    """In nats, differentiable. Raises `AssumptionViolated` where it is infinite whatever the numbers (a factor with fewer columns than
    rows)."""
    total = torch.zeros((), dtype=torch.float64, device=family.network.device)
    factor: Mapping[str, Tensor] = {name: value.double() for name, value in law.factors.items()}
    for layer in family.variational:
        variances = family.covariance.variances(layer, factor)
        for name in layer.tensors:
            std = prior.stds[name]
            spread = variances[name] + (law.means[name].double() - prior.means[name].double()).square()
            total = total + 0.5 * (spread / std**2 - 1 + 2 * math.log(std)).sum()
        total = total - 0.5 * family.covariance.log_determinant(layer, factor)
    return total


def independent_start(family: Family, law: Law, prior: IndependentPrior, scale: float) -> Law:
    """`law` with factors of independent entries, `scale` times the prior's standard deviations: well conditioned, where a random square
    factor has directions of nearly no variance and a divergence whose gradient is huge there. Raises `AssumptionViolated` for too few
    columns."""
    factors: dict[str, Tensor] = {}
    for layer in family.variational:
        stds = {name: scale * prior.stds[name] for name in layer.tensors}
        factors |= family.covariance.independent(layer, stds, law.means[layer.weight])
    return Law(law.means, {name: factors[name] for name in family.tensors})
