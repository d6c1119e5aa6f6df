"""Verifying certificates: one draw from the posterior, and bounds beyond KL."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from flint import arb, ctx

from ....theory.balls.disintegrated import (
    one_draw_catoni_ball,
    one_draw_kl_ball,
    one_draw_occam_ball,
    one_draw_renyi_ball,
)
from ....theory.balls.divergences import chi_square_width_ball, power_width_ball
from ....theory.balls.wasserstein import wasserstein_ball
from ....theory.errors import InvalidInput
from ....theory.validation import finite, float_array, log_inverse_delta, non_negative, sample_size, unit_interval
from ..one_draw import DRAW_EVENT, QUANTITY, SAMPLE_EVENT
from ..one_draw import EVENT as ONE_DRAW_EVENT
from ..renyi import EVENT as RENYI_EVENT
from ..renyi import MOMENT_EVENT
from ..wasserstein import EVENT as WASSERSTEIN_EVENT
from ..wasserstein import FORMS as WASSERSTEIN_FORMS
from .rule import Ends, Event, Inputs, Rule, level, no_range, one_event, range_of_form


def _order(inputs: Inputs) -> float:
    order = float(finite("order", inputs["order"]))
    if order <= 1:
        raise InvalidInput(f"The certificate's order is {order:g}.", "It must be above 1.")
    return order


def _positive(inputs: Inputs, name: str) -> float:
    value = float(finite(name, inputs[name]))
    if value <= 0:
        raise InvalidInput(f"The certificate's {name} is {value:g}.", "It must be positive.")
    return value


def _one_draw(inputs: Inputs, digits: int) -> Ends:
    risk, n = float(unit_interval("risk", inputs["risk"])), sample_size("n", inputs["n"])
    form = inputs["form"]
    if form == "renyi":
        divergence, order = float(non_negative("divergence", inputs["divergence"])), _order(inputs)
        # ln(2/delta) is what each of the two events spends
        spent = Fraction(log_inverse_delta(log_inv_delta=inputs["log_inv_half_delta"]))
        with ctx.workdps(digits + 30):
            total = spent - _fraction(arb(2).log())
        lower, upper = one_draw_renyi_ball(risk, divergence, order, n, sample_size("candidates", inputs["candidates"]), total, digits)  # fmt: skip
        return upper, lower
    density = float(float_array("log_density", inputs["log_density"]))
    if density == float("-inf"):
        raise InvalidInput("The certificate's log_density is -inf.", "Such a predictor cannot be drawn.")
    if form == "kl":
        lower, upper = one_draw_kl_ball(risk, density, n, level(inputs), digits)
        return upper, lower
    if form == "catoni":
        return one_draw_catoni_ball(risk, density, n, _positive(inputs, "beta"), level(inputs), digits), None
    if form == "occam":
        return one_draw_occam_ball(risk, density, n, _positive(inputs, "b"), level(inputs), digits), None
    raise InvalidInput(f"The certificate's form is {form!r}.", "It must be kl, catoni, occam or renyi.")


def _fraction(ball: arb) -> Fraction:
    mantissa, exponent = ball.upper().mid().man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def _one_draw_events(inputs: Inputs) -> Sequence[Event]:
    if inputs["form"] != "renyi":
        return ((ONE_DRAW_EVENT, level(inputs)),)
    half = log_inverse_delta(log_inv_delta=inputs["log_inv_half_delta"])
    if half <= math.log(2):  # that float is below ln 2
        raise InvalidInput(
            f"Each event of the certificate spends e^-{half!r}.", "Together they would spend everything."
        )
    return (SAMPLE_EVENT, half), (DRAW_EVENT, half)


def _renyi(inputs: Inputs, digits: int) -> Ends:
    _order(inputs)
    risk, divergence = (
        float(unit_interval("risk", inputs["risk"])),
        float(non_negative("divergence", inputs["divergence"])),
    )
    # the same formula as for one draw, with the divergence in place of the log-density
    lower, upper = one_draw_kl_ball(risk, divergence, sample_size("n", inputs["n"]), level(inputs), digits)
    return upper, lower


def _fdiv(inputs: Inputs, digits: int) -> Ends:
    risk, form = float(finite("risk", inputs["risk"])), inputs["form"]
    if form == "chi-square":
        chi2, variance = non_negative("chi2", inputs["chi2"]), non_negative("variance", inputs["variance"])
        n = sample_size("n", inputs["n"])
        infinite = bool(variance > 0 and chi2 == float("inf"))
        width = arb("inf") if infinite else chi_square_width_ball(float(chi2) if variance else 0.0, float(variance), n, level(inputs), digits)  # fmt: skip
    elif form == "power":
        norm, moment = non_negative("density_norm", inputs["density_norm"]), non_negative("moment", inputs["moment"])
        infinite = bool(moment > 0 and norm == float("inf"))
        width = arb("inf") if infinite else power_width_ball(float(norm) if moment else 1.0, _order(inputs), float(moment), level(inputs), digits)  # fmt: skip
        if norm < 1:
            raise InvalidInput(f"The certificate's density_norm is {float(norm):g}.", "It is at least 1.")
    else:
        raise InvalidInput(f"The certificate's form is {form!r}.", "It must be chi-square or power.")
    with ctx.workdps(digits + 20):
        return arb(risk) + width, arb(risk) - width


def _wasserstein(inputs: Inputs, digits: int) -> Ends:
    form = inputs["form"]
    if form not in WASSERSTEIN_FORMS:
        raise InvalidInput(f"The certificate's form is {form!r}.", f"It must be one of {WASSERSTEIN_FORMS}.")
    risk = float(unit_interval("risk", inputs["risk"]) if form == "bounded" else non_negative("risk", inputs["risk"]))
    distances = non_negative("distances", inputs["distances"]).tolist()
    sizes = [sample_size("sizes", m) for m in inputs["sizes"]]
    if not sizes or len(sizes) != len(distances):
        raise InvalidInput("The certificate's distances and sizes do not belong together.", "One distance each.")
    slope = float(non_negative("lipschitz", finite("lipschitz", inputs["lipschitz"])))
    if slope and float("inf") in distances:
        return arb("inf"), None
    factor = Fraction(1, 2) if form == "bounded" else Fraction(2)
    walked = distances if slope else [0.0] * len(sizes)
    return wasserstein_ball(risk, walked, sizes, slope, level(inputs), factor, digits), None


RULES = {
    "pb.disintegrated": Rule(_one_draw, QUANTITY, _one_draw_events),
    "pb.renyi": Rule(_renyi, "true Gibbs risk", one_event(RENYI_EVENT)),
    "pb.fdiv": Rule(_fdiv, "true Gibbs risk", one_event(MOMENT_EVENT), span=no_range),
    "pb.wasserstein": Rule(_wasserstein, "true Gibbs risk", one_event(WASSERSTEIN_EVENT), span=range_of_form),
}
