"""Verifying certificates: log-loss and diversity bounds."""

from __future__ import annotations

from flint import arb, ctx

from ....theory.balls.context import exact_fraction, to_ball
from ....theory.balls.jensen import diversity_ball
from ....theory.balls.pac2 import pac2_ball, pac2_oracle_ball
from ....theory.errors import InvalidInput
from ....theory.validation import non_negative, sample_size
from ...certified.outward import log_down
from ..ensembles import QUANTITY
from ..pac2 import EVENT, ORACLE_EVENT
from ..pac2 import QUANTITY as PAC2_QUANTITY
from .rule import Ends, Inputs, Rule, level, no_range, one_event


def _link(inputs: Inputs, digits: int) -> Ends:
    models = sample_size("models", inputs["models"])
    losses, weights = tuple(inputs["losses"]), tuple(inputs["weights"])
    points = len(losses) // models
    if inputs["law"] != "finite" or points * models != len(losses) or len(set(weights)) != 1:
        raise InvalidInput("The certificate's laws are not one population of equally likely points.")
    rows = [losses[i * points : (i + 1) * points] for i in range(models)]
    if len(inputs["posterior"]) != models:
        raise InvalidInput("The certificate's posterior does not match its models.")
    with ctx.workdps(digits + 30):
        gibbs = to_ball(exact_fraction("gibbs", inputs["gibbs"]))
        return gibbs - diversity_ball(rows, inputs["posterior"], digits + 20), None


def _pac2(inputs: Inputs, digits: int) -> Ends:
    risk, kl = (float(non_negative(name, inputs[name])) for name in ("risk", "kl"))
    return pac2_ball(risk, kl, sample_size("n", inputs["n"]), inputs["p_min"], level(inputs), digits), None


def _pac2_range(inputs: Inputs) -> tuple[float, float]:
    """Log-losses of probabilities clamped at p_min."""
    return 0.0, -log_down(float(inputs["p_min"]))


def _pac2_oracle(inputs: Inputs, digits: int) -> Ends:
    kl = float(non_negative("kl", inputs["kl"]))
    if kl == float("inf"):
        return arb("inf"), None
    if not inputs["tilt"] > 0:
        raise InvalidInput("The certificate's tilt is not positive.")
    return pac2_oracle_ball(inputs["risk"], kl, inputs["tilt"], inputs["log_moment"], level(inputs), digits), None


RULES: dict[str, Rule] = {
    "pb.pac2": Rule(_pac2, PAC2_QUANTITY, one_event(EVENT), span=_pac2_range),
    "pb.pac2_oracle": Rule(_pac2_oracle, "true log-loss of the averaged model", one_event(ORACLE_EVENT), span=no_range),
    "pb.link": Rule(_link, QUANTITY, lambda inputs: (), {"gibbs": ("pb.pbc_oracle",)}, span=no_range),
}
