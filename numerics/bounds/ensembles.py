"""The log-loss of an averaged model from a bound on the Gibbs log-loss and the diversity of the models (pb.link)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...theory.statements.pac_bayes.diversity import LINK
from ...theory.validation import finite
from ..certified.outward import add_down, add_up, div_down, exp_down, log_down, mul_down, sub_down, sub_up
from ..diversity.jensen import loss_array
from ..large_deviations.laws import FiniteLaw
from ..large_deviations.tails import KnownLaws, describe
from .certificate import Certificate
from .chernoff import pac_bayes_chernoff
from .issue import issue

QUANTITY = "true log-loss of the averaged model"


def ensemble_chernoff(
    *,
    risk: float,
    kl: float,
    n: int,
    losses: ArrayLike,
    posterior: ArrayLike,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Oracle for the log-loss of the average E_rho p: risk + inf over l of (E_rho J(l) + t)/l - Dv(rho), t = (kl + ln(n/delta))/(n-1).

    Parameters
    ----------
    risk: empirical Gibbs log-loss on the n examples, any finite number.
    kl: KL(rho||P) in nats. n: number of examples, at least 2.
    losses: (models, points) of log-losses on the whole population, every point as likely as every other: it gives J and the diversity
        Dv = E_x ln E_rho e^{E_rho loss - loss}. A sample in its place makes a diagnostic.
    posterior: rho, one weight for each model, sum 1.
    delta, log_inv_delta: exactly one.

    Always an oracle: J and Dv belong to the distribution. Raises `InvalidInput`.
    """
    array = finite("losses", losses, ndim=2)
    loss_array(array, posterior)  # refuses what does not fit
    finite("kl", kl, ndim=0)  # at an infinite one the bound is E_rho (L - min loss), which nobody needs an oracle for
    rho = np.asarray(posterior, dtype=np.float64)
    tail = KnownLaws(FiniteLaw(array), rho)
    gibbs = pac_bayes_chernoff(risk=risk, kl=kl, n=n, tail=tail, delta=delta, log_inv_delta=log_inv_delta)
    inputs: dict[str, Any] = {"gibbs": gibbs.value, "diversity": diversity_down(array, rho), **describe(tail)}
    value = sub_up(gibbs.value, inputs["diversity"])
    return issue(LINK, value, quantity=QUANTITY, spent=(), inputs=inputs, parts={"gibbs": gibbs}, top=math.inf)


def diversity_down(losses: np.ndarray, rho: np.ndarray) -> float:
    """Dv rounded down: per point E d + ln E e^-d, d = loss - least loss, for rho divided by its exact sum."""
    weight = [float(w) for w in rho if w > 0]
    rows = [row.tolist() for row, w in zip(losses, rho, strict=True) if w > 0]
    total_up = add_up(*weight)
    found = []
    for column in zip(*rows, strict=True):
        least = min(column)
        mean = div_down(
            add_down(*(mul_down(w, sub_down(x, least)) for w, x in zip(weight, column, strict=True))), total_up
        )
        mass = add_down(*(mul_down(w, exp_down(-sub_up(x, least))) for w, x in zip(weight, column, strict=True)))
        found.append(max(0.0, add_down(mean, log_down(div_down(mass, total_up)))))
    return div_down(add_down(*found), float(len(found)))
