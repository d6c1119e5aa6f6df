"""Verifying certificates on the Gibbs risk that rest on the binary relative entropy."""

from __future__ import annotations

from ....theory.balls.seeger import monte_carlo_ball, seeger_lower_ball, seeger_upper_ball
from ....theory.errors import InvalidInput
from ....theory.validation import non_negative, sample_size, unit_interval
from ..seeger import CONSTANTS, EVENT
from . import kl_relaxations
from .rule import Ends, Inputs, Rule, level, one_event


def _seeger(inputs: Inputs, digits: int) -> Ends:
    if inputs["constant"] not in CONSTANTS:
        raise InvalidInput(f"The certificate's constant is {inputs['constant']!r}.", f"It must be one of {CONSTANTS}.")
    risk, kl = float(unit_interval("risk", inputs["risk"])), float(non_negative("kl", inputs["kl"]))
    arguments = (risk, kl, sample_size("n", inputs["n"]), level(inputs), inputs["constant"], digits)
    return seeger_upper_ball(*arguments), seeger_lower_ball(*arguments)


def _split(inputs: Inputs, digits: int) -> Ends:
    total, used = sample_size("n_total", inputs["n_total"]), int(non_negative("n_prior", inputs["n_prior"]))
    if sample_size("n", inputs["n"]) != total - used:
        raise InvalidInput(
            "The certificate's n is not n_total - n_prior.", "The examples that made the prior do not count."
        )
    return _seeger(inputs, digits)


def _monte_carlo(inputs: Inputs, digits: int) -> Ends:
    risk = float(unit_interval("risk", inputs["risk"]))
    total, part = sample_size("examples", inputs["examples"]), sample_size("largest_part", inputs["largest_part"])
    if part > total:
        raise InvalidInput(f"A part of {part} examples in a whole of {total}.", "It cannot be larger.")
    return monte_carlo_ball(risk, sample_size("draws", inputs["draws"]) * total // part, level(inputs), digits), None


RULES = {
    "pb.kl": Rule(_seeger, "true Gibbs risk", one_event(EVENT), {"risk": ("pb.gibbs_mc",)}),
    "pb.data_prior": Rule(_split, "true Gibbs risk", one_event(EVENT), {"risk": ("pb.gibbs_mc",)}),
    # its event is named by the caller: several posteriors tried are several events
    "pb.gibbs_mc": Rule(_monte_carlo, "empirical Gibbs risk", one_event(None)),
    **kl_relaxations.RULES,
}
