"""Verifying certificates: information-theoretic bounds, which hold in expectation and spend nothing."""

from __future__ import annotations

from ....theory.balls.information import gap_ball, individual_gap_ball, interpolating_ball, twice_the_inverse_balls
from ....theory.errors import InvalidInput
from ....theory.validation import finite, non_negative, sample_size, unit_interval
from ..information import FORMS, GAP, INTERPOLATING, LOSS
from .rule import Ends, Event, Inputs, Rule, no_range


def _nothing(inputs: Inputs) -> tuple[Event, ...]:
    return ()


def _number(inputs: Inputs, name: str) -> float:
    return float(non_negative(name, finite(name, inputs[name])))


def _mutual(inputs: Inputs, digits: int) -> Ends:
    sigma, n = _number(inputs, "sigma"), sample_size("n", inputs["n"])
    if inputs["form"] == "sample":
        return gap_ball(_number(inputs, "information"), sigma, n, digits), None
    each = [float(x) for x in non_negative("informations", finite("informations", inputs["informations"]))]
    if inputs["form"] != "individual" or len(each) != n:
        raise InvalidInput("The certificate's form or its number of informations is wrong.")
    return individual_gap_ball(each, sigma, digits), None


def _conditional(inputs: Inputs, digits: int) -> Ends:
    information, n = _number(inputs, "information"), sample_size("n", inputs["n"])
    if inputs["form"] not in FORMS:
        raise InvalidInput(f"The certificate's form is {inputs['form']!r}.", f"It must be one of {FORMS}.")
    if inputs["form"] == "interpolating":
        return interpolating_ball(information, n, digits), None
    return gap_ball(information, 1, n, digits), None


def _conditional_kl(inputs: Inputs, digits: int) -> Ends:
    risk = float(unit_interval("risk", inputs["risk"]))
    return twice_the_inverse_balls(risk, _number(inputs, "information"), sample_size("n", inputs["n"]), digits)


RULES: dict[str, Rule] = {
    "pb.info_mi": Rule(_mutual, GAP, _nothing, span=no_range),
    "pb.info_cmi": Rule(_conditional, GAP, _nothing, notes=(INTERPOLATING,)),
    "pb.info_cmi_kl": Rule(_conditional_kl, LOSS, _nothing),
}
