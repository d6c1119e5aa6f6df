"""Bounds through the relative entropy of outcome frequencies (pb.trikl): losses with finitely many values, excess losses above all."""

from __future__ import annotations

import math
from fractions import Fraction

from numpy.typing import ArrayLike

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.variance import TRIKL
from ...theory.validation import finite, non_negative, sample_size, unit_interval
from ..certified.multinomial_kl import multinomial_kl_lower, multinomial_kl_upper, weights_of
from ..certified.nml import log_nml_upper
from ..certified.outward import add_up, div_up
from .certificate import Certificate
from .issue import issue, scalar, spend

EVENT = "vector kl over the sample"


def vector_kl(
    *,
    frequencies: ArrayLike,
    values: ArrayLike,
    kl: float,
    n: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Two-sided certificate for the posterior mean of a loss with values f_1..f_M: the largest sum of f_i p_i over laws p with
    KL(u||p) <= (kl + ln(C(M,n)/delta))/n.

    Parameters
    ----------
    frequencies: u, posterior means of the empirical frequencies of the M values; they sum to 1. An outcome that never occurred has a 0.
    values: f, finite, all different, fixed before the data. Sums of equal values should be merged: fewer outcomes cost less.
    kl: KL(Q||P) in nats (of pairs: twice that of one predictor). n: number of examples. delta, log_inv_delta: exactly one.

    Raises `InvalidInput`. Source: derived (pb.trikl); Biggs and Guedj 2023 for M = 3 with ln(2n).
    """
    u, f = weights_of("frequencies", frequencies), finite("values", values, ndim=1)
    if u.ndim != 1 or u.size != f.size or u.size < 2:
        raise InvalidInput(
            f"There are {u.size} frequencies and {f.size} values.", "Give at least two outcomes, one number each."
        )
    if len(set(f.tolist())) < f.size:
        raise InvalidInput("Two outcomes have the same value.", "Merge them: add their frequencies.")
    divergence, size = float(non_negative("kl", scalar("kl", kl))), sample_size("n", n)
    spent = spend(EVENT, delta, log_inv_delta)
    c = complexity(divergence, size, spent.log_inv_delta, u.size)
    return issue(
        TRIKL,
        float(multinomial_kl_upper(u, f, c)),
        lower=float(multinomial_kl_lower(u, f, c)),
        top=float(f.max()),
        quantity="true Gibbs risk",
        spent=(spent,),
        inputs={
            "frequencies": tuple(u.tolist()), "values": tuple(f.tolist()), "kl": divergence, "n": size,
            "log_inv_delta": spent.log_inv_delta,
        },
    )  # fmt: skip


def trinomial_kl(
    *,
    gain: float,
    loss: float,
    kl: float,
    n: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """`vector_kl` for excess losses in {-1, 0, 1}: `loss` and `gain` are the posterior frequencies of 1 and of -1."""
    up, down = (float(unit_interval(name, scalar(name, value))) for name, value in (("loss", loss), ("gain", gain)))
    rest = max(Fraction(0), 1 - Fraction(up) - Fraction(down))  # 1 - (up + down) in floats may lose all its digits
    return vector_kl(
        frequencies=(up, down, float(rest)),
        values=(1.0, -1.0, 0.0),
        kl=kl,
        n=n,
        delta=delta,
        log_inv_delta=log_inv_delta,
    )


def complexity(kl: float, n: int, log_inv_delta: float, classes: int) -> float:
    """(kl + ln(C(M,n)/delta))/n, rounded up."""
    if math.isinf(kl):
        return math.inf
    return div_up(add_up(kl, float(log_nml_upper(classes, n)), log_inv_delta), float(n))
