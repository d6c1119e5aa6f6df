"""Verifying certificates of the generic theorem, of McAllester's and Catoni's bounds, and of the relaxations of the kl bound."""

from __future__ import annotations

from typing import Any

from ....theory.balls.catoni import catoni_ball, catoni_continuous_ball, catoni_grid_ball, catoni_uniform_ball
from ....theory.balls.mcallester import master_ball, mcallester_ball
from ....theory.balls.pbb import pbb_ball
from ....theory.balls.relaxations import lambda_ball, quad_ball
from ....theory.errors import InvalidInput
from ....theory.validation import finite, log_inverse_delta, non_negative, sample_size, unit_interval
from ..catoni import EVENT as CATONI_EVENT
from ..catoni import LOWER_EVENT
from ..catoni_grid import CONTINUOUS_EVENT, GRID_EVENT
from ..master import EVENT as MASTER_EVENT
from ..mcallester import EVENTS
from ..monte_carlo import EVENT as DRAWS_EVENT
from ..pbb import SCALES_EVENT, SIDES
from ..seeger import CONSTANTS
from ..seeger import EVENT as KL_EVENT
from .rule import Ends, Event, Inputs, Rule, level, no_range, one_event


def _common(inputs: Inputs) -> tuple[float, float, int, float]:
    """Risk, KL, n, ln(1/delta)."""
    risk, kl = float(unit_interval("risk", inputs["risk"])), float(non_negative("kl", inputs["kl"]))
    return risk, kl, sample_size("n", inputs["n"]), level(inputs)


def _number(inputs: Inputs, name: str, low: float, high: float = float("inf")) -> float:
    """An input strictly between two numbers."""
    value = float(finite(name, inputs[name], ndim=0))
    if not low < value < high:
        raise InvalidInput(f"The certificate's {name} is {value!r}.", f"It lies between {low:g} and {high:g}.")
    return value


def _one_of(inputs: Inputs, name: str, options: Any) -> Any:
    if inputs[name] not in options:
        raise InvalidInput(f"The certificate's {name} is {inputs[name]!r}.", f"It must be one of {tuple(options)}.")
    return inputs[name]


def _master(inputs: Inputs, digits: int) -> Ends:
    kl = float(non_negative("kl", inputs["kl"]))
    return master_ball(kl, float(finite("log_constant", inputs["log_constant"])), level(inputs), digits), None


def _mcallester(inputs: Inputs, digits: int) -> Ends:
    return mcallester_ball(*_common(inputs), _one_of(inputs, "constant", EVENTS), digits)


def _mcallester_events(inputs: Inputs) -> tuple[Event, ...]:
    return ((EVENTS[_one_of(inputs, "constant", EVENTS)], level(inputs)),)


def _quad(inputs: Inputs, digits: int) -> Ends:
    return quad_ball(*_common(inputs), _one_of(inputs, "constant", CONSTANTS), digits)


def _lambda(inputs: Inputs, digits: int) -> Ends:
    lam, gamma = _number(inputs, "lam", 0, 2), _number(inputs, "gamma", 0)
    return lambda_ball(*_common(inputs), lam, gamma, _one_of(inputs, "constant", CONSTANTS), digits)


def _catoni(inputs: Inputs, digits: int) -> Ends:
    risk, kl, n, log_inv_delta = _common(inputs)
    upper = catoni_ball(risk, kl, n, log_inv_delta, _number(inputs, "beta", 0), digits=digits)
    if "lower_beta" not in inputs:
        return upper, None
    return upper, catoni_ball(risk, kl, n, _lower_level(inputs), -_number_below(inputs, "lower_beta"), digits=digits)


def _number_below(inputs: Inputs, name: str) -> float:
    """Minus a negative input."""
    return _number({name: -float(finite(name, inputs[name], ndim=0))}, name, 0)


def _lower_level(inputs: Inputs) -> float:
    return log_inverse_delta(log_inv_delta=inputs["lower_log_inv_delta"])


def _catoni_events(inputs: Inputs) -> tuple[Event, ...]:
    upper: Event = (CATONI_EVENT, level(inputs))
    return (upper, (LOWER_EVENT, _lower_level(inputs))) if "lower_beta" in inputs else (upper,)


def _grid(inputs: Inputs, digits: int) -> Ends:
    betas = [_number({"betas": b}, "betas", 0) for b in inputs["betas"]]
    if not betas:
        raise InvalidInput("The certificate's grid is empty.", "It names the betas that were paid for.")
    return catoni_grid_ball(*_common(inputs), betas, digits), None


def _continuous(inputs: Inputs, digits: int) -> Ends:
    lam = float(finite("lam", inputs["lam"], ndim=0))
    if lam < 1:
        raise InvalidInput(f"The certificate's lam is {lam!r}.", "The union covers lambda >= 1.")
    return catoni_continuous_ball(*_common(inputs), _number(inputs, "alpha", 1), lam, digits), None


def _uniform(inputs: Inputs, digits: int) -> Ends:
    common, constant = _common(inputs), _one_of(inputs, "constant", CONSTANTS)
    up, down = _number(inputs, "beta", 0), -_number_below(inputs, "lower_beta")
    return catoni_uniform_ball(*common, up, constant, digits), catoni_uniform_ball(*common, down, constant, digits)


def _pbb(inputs: Inputs, digits: int) -> Ends:
    risk, kl, n, log_inv_delta = _common(inputs)
    index = inputs.get("scale_index")
    found = pbb_ball(
        risk,
        sample_size("draws", inputs["draws"]),
        kl,
        n,
        log_inv_delta,
        _draws_level(inputs),
        sides=_one_of(inputs, "sides", SIDES),
        constant=_one_of(inputs, "constant", CONSTANTS),
        scale_index=None if index is None else sample_size("scale_index", index),
        digits=digits,
    )
    return found, None


def _draws_level(inputs: Inputs) -> float:
    return log_inverse_delta(log_inv_delta=inputs["draws_log_inv_delta"])


def _pbb_events(inputs: Inputs) -> tuple[Event, ...]:
    outer = SCALES_EVENT if "scale_index" in inputs else KL_EVENT
    return (DRAWS_EVENT, _draws_level(inputs)), (outer, level(inputs))


_RISK = {"risk": ("pb.gibbs_mc",)}
_GIBBS = "true Gibbs risk"

RULES = {
    "pb.master": Rule(_master, "posterior mean of phi", one_event(MASTER_EVENT), span=no_range),
    "pb.mcallester": Rule(_mcallester, _GIBBS, _mcallester_events, _RISK),
    "pb.quad": Rule(_quad, _GIBBS, one_event(KL_EVENT), _RISK),
    "pb.lambda": Rule(_lambda, _GIBBS, one_event(KL_EVENT), _RISK),
    "pb.catoni": Rule(_catoni, _GIBBS, _catoni_events, _RISK),
    "pb.catoni_grid": Rule(_grid, _GIBBS, one_event(GRID_EVENT), _RISK),
    "pb.catoni_continuous": Rule(_continuous, _GIBBS, one_event(CONTINUOUS_EVENT), _RISK),
    "pb.catoni_uniform": Rule(_uniform, _GIBBS, one_event(KL_EVENT), _RISK),
    "pb.pbb": Rule(_pbb, _GIBBS, _pbb_events),
}
