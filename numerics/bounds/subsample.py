"""Occam bounds whose empirical risk was itself estimated on a random part of the training examples (pb.subsample)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.held_out import SUBSAMPLE
from ...theory.validation import finite, log_inverse_delta, sample_size
from ..certified.kl_inverse import kl_upper
from ..certified.outward import add_up, div_up, log_down, mul_up, sqrt_up, sub_down, sub_up
from ..confidence import Spending, split_delta
from .certificate import Certificate
from .held_out import QUANTITY
from .issue import issue, scalar, spend
from .occam import EVENT, weight

SUBSAMPLE_EVENT = "random choice of the evaluated examples"
FORMS = ("kl", "hoeffding")


def subsampled_occam(
    *,
    risk: float,
    m: int,
    n: int,
    log_inv_weight: float | None = None,
    code_bits: float | None = None,
    interval: tuple[float, float] = (0.0, 1.0),
    share: float | None = None,
    form: Literal["kl", "hoeffding"] = "kl",
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Certificate for the true risk of one member of a countable class from its mean loss on m of the n training examples.

    Parameters
    ----------
    risk: mean loss on the m evaluated examples, in `interval`.
    m: how many of the n examples were evaluated: drawn uniformly, with or without replacement, after the predictor was fixed and
        independently of it.
    n: number of training examples.
    log_inv_weight, code_bits: as in `occam_kl`; exactly one.
    interval: (a, b), the range of the loss.
    share: part of delta for the training sample, the rest pays for the evaluated part; fixed in advance. m/(m+n) when None.
    form: "kl": UP(UP(risk, s2/m), s1/n), s1 = ln(1/w) + ln(1/(share delta)), s2 = ln(1/((1-share) delta)), scaled to the interval;
        "hoeffding", as published and never smaller: risk + (b-a) (sqrt(s1/(2n)) + sqrt(s2/(2m))).

    Two events enter the ledger. Raises `InvalidInput`. Source: Lotfi et al. 2024.
    """
    low, high = _interval(interval)
    value = float(finite("risk", scalar("risk", risk)))
    if not low <= value <= high:
        raise InvalidInput(f"risk {value!r} lies outside the interval [{low}, {high}].", "Give the range of the loss.")
    drawn, size = sample_size("m", m), sample_size("n", n)
    if form not in FORMS:
        raise InvalidInput(f"form is {form!r}.", f"Choose one of {FORMS}.")
    inverse_weight, given = weight(log_inv_weight, code_bits)
    sample, part = _spend(share, drawn, size, delta, log_inv_delta)
    first = add_up(inverse_weight, sample.log_inv_delta)
    width = sub_up(high, low)
    if form == "kl":
        # a loss is mapped to [0, 1] and the bound back; each step rounded up
        q = 0.0 if value == low else min(1.0, div_up(sub_up(value, low), _width_down(low, high)))
        inner = float(kl_upper(q, div_up(part.log_inv_delta, drawn)))
        bound = add_up(low, mul_up(width, float(kl_upper(inner, div_up(first, size)))))
    else:
        slack = add_up(sqrt_up(div_up(first, 2.0 * size)), sqrt_up(div_up(part.log_inv_delta, 2.0 * drawn)))
        bound = add_up(value, mul_up(width, slack))
    inputs: dict[str, Any] = {
        "risk": value,
        "m": drawn,
        "n": size,
        **given,
        "interval": (low, high),
        "form": form,
        "log_inv_delta_sample": sample.log_inv_delta,
        "log_inv_delta_part": part.log_inv_delta,
    }
    return issue(SUBSAMPLE, bound, quantity=QUANTITY, spent=(sample, part), inputs=inputs, top=high)


def _interval(interval: Sequence[float]) -> tuple[float, float]:
    ends = finite("interval", interval, ndim=1)
    if ends.shape != (2,) or not ends[0] < ends[1] or math.isinf(float(ends[1]) - float(ends[0])):
        raise InvalidInput(f"interval is {interval!r}.", "Give (a, b) with a < b, the range of the loss.")
    return float(ends[0]), float(ends[1])


def _width_down(low: float, high: float) -> float:
    return -add_up(-high, low)


def _spend(share: Any, m: int, n: int, delta: Any, log_inv_delta: Any) -> tuple[Spending, Spending]:
    """The two events, at share * delta and the rest of it."""
    level = log_inverse_delta(delta, log_inv_delta)
    part = float(m / (m + n)) if share is None else float(finite("share", share, ndim=0))
    if not 0 < part < 1:
        raise InvalidInput(f"share is {share!r}.", "It must lie strictly between 0 and 1, and be fixed before looking.")
    if delta is not None and float(delta) > 1e-290:
        first, second = split_delta(float(delta), part)
        return spend(EVENT, first), spend(SUBSAMPLE_EVENT, second)
    rest = sub_down(1.0, part)  # the two shares do not exceed delta
    return (
        spend(EVENT, log_inv_delta=add_up(level, -log_down(part))),
        spend(SUBSAMPLE_EVENT, log_inv_delta=add_up(level, -log_down(rest))),
    )
