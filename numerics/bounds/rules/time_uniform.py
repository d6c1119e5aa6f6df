"""Verifying certificates: bounds that hold at all sample sizes."""

from __future__ import annotations

from fractions import Fraction

from ....theory.balls.time_uniform import (
    betting_interval_ball,
    betting_pac_bayes_ball,
    kl_anytime_ball,
    supermartingale_ball,
)
from ....theory.errors import InvalidInput
from ....theory.validation import finite, non_negative, sample_size, unit_interval
from ..betting import INTERVAL_EVENT, PAC_BAYES_EVENT
from ..supermartingale import EVENT as SUPERMARTINGALE_EVENT
from ..supermartingale import FORMS
from ..time_uniform import EVENT
from .rule import Ends, Inputs, Rule, level, one_event, range_of_form


def _kl_anytime(inputs: Inputs, digits: int) -> Ends:
    risk, kl = float(unit_interval("risk", inputs["risk"])), float(non_negative("kl", inputs["kl"]))
    lower, upper = kl_anytime_ball(risk, kl, sample_size("n", inputs["n"]), level(inputs), digits)
    return upper, lower


def _interval(inputs: Inputs, digits: int) -> Ends:
    values = unit_interval("values", inputs["values"]).tolist()
    counts = [sample_size("counts", c) for c in inputs["counts"]]
    if not values or len(values) != len(counts) or sum(counts) != sample_size("n", inputs["n"]):
        raise InvalidInput("The certificate's counts are not those of n losses.", "Each value has one count.")
    lower, upper = betting_interval_ball(values, counts, level(inputs), digits)
    return upper, lower


def _pac_bayes(inputs: Inputs, digits: int) -> Ends:
    posterior, n = non_negative("posterior", inputs["posterior"]), sample_size("n", inputs["n"])
    losses = unit_interval("losses", inputs["losses"])
    if losses.size != posterior.size * n or not abs(posterior.sum() - 1) <= 1e-9:
        raise InvalidInput("The certificate's losses and posterior do not belong together.", "One row each; sum 1.")
    kl = float(non_negative("kl", inputs["kl"]))
    rows = losses.reshape(posterior.size, n).tolist()
    return betting_pac_bayes_ball(rows, posterior.tolist(), kl, level(inputs), digits), None


def _supermartingale(inputs: Inputs, digits: int) -> Ends:
    form = inputs["form"]
    if form not in FORMS:
        raise InvalidInput(f"The certificate's form is {form!r}.", f"It must be one of {FORMS}.")
    risk = float(unit_interval("risk", inputs["risk"]) if form == "bounded" else finite("risk", inputs["risk"]))
    first, second = float(finite("rate_sum", inputs["rate_sum"])), float(finite("rate_squares", inputs["rate_squares"]))
    n = sample_size("n", inputs["n"])
    # Cauchy-Schwarz for n positive rates: n * squares >= sum^2 >= squares (the two sums were rounded outward, perhaps from an underflow)
    least = (Fraction(second) - Fraction(1, 2**1074)) * (1 - Fraction(1, 2**49))
    if not (first > 0 and n * Fraction(second) >= Fraction(first) ** 2 >= least):
        raise InvalidInput("The certificate's rate sums are not those of n positive rates.")
    names = {"bounded": (), "variance": ("moment", "deviation")}.get(form, ("moment",))
    declared = {name: Fraction(float(non_negative(name, finite(name, inputs[name])))) for name in names}
    moment, deviation = declared.get("moment", Fraction(0)), declared.get("deviation", Fraction(0))
    price = Fraction(1, 8) if form == "bounded" else moment / 3 + deviation / 6 if form == "variance" else moment / 2
    kl = float(non_negative("kl", inputs["kl"]))
    return supermartingale_ball(risk, kl, first, second, price, level(inputs), digits), None


RULES = {
    "pb.kl_anytime": Rule(_kl_anytime, "true Gibbs risk", one_event(EVENT), {"risk": ("pb.gibbs_mc",)}),
    "pb.betting_ci": Rule(_interval, "true risk of one predictor", one_event(INTERVAL_EVENT)),
    "pb.betting": Rule(_pac_bayes, "true Gibbs risk", one_event(PAC_BAYES_EVENT)),
    "pb.chugg": Rule(_supermartingale, "true Gibbs risk", one_event(SUPERMARTINGALE_EVENT), span=range_of_form),
}
