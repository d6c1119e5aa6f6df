"""Verifying certificates on predictors in a ball of a kernel's function space."""

from __future__ import annotations

from ....theory.balls.rademacher import kernel_ball_bound
from ....theory.errors import InvalidInput
from ....theory.validation import finite, non_negative, sample_size, unit_interval
from .rule import Ends, Inputs, Rule, level, one_event

EVENT = "Rademacher bound over the sample, for every multiple of the unit norm"
QUANTITY = "true risk of the kernel predictor"


def _ball(inputs: Inputs, digits: int) -> Ends:
    unit = float(finite("unit_norm", inputs["unit_norm"], ndim=0))
    if unit <= 0:
        raise InvalidInput(f"The certificate's unit norm is {unit}.", "It is positive.")
    risk = float(unit_interval("risk", inputs["risk"]))
    norm, trace = (float(non_negative(name, finite(name, inputs[name], ndim=0))) for name in ("norm", "trace"))
    return kernel_ball_bound(risk, norm, unit, trace, sample_size("n", inputs["n"]), level(inputs), digits), None


RULES = {"iw.arora2019": Rule(_ball, QUANTITY, one_event(EVENT))}
