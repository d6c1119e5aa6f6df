"""Verifying certificates: bounds for unbounded losses."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from flint import arb

from ....theory.balls.cgf import LawData
from ....theory.balls.chernoff import pac_chernoff_ball
from ....theory.balls.context import refine, to_ball
from ....theory.balls.pbc import (
    Price,
    declared_ball,
    fixed_posterior_tilt_ball,
    fixed_tilt_ball,
    known_laws_ball,
    price,
    price_alpha,
)
from ....theory.balls.sub_gaussian import mixture_width_ball, one_sided_width_ball
from ....theory.errors import InvalidInput
from ....theory.validation import finite, non_negative, sample_size
from ..alquier import EVENT as LINEAR_EVENT
from ..chernoff import EVENT as CHERNOFF_EVENT
from ..chernoff import QUANTITY
from ..pac_chernoff import EVENT as UNION_EVENT
from ..pac_chernoff import QUANTITY as LOSS_OF_ONE
from ..second_moment import EVENT as MOMENT_EVENT
from ..sub_gaussian import EVENT as MIXTURE_EVENT
from ..sub_gaussian import ONE_SIDED_EVENT, positive
from .rule import Ends, Inputs, Rule, level, no_range, one_event


def exact_tail(inputs: Inputs) -> tuple[Fraction, Fraction]:
    """(v, c) of a declared tail, in rationals."""
    numbers = [Fraction(float(x)) for x in inputs["tail_numbers"]]
    if not numbers or min(numbers) < 0:
        raise InvalidInput("The certificate's tail has a negative number.")
    match inputs["tail"], len(numbers):
        case (("sub-Gaussian" | "second moment" | "Gaussian"), 1):
            return numbers[0], Fraction(0)
        case "sub-gamma", 2:
            return numbers[0], numbers[1]
        case "parameter norm", 2:
            return numbers[0] ** 2 * numbers[1], Fraction(0)
        case "input gradient", 3:
            return numbers[0] * numbers[1] + numbers[2] / 4, Fraction(0)
    raise InvalidInput(f"The certificate's tail {inputs['tail']!r} is unknown.")


def exact_laws(inputs: Inputs) -> list[LawData]:
    """The laws that a certificate lists, one for each model."""
    count = sample_size("models", inputs["models"])
    if inputs["law"] == "finite":
        losses, weights = tuple(inputs["losses"]), tuple(inputs["weights"])
        size = len(losses) // count
        if size * count != len(losses) or len(weights) != len(losses):
            raise InvalidInput("The certificate's losses and weights do not match its models.")
        rows = [slice(i * size, (i + 1) * size) for i in range(count)]
        return [("finite", losses[row], weights[row]) for row in rows]
    if len(inputs["parameters"]) != count:
        raise InvalidInput("The certificate's parameters do not match its models.")
    return [(str(inputs["law"]), (x,)) for x in inputs["parameters"]]


def _declared(inputs: Inputs, digits: int) -> Ends:
    risk, kl = _risk(inputs), _kl(inputs)
    v, c = exact_tail(inputs)
    if math.isinf(kl):
        return arb("inf"), None
    return declared_ball(risk, v, c, price(kl, _size(inputs), level(inputs)), digits), None


def _known(inputs: Inputs, digits: int) -> Ends:
    if math.isinf(_kl(inputs)):
        raise InvalidInput("An oracle at an infinite KL is not verified.")
    t: Price = price(_kl(inputs), _size(inputs), level(inputs))
    return known_laws_ball(_risk(inputs), exact_laws(inputs), tuple(inputs["posterior"]), t, digits), None


def _alpha(inputs: Inputs, digits: int) -> Ends:
    moment = str(inputs["moment"])
    if moment == "Gaussian" and inputs["tail"] != "Gaussian":
        raise InvalidInput("The certificate uses the moment of Gaussian losses without declaring them.")
    if moment not in ("general", "Gaussian"):
        raise InvalidInput(f"The certificate's moment {moment!r} is unknown.")
    v, c = exact_tail(inputs)
    if math.isinf(_kl(inputs)):
        return arb("inf"), None
    t = price_alpha(_kl(inputs), _size(inputs), level(inputs), float(inputs["alpha"]), moment)
    return declared_ball(_risk(inputs), v, c, t, digits), None


def _mixture(inputs: Inputs, digits: int) -> Ends:
    risk = Fraction(_risk(inputs))
    if math.isinf(_kl(inputs)):
        return arb("inf"), arb("-inf")
    width = mixture_width_ball(
        float(inputs["variance"]), _kl(inputs), _size(inputs), float(inputs["a"]), level(inputs), digits + 10
    )
    return refine(lambda: to_ball(risk) + width, digits), refine(lambda: to_ball(risk) - width, digits)


def _one_sided(inputs: Inputs, digits: int) -> Ends:
    risk = Fraction(_risk(inputs))
    if math.isinf(_kl(inputs)):
        return arb("inf"), None
    numbers = (float(inputs["variance"]), float(inputs["reference"]), _kl(inputs), _size(inputs), float(inputs["a"]))
    width = one_sided_width_ball(*numbers, level(inputs), digits + 10)
    return refine(lambda: to_ball(risk) + width, digits), None


def _second_moment(inputs: Inputs, digits: int) -> Ends:
    risk = float(non_negative("risk", _risk(inputs)))
    if math.isinf(_kl(inputs)):
        return arb("inf"), None
    moment = float(non_negative("second_moment", inputs["second_moment"]))
    return fixed_tilt_ball(
        risk, tuple(inputs["tilts"]), moment, _kl(inputs), _size(inputs), level(inputs), digits
    ), None


def _alquier(inputs: Inputs, digits: int) -> Ends:
    tilt = positive("tilt", inputs["tilt"])
    if math.isinf(_kl(inputs)):
        return arb("inf"), None
    psi = float(finite("log_moment", inputs["log_moment"]))
    return fixed_posterior_tilt_ball(_risk(inputs), _kl(inputs), level(inputs), psi, tilt, digits), None


def _pac_chernoff(inputs: Inputs, digits: int) -> Ends:
    (law,) = exact_laws(inputs)
    weight = float(non_negative("log_inv_weight", finite("log_inv_weight", inputs["log_inv_weight"])))
    return pac_chernoff_ball(_risk(inputs), law, weight, _size(inputs), level(inputs), digits), None


def _risk(inputs: Inputs) -> float:
    return float(finite("risk", inputs["risk"]))


def _kl(inputs: Inputs) -> float:
    return float(non_negative("kl", inputs["kl"]))


def _size(inputs: Inputs) -> int:
    return sample_size("n", inputs["n"])


def _rule(ends: Any, event: str, quantity: str = QUANTITY) -> Rule:
    return Rule(ends, quantity, one_event(event), span=no_range)


RULES: dict[str, Rule] = {
    "pb.pbc": _rule(_declared, CHERNOFF_EVENT),
    "pb.pbc_oracle": _rule(_known, CHERNOFF_EVENT),
    "pb.pbc_alpha": _rule(_alpha, CHERNOFF_EVENT),
    "pb.sg_mixture": _rule(_mixture, MIXTURE_EVENT),
    "pb.sg_mixture_one_sided": _rule(_one_sided, ONE_SIDED_EVENT),
    "pb.second_moment": _rule(_second_moment, MOMENT_EVENT),
    "pb.alquier": _rule(_alquier, LINEAR_EVENT),
    "pb.pac_chernoff": _rule(_pac_chernoff, UNION_EVENT, LOSS_OF_ONE),
}
