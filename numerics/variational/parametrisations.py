"""Parametrisations of mean and covariance factor: initial scales, learning rates and forward multipliers by layer, a table without tensors.

sp   standard: weights fan_in^-1/2, one learning rate
ntp  neural tangent: weights 1 with the forward multiplier fan_in^-1/2, one learning rate
mup  maximal update (Yang et al. 2021): learning rates that keep every layer moving by as much as it can at any width

The law of an entry is multiplier * (mean + noise). Rates are relative to the global one. The factor's row divides by the number of its
columns R: initial noise of the size of the mean's own, and the rate 1/R by which sampled training is stable at every rank
(ib.mc_stability).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ...theory.errors import InvalidInput
from ...theory.validation import sample_size

Parametrisation = Literal["sp", "ntp", "mup"]
PARAMETRISATIONS: tuple[Parametrisation, ...] = ("sp", "ntp", "mup")
Tensors = Literal["input", "hidden", "output", "bias", "vector", "other"]
TENSORS: tuple[Tensors, ...] = ("input", "hidden", "output", "bias", "vector", "other")


@dataclass(frozen=True)
class Scaling:
    """Standard deviation of the initial entries, learning rate relative to the global one, factor between the stored tensor and the one
    that the network sees."""

    std: float
    rate: float
    multiplier: float = 1.0


def mean_scaling(
    parametrisation: Parametrisation,
    kind: Tensors,
    *,
    fan_in: int,
    fan_out: int,
    optimizer: Literal["sgd", "adam"] = "sgd",
) -> Scaling:
    """Row of the table for a mean. kind: role of the weight, "bias", "vector" (norms and embeddings: entries that one input reaches) or
    "other".

    Rates of Adam are tabulated for comparison; no theorem about the limit covers it (ib.ls_precond). Raises `InvalidInput`.
    """
    if parametrisation not in PARAMETRISATIONS or kind not in TENSORS or optimizer not in ("sgd", "adam"):
        raise InvalidInput(
            f"No row for {parametrisation!r}, {kind!r}, {optimizer!r}.",
            f"Parametrisations: {PARAMETRISATIONS}; tensors: {TENSORS}; optimizers: sgd, adam.",
        )
    into, out = sample_size("fan_in", fan_in), sample_size("fan_out", fan_out)
    weight = kind in ("input", "hidden", "output")
    std = 1 / math.sqrt(into) if weight else 1.0
    if parametrisation == "sp":
        return Scaling(std, 1.0)
    if parametrisation == "ntp":
        return Scaling(1.0, 1.0, std)
    if kind == "output":
        return Scaling(1 / into, 1 / into if optimizer == "sgd" else 1.0)
    if kind in ("hidden", "other"):
        return Scaling(std, 1.0 if optimizer == "sgd" else 1 / into if kind == "hidden" else 1.0)
    return Scaling(std, float(out) if optimizer == "sgd" else 1.0)


def factor_scaling(mean: Scaling, *, rank: int, rate: float | None = None) -> Scaling:
    """Row of a factor with `rank` columns: standard deviation over sqrt(rank), rate over rank, or times `rate` where that is given."""
    columns = sample_size("rank", rank)
    relative = 1 / columns if rate is None else rate
    return Scaling(mean.std / math.sqrt(columns), mean.rate * relative, mean.multiplier)
