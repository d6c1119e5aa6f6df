"""`diagnose`: from arrays of losses to what drives generalization: fit, KL, smoothness, diversity, temperature (pb.link, pb.cpe)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...theory.errors import InvalidInput
from ...theory.validation import finite, log_inverse_delta, non_negative, sample_size, unit_interval
from ..diversity.cold_posterior import cold_posterior
from ..diversity.cumulants import variance_balance
from ..diversity.jensen import jensen_terms, loss_array
from ..large_deviations.laws import FiniteLaw, saturation
from ..large_deviations.mixture import mixture_inverse_rate
from .jackknife import Estimate, jackknife
from .record import Diagnosis, Loss, Rate, Tie
from .ties import all_ties, cold_tie, rate_tie, smoothness_tie

FloatArray = NDArray[np.float64]
Indices = NDArray[np.intp]
LABEL = "diagnostic (plug-in estimates of oracle quantities, no certificate)"


def diagnose(
    losses: ArrayLike,
    *,
    test_losses: ArrayLike | None = None,
    loss: Loss = "log",
    weights: ArrayLike | None = None,
    kl: float | None = None,
    n: int | None = None,
    delta: float = 0.05,
) -> Diagnosis:
    """What the losses of a posterior say about its generalization. A diagnostic: no number of it certifies anything.

    Parameters
    ----------
    losses: (models, examples) on training examples: posterior draws, ensemble members or a finite family; -ln p(y|x) for "log", 0 or 1
        for "zero_one", numbers in [0, 1] for "bounded".
    test_losses: (models, points) of the same models on fresh examples. Smoothness, diversity and the temperature's slope are then those of
        the test points; without it, of the training examples, which the posterior has seen.
    weights: the posterior on the models, sum 1 (default: equal, as for draws).
    kl: KL(posterior||prior) in nats; without it there is no price and so no inverse rate.
    n: number of training examples, if `losses` holds only some of them (default: its number of columns).
    delta: enters the price s = (kl + ln(n/delta))/(n - 1) at which the inverse rate is evaluated.

    Error bars leave out groups of examples (groups of models for the temperature). Raises `InvalidInput`.
    """
    if loss not in get_args(Loss):
        raise InvalidInput(f"loss is {loss!r}.", f"Choose one of {get_args(Loss)}.")
    train, rho = loss_array(_of_kind(losses, loss, "losses"), weights)
    test = None
    if test_losses is not None:
        test, _ = loss_array(_of_kind(test_losses, loss, "test_losses"), weights)
        if len(test) != len(train):
            raise InvalidInput(
                f"There are {len(train)} models in losses and {len(test)} in test_losses.", "Use the same models."
            )
    size = train.shape[1] if n is None else sample_size("n", n)
    if size < train.shape[1]:
        raise InvalidInput(f"n is {n}, but losses has {train.shape[1]} examples.", "n counts all training examples.")
    divergence = None if kl is None else float(non_negative("kl", finite("kl", kl, ndim=0)))
    level = log_inverse_delta(delta)
    seen = train if test is None else test
    on: Literal["test", "train"] = "train" if test is None else "test"
    notes = [] if test is not None else ["without test losses everything describes the examples that were learned from"]

    def over(function: Callable[[FloatArray], float]) -> Estimate:
        return jackknife(lambda keep: function(seen[:, keep]), seen.shape[1])

    rate, extra = _rate(seen, rho, divergence, size, level, notes)

    def mean_of(name: str) -> Estimate:
        return over(lambda a: float(np.mean(getattr(jensen_terms(a, weights=rho), name))))

    log = loss == "log"
    diversity = mean_of("gap") if log else over(lambda a: variance_balance(a, weights=rho).diversity)
    cold = slope = None
    if log and test is not None and len(rho) > 1:
        cold, slope = _temperature(train, test, rho, size)
        extra.append(cold_tie(train, test, rho, size))
    balance = variance_balance(seen, weights=rho)
    return Diagnosis(
        label=LABEL,
        loss=loss,
        models=len(rho),
        examples=seen.shape[1],
        n=size,
        evaluated_on=on,
        fit=jackknife(lambda keep: float(np.mean(rho @ train[:, keep])), train.shape[1]),
        gibbs_loss=over(lambda a: float(np.mean(rho @ a))),
        kl=divergence,
        delta=float(delta),
        rate=rate,
        diversity=diversity,
        ensemble_loss=mean_of("ensemble_loss") if log else None,
        second_order=mean_of("second_order") if log else None,
        tight=mean_of("tight") if log else None,
        roughness=balance.roughness,
        spread_of_risks=balance.spread_of_risks,
        roughness_of_average=balance.roughness_of_average,
        cold_slope=cold,
        train_slope=slope,
        combined=None
        if rate is None or loss != "log"
        else float(np.mean(rho @ train)) + rate.inverse_rate.value - diversity.value,
        ties=all_ties(seen, rho, loss, extra),
        notes=tuple(notes),
    )


def _of_kind(losses: Any, loss: str, name: str) -> Any:
    """Losses of the declared kind; log-losses may be negative (densities)."""
    if loss == "log":
        return finite(name, losses)
    array = unit_interval(name, losses)
    if loss == "zero_one" and not np.isin(array, (0.0, 1.0)).all():
        raise InvalidInput(f"{name} has entries other than 0 and 1.", "Use loss='bounded' for losses in between.")
    return array


def _rate(
    array: FloatArray, rho: FloatArray, kl: float | None, n: int, level: float, notes: list[str]
) -> tuple[Rate | None, list[Tie]]:
    """The plug-in inverse rate at the price of the combined bound, and the two relations that it enters."""
    if kl is None:
        notes.append("no KL was given, so there is no price and no inverse rate")
        return None, []
    if n < 2:
        raise InvalidInput("n is 1.", "The price (kl + ln(n/delta))/(n - 1) needs two examples.")
    price = (kl + math.log(n) + level) / (n - 1)
    if not array.size or float(np.ptp(array, axis=1).max()) == 0:
        notes.append("every model has the same loss on all examples: its rate is infinite, the inverse rate 0")
        return Rate(Estimate(0.0, None), price, math.inf, True, float(array.shape[1]), 0.0), []
    found = mixture_inverse_rate(array, price, posterior_weights=rho)
    limit = float(rho @ saturation(FiniteLaw(array)))
    if found.saturated:
        notes.append(
            f"the price is above what {array.shape[1]} examples can show: the inverse rate only repeats mean - minimum"
        )
        return Rate(Estimate(float(found.value), None), price, math.inf, True, float(found.effective), limit), []

    def value(keep: Indices) -> float:
        part = array[:, keep]
        return (
            float(mixture_inverse_rate(part, price, posterior_weights=rho).value)
            if np.ptp(part, axis=1).max() > 0
            else 0.0
        )

    estimate = Estimate(float(found.value), jackknife(value, array.shape[1]).error)
    rate = Rate(estimate, price, float(found.tilt), False, float(found.effective), limit)
    return rate, [smoothness_tie(array, rho, rate.tilt), rate_tie(array, rho, rate, float(found.rounding))]


def _temperature(train: FloatArray, test: FloatArray, rho: FloatArray, n: int) -> tuple[Estimate, Estimate]:
    """Both slopes at l = 1, for n examples; error bars over models, which for draws are what varies."""
    scale = n / train.shape[1]

    def slope(name: str) -> Callable[[Indices], float]:
        def value(keep: Indices) -> float:
            share = rho[keep] / rho[keep].sum()
            return scale * float(getattr(cold_posterior(train[keep], test[keep], weights=share), name))

        return value

    return jackknife(slope("bayes_slope"), len(rho)), jackknife(slope("train_slope"), len(rho))
