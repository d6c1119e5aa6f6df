"""The Wasserstein bound (pb.wasserstein), with data-dependent priors and for single networks; distances between Gaussians."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.other_divergences import WASSERSTEIN
from ...theory.validation import finite, float_array, non_negative, sample_size, unit_interval
from ..certified.outward import add_up, div_up, log_up, mul_up, sqrt_up
from .certificate import Certificate
from .issue import issue, scalar, spend

EVENT = "concentration under every prior"
Form = Literal["bounded", "second moment"]
FORMS: tuple[Form, ...] = ("bounded", "second moment")


def wasserstein(
    *,
    risk: float,
    distances: Any,
    sizes: Any,
    lipschitz: float,
    form: Form = "bounded",
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Upper certificate for the true Gibbs risk: risk + sum 2 m_i L W_i/n + sum sqrt(m_i ln(T/delta)/(2 n^2)).

    Parameters
    ----------
    risk: empirical Gibbs risk on all n = sum m_i examples; in [0, 1] for "bounded", not negative otherwise.
    distances: (an upper bound on) the 1-Wasserstein distance from the posterior to prior i, for each of the T parts; one number for
        one part. `gaussian_distance` gives one for Gaussians.
    sizes: number of examples of each part; prior i must not depend on part i.
    lipschitz: L, for which the loss of every example is L-Lipschitz in the predictor, in the metric of the distances.
    form: "bounded" for losses in [0, 1]; "second moment" for losses that are not negative with E_{P_i} E loss^2 <= 1: 2 in place of 1/2.
    For one network (a point mass) each distance is the mean distance of the prior's draws from its parameters.
    delta, log_inv_delta: total failure probability, shared by the T parts; exactly one.

    No KL: it works for point masses, and says little unless L is certified. Raises `InvalidInput`. Source: Viallard et al. 2023.
    """
    if form not in FORMS:
        raise InvalidInput(f"form is {form!r}.", f"Choose one of {FORMS}.")
    q = float(unit_interval("risk", scalar("risk", risk)) if form == "bounded" else non_negative("risk", finite("risk", scalar("risk", risk))))  # fmt: skip
    walked = np.atleast_1d(non_negative("distances", float_array("distances", distances)))
    parts = [sample_size("sizes", m) for m in np.atleast_1d(float_array("sizes", sizes)).ravel().tolist()]
    if walked.ndim != 1 or len(walked) != len(parts) or not parts:
        raise InvalidInput("distances and sizes do not belong together.", "Give one distance for each part.")
    slope = float(non_negative("lipschitz", finite("lipschitz", scalar("lipschitz", lipschitz))))
    spent = spend(EVENT, delta, log_inv_delta)
    n = sum(parts)
    price = add_up(spent.log_inv_delta, log_up(float(len(parts))))
    factor = 0.5 if form == "bounded" else 2.0
    steps = [mul_up(mul_up(2.0 * m, slope), float(w)) for m, w in zip(parts, walked, strict=True)]
    roots = [sqrt_up(mul_up(factor * m, price)) for m in parts]
    value = add_up(q, div_up(add_up(*steps, *roots), n))
    return issue(
        WASSERSTEIN,
        value,
        quantity="true Gibbs risk",
        spent=(spent,),
        inputs={
            "form": form,
            "risk": q,
            "distances": tuple(walked.tolist()),
            "sizes": tuple(parts),
            "lipschitz": slope,
            "log_inv_delta": spent.log_inv_delta,
        },
        top=1.0 if form == "bounded" else math.inf,
    )


def gaussian_distance(*, mean: Any, scale: Any, prior_mean: Any, prior_scale: Any) -> float:
    """W2 between Gaussians with diagonal covariances, rounded up; it is at least their W1.

    mean, prior_mean: shape (parameters,); scale, prior_scale: standard deviations >= 0 (0 is a point mass), one number or one for each
    parameter. sqrt(|m - m0|^2 + |s - s0|^2). Raises `InvalidInput`.
    """
    m, m0 = (finite(name, float_array(name, x, ndim=1)) for name, x in (("mean", mean), ("prior_mean", prior_mean)))
    if m.shape != m0.shape:
        raise InvalidInput("The two means differ in shape.", "Flatten the parameters in one order.")
    s, s0 = (non_negative(name, finite(name, x)) for name, x in (("scale", scale), ("prior_scale", prior_scale)))
    if any(x.ndim > 1 or (x.ndim == 1 and x.shape != m.shape) for x in (s, s0)):
        raise InvalidInput("A scale has another shape than its mean.", "Give one standard deviation, or one each.")
    with np.errstate(over="ignore"):
        apart = np.concatenate([m - m0, np.broadcast_to(s, m.shape) - np.broadcast_to(s0, m.shape)])
    size = float(np.abs(apart).max()) if apart.size else 0.0
    if size == 0 or math.isinf(size):
        return size
    # differences, quotients, squares and their sum: at most 7 half-ulps of the square in all
    total = math.fsum(((apart / size) ** 2).tolist()) * (1 + 8 * 2.0**-53)
    return mul_up(sqrt_up(math.nextafter(total, math.inf)), size)
