"""Losses in [0, 1] made from the probability of the right class, and the way back to their own scale (part of pb.pbb).

Whatever floor a loss has during training it must have in the certificate, and the certificate is one for the floored loss, not for
the unbounded cross-entropy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...theory.errors import InvalidInput
from ...theory.validation import finite, sample_size, unit_interval
from ..certified.outward import add_up, mul_up, sub_up
from .issue import scalar

FloatArray = NDArray[np.float64]


def clamped_log_loss(probability: Any, pmin: float) -> FloatArray:
    """-ln max(probability, pmin) / ln(1/pmin), elementwise: 1 at probabilities up to pmin, 0 at 1."""
    floor = _floor("pmin", pmin)
    return np.clip(np.log(np.maximum(unit_interval("probability", probability), floor)) / math.log(floor), 0.0, 1.0)


def smoothed_log_loss(probability: Any, pmin: float, classes: int) -> FloatArray:
    """-ln(pmin/classes + (1-pmin) probability) / ln(classes/pmin), elementwise: exactly 1 at probability 0."""
    floor, count = _floor("pmin", pmin), sample_size("classes", classes)
    p = floor / count + (1 - floor) * unit_interval("probability", probability)
    return np.clip(np.log(p) / math.log(floor / count), 0.0, 1.0)


def squeezed_log_loss(probability: Any, largest: float) -> FloatArray:
    """-ln(e^-B + (1 - 2 e^-B) probability) / B with B = `largest` >= ln 2, elementwise: 1 at probability 0."""
    b = float(finite("largest", largest, ndim=0))
    if b < math.log(2):
        raise InvalidInput(f"largest is {b:g}.", "Below ln 2 the loss would increase with the probability.")
    p = math.exp(-b) + (1 - 2 * math.exp(-b)) * unit_interval("probability", probability)
    return np.clip(-np.log(p) / b, 0.0, 1.0)


def to_own_scale(bound: float, low: float, high: float) -> float:
    """low + (high - low) bound, rounded up: a bound on (loss - low)/(high - low) as one on a loss in [low, high]."""
    a, b = float(finite("low", low, ndim=0)), float(finite("high", high, ndim=0))
    if not a < b:
        raise InvalidInput(f"The range [{a:g}, {b:g}] is empty.", "Give low < high.")
    return add_up(a, mul_up(sub_up(b, a), float(unit_interval("bound", scalar("bound", bound)))))


def _floor(name: str, value: float) -> float:
    number = float(finite(name, value, ndim=0))
    if not 0 < number < 1:
        raise InvalidInput(f"{name} is {number:g}.", "It lies strictly between 0 and 1, for example 1e-5.")
    return number
