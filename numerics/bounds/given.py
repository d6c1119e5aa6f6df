"""What a user knows about a predictor or a posterior: validated once, before any bound is computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...theory.errors import InvalidInput
from ...theory.validation import finite, non_negative, sample_size, unit_interval
from ..certified.divergences import kl_categorical
from .certificate import Certificate
from .from_losses import AXES, float_above, mean_up, transposed
from .issue import scalar

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Given:
    """`form` says what was given: "numbers" (risk and KL of a posterior), "draws" (losses of fresh posterior draws), "finite" (losses
    of every member of a finite class, with posterior weights) or "fixed" (losses of one predictor). `n` counts the examples of the
    bound, without the `n_prior` that made the prior."""

    form: str
    n: int
    n_prior: int
    risk: float
    kl: float | None = None
    losses: FloatArray | None = None
    posterior: FloatArray | None = None
    draws: int | None = None
    log_inv_weight: float | None = None

    @property
    def binary(self) -> bool:
        """Whether every loss that was seen is 0 or 1."""
        return self.losses is not None and bool(np.isin(self.losses, (0.0, 1.0)).all())


def describe(
    *,
    risk: Any = None,
    kl: Any = None,
    n: Any = None,
    losses: Any = None,
    axes: Sequence[str] = AXES,
    posterior: Any = None,
    prior: Any = None,
    n_prior: Any = 0,
    log_inv_weight: Any = None,
) -> Given:
    """The one of the four forms that these arguments make. Raises `InvalidInput` for combinations that make none."""
    learned = sample_size("n_prior + 1", finite("n_prior", n_prior, ndim=0) + 1) - 1
    weight = (
        None
        if log_inv_weight is None
        else float(non_negative("log_inv_weight", scalar("log_inv_weight", log_inv_weight)))
    )
    if losses is None:
        if risk is None or kl is None or n is None:
            raise InvalidInput(
                "Neither losses nor risk, kl and n are given.", "Pass an array of losses, or all three numbers."
            )
        if posterior is not None or prior is not None:
            raise InvalidInput("Weights without losses say nothing.", "Pass the losses of the weighted predictors.")
        if isinstance(risk, Certificate):
            raise InvalidInput(
                "risk is a certificate.", "Pass it to the single bounds, or the losses of the draws to compare."
            )
        size = sample_size("n", n)
        if learned >= size:
            raise InvalidInput(f"n_prior is {learned} of n = {size}.", "Leave at least one example for the bound.")
        return Given(
            "numbers", size - learned, learned, float(unit_interval("risk", scalar("risk", risk))),
            float(non_negative("kl", scalar("kl", kl))), log_inv_weight=weight,
        )  # fmt: skip
    if risk is not None or n is not None:
        raise InvalidInput("risk or n is given beside losses.", "They are read off the losses; leave them out.")
    array = unit_interval("losses", losses)
    if array.ndim not in (1, 2) or 0 in array.shape:
        raise InvalidInput(
            f"losses has shape {array.shape}.", "One predictor needs one axis, several need two; none may be empty."
        )
    if array.ndim == 1:
        if kl is not None or posterior is not None or prior is not None or learned:
            raise InvalidInput(
                "Losses of one predictor have no kl, weights or n_prior.", "Pass a row for each draw or predictor."
            )
        return Given("fixed", array.size, 0, mean_up(array), losses=array, log_inv_weight=weight)
    array = np.ascontiguousarray(array.T if transposed(axes) else array)
    if weight is not None:
        raise InvalidInput("log_inv_weight belongs to one predictor.", "Pass its losses alone.")
    if posterior is None:
        if kl is None or prior is not None:
            raise InvalidInput(
                "Draws need their kl, and no prior weights.", "Pass kl=, or the posterior weights of a finite class."
            )
        divergence = float(non_negative("kl", scalar("kl", kl)))
        return Given("draws", array.shape[1], learned, mean_up(array), divergence, array, draws=len(array))
    q = weights_of("posterior", posterior, len(array))
    p = weights_of("prior", np.ones(len(array)) if prior is None else prior, len(array))
    if kl is not None:
        raise InvalidInput("kl is given beside weights.", "It follows from them: leave it out.")
    return Given(
        "finite", array.shape[1], learned, weighted_mean_up(array, q), float(kl_categorical(q, p)), array, posterior=q
    )


def weights_of(name: str, value: Any, size: int) -> FloatArray:
    weights = non_negative(name, finite(name, value, ndim=1))
    if weights.size != size or weights.sum() <= 0:
        raise InvalidInput(
            f"{name} has {weights.size} weights for {size} rows of losses.", "Give one for each, not all 0."
        )
    return weights / weights.sum()


def weighted_mean_up(losses: FloatArray, weights: FloatArray) -> float:
    """sum_j w_j mean_i losses[j, i] for the weights as floats, rounded up."""
    total = sum(
        (Fraction(float(w)) * Fraction(math.fsum(row.tolist())) for w, row in zip(weights, losses, strict=True)),
        Fraction(0),
    )
    mass = sum(map(Fraction, map(float, weights)), Fraction(0))
    exact = total * (1 + Fraction(1, 2**53)) / (losses.shape[1] * mass) if total else Fraction(0)
    return min(1.0, float_above(exact))
