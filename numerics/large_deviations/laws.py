"""Laws of a loss, one for each model: finite ones (a sample, or losses with probabilities), exponential and Gaussian ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...theory.errors import InvalidInput
from ...theory.validation import finite, non_negative

FloatArray = NDArray[np.float64]
_CENTRINGS = 3


@dataclass(frozen=True)
class FiniteLaw:
    """Losses (models x examples, or one row) and weights (the same for all models, or one row each; uniform by default).

    Weights need not sum to 1. Derived, all float64: `weight` normalised, `deviation` from the mean, `above` the minimum, `gap` =
    mean - minimum, `mass` = P(loss = minimum), `variance`, `third` (third cumulant). Raises `InvalidInput`.
    """

    losses: Any
    weights: Any = None
    weight: FloatArray = field(init=False, repr=False)
    deviation: FloatArray = field(init=False, repr=False)
    above: FloatArray = field(init=False, repr=False)
    minimum: FloatArray = field(init=False, repr=False)
    mean: FloatArray = field(init=False, repr=False)
    gap: FloatArray = field(init=False, repr=False)
    mass: FloatArray = field(init=False, repr=False)
    variance: FloatArray = field(init=False, repr=False)
    third: FloatArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        losses = finite("losses", self.losses)
        if losses.ndim not in (1, 2) or not losses.size:
            raise InvalidInput(
                f"losses has shape {losses.shape}.", "Pass one row of losses, or an array models x examples."
            )
        rows = np.atleast_2d(losses)
        p = np.ones((1, rows.shape[1])) if self.weights is None else np.atleast_2d(finite("weights", self.weights))
        if p.shape[1] != rows.shape[1] or p.shape[0] not in (1, len(rows)) or non_negative("weights", p).ndim != 2:
            raise InvalidInput(f"weights has shape {p.shape}, losses {rows.shape}.", "Give one weight for each loss.")
        total = p.sum(axis=1, keepdims=True)
        if not (total > 0).all():
            raise InvalidInput("The weights of a model are all zero.", "A law needs some mass.")
        p = p / total
        p = np.broadcast_to(p, rows.shape)
        with np.errstate(over="ignore"):
            spread = np.atleast_1d(rows.max(axis=1) - rows.min(axis=1))
        if spread.max() > 1e150 or (spread[spread > 0] < 1e-150).any():
            raise InvalidInput(
                f"The losses spread over {spread.max():g}: their variance leaves the range of a float.",
                "Rescale them first.",
            )
        inside = p > 0
        low = np.where(inside, rows, np.inf).min(axis=1)
        above = np.where(inside, rows - low[:, None], 0.0)
        d = above
        for _ in range(_CENTRINGS):
            d = d - (p * d).sum(axis=1, keepdims=True)
        d = np.where(inside, d, 0.0)
        constant = above.max(axis=1) == 0
        d = np.where(constant[:, None], 0.0, d)
        gap = np.where(constant, 0.0, -np.where(inside, d, np.inf).min(axis=1))
        set_ = object.__setattr__
        set_(self, "losses", losses)
        set_(self, "weight", p)
        set_(self, "deviation", d)
        set_(self, "above", above)
        set_(self, "minimum", low)
        set_(self, "mean", low + gap)
        set_(self, "gap", gap)
        set_(self, "mass", np.where(constant, 1.0, np.where(inside & (above == 0), p, 0.0).sum(axis=1)))
        with np.errstate(over="ignore"):
            set_(self, "variance", (p * d * d).sum(axis=1))
            set_(self, "third", (p * d * d * d).sum(axis=1))


@dataclass(frozen=True)
class ExponentialLaw:
    """Exponential losses with these means (one for each model)."""

    mean: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", _positive("mean", self.mean))

    @property
    def gap(self) -> FloatArray:
        """Mean minus essential minimum: the mean itself."""
        return np.asarray(self.mean)

    @property
    def variance(self) -> FloatArray:
        return np.asarray(self.mean) ** 2


@dataclass(frozen=True)
class GaussianLaw:
    """Gaussian losses with these variances (the rate function does not depend on the mean)."""

    variance: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "variance", _positive("variance", self.variance))

    @property
    def gap(self) -> FloatArray:
        """Infinite: there is no essential minimum."""
        return np.full_like(np.asarray(self.variance), np.inf)


Law = FiniteLaw | ExponentialLaw | GaussianLaw


def _positive(name: str, value: Any) -> FloatArray:
    array = np.atleast_1d(finite(name, value))
    if array.ndim != 1 or not array.size or array.min() <= 0:
        raise InvalidInput(f"{name} is {value!r}.", "Give one positive number for each model.")
    return array


def saturation(law: Law) -> FloatArray:
    """ln(1/P(loss = essential minimum)) of each model: from there on the inverse rate is the gap."""
    if isinstance(law, FiniteLaw):
        return -np.log(law.mass)
    return np.full_like(np.asarray(law.variance, dtype=np.float64), np.inf)


def models(law: Law) -> int:
    """How many models the law describes."""
    return len(np.atleast_1d(law.gap))


def posterior(q: Any, count: int) -> FloatArray:
    """Posterior weights of `count` models, normalised. Raises `InvalidInput`."""
    weights = non_negative("posterior", finite("posterior", q, ndim=1))
    if weights.shape != (count,) or not weights.sum() > 0:
        raise InvalidInput(f"posterior has shape {weights.shape} for {count} models.", "Give one weight for each.")
    return weights / weights.sum()
