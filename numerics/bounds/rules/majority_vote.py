"""Verifying certificates: majority-vote bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flint import arb, ctx

from ....theory.balls.context import exact_fraction
from ....theory.balls.majority_vote import ctandem_ball, disagreement_ball, first_order_ball, tandem_ball
from ....theory.balls.pair_cbound import chebyshev_cantelli_ball, joint_cbound_ball
from ....theory.balls.stochastic_vote import stochastic_vote_ball
from ....theory.errors import InvalidInput
from ....theory.validation import finite, log_inverse_delta, non_negative, sample_size
from ..cbound import METHODS, TRINOMIAL_EVENT
from ..majority_vote import FORMS, PAIR_EVENT, QUANTITY, RISK_EVENT, exact_rate
from ..seeger import CONSTANTS
from ..stochastic_vote import QUANTITY as STOCHASTIC
from ..stochastic_vote import concentrations_of
from .rule import Ends, Event, Inputs, Rule, level, one_event


def _choice(inputs: Inputs, name: str, allowed: Sequence[str]) -> Any:
    if inputs[name] not in allowed:
        raise InvalidInput(f"The certificate's {name} is {inputs[name]!r}.", f"It must be one of {tuple(allowed)}.")
    return inputs[name]


def _kl(inputs: Inputs) -> float:
    return float(non_negative("kl", inputs["kl"]))


def _levels(inputs: Inputs) -> tuple[float, float]:
    given = tuple(inputs["log_inv_deltas"])
    if len(given) != 2:
        raise InvalidInput(f"The certificate states {len(given)} levels.", "Its formula spends on two events.")
    return log_inverse_delta(log_inv_delta=given[0]), log_inverse_delta(log_inv_delta=given[1])


def _possible(upper: arb) -> Ends:
    if upper <= 0:
        raise InvalidInput("The certificate's frequencies contradict each other.", "No voters can have them.")
    return upper, None


def _two_events(inputs: Inputs) -> Sequence[Event]:
    return tuple(zip((RISK_EVENT, PAIR_EVENT), _levels(inputs), strict=True))


def _single(name: str, ball: Callable[..., arb]) -> Callable[[Inputs, int], Ends]:
    def ends(inputs: Inputs, digits: int) -> Ends:
        rate, constant = exact_rate(name, inputs[name]), _choice(inputs, "constant", CONSTANTS)
        return ball(rate, _kl(inputs), sample_size("n", inputs["n"]), level(inputs), constant, digits), None

    return ends


def _sizes(inputs: Inputs) -> tuple[int, int]:
    return sample_size("n", inputs["n"]), sample_size("n_pairs", inputs["n_pairs"])


def _disagreement(inputs: Inputs, digits: int) -> Ends:
    rates = exact_rate("risk", inputs["risk"]), exact_rate("disagreement", inputs["disagreement"])
    constant = _choice(inputs, "constant", CONSTANTS)
    return _possible(disagreement_ball(*rates, _kl(inputs), *_sizes(inputs), _levels(inputs), constant, digits))


def _ctandem(inputs: Inputs, digits: int) -> Ends:
    rates = exact_rate("risk", inputs["risk"]), exact_rate("tandem", inputs["tandem"])
    constant, form = _choice(inputs, "constant", CONSTANTS), _choice(inputs, "form", FORMS)
    return _possible(ctandem_ball(*rates, _kl(inputs), *_sizes(inputs), _levels(inputs), constant, form, digits))


def _joint(inputs: Inputs, digits: int) -> Ends:
    rates = exact_rate("joint_error", inputs["joint_error"]), exact_rate("disagreement", inputs["disagreement"])
    return _possible(joint_cbound_ball(*rates, _kl(inputs), sample_size("n", inputs["n"]), level(inputs), digits))


def _mus(inputs: Inputs) -> tuple[float, ...]:
    return tuple(float(x) for x in finite("mu", inputs["mu"], ndim=1))


def _chebyshev_cantelli(inputs: Inputs, digits: int) -> Ends:
    rates = exact_rate("joint_error", inputs["joint_error"]), exact_rate("disagreement", inputs["disagreement"])
    size, method = sample_size("n", inputs["n"]), _choice(inputs, "method", METHODS)
    constant = _choice(inputs, "constant", CONSTANTS)
    mus = _mus(inputs)
    return _possible(chebyshev_cantelli_ball(*rates, _kl(inputs), size, level(inputs), mus, method, constant, digits))


def _cc_events(inputs: Inputs) -> Sequence[Event]:
    name = TRINOMIAL_EVENT if _choice(inputs, "method", METHODS) == "trinomial" else PAIR_EVENT
    return ((name, level(inputs)),)


def _dirichlet(inputs: Inputs, digits: int) -> Ends:
    a, b = (concentrations_of(name, inputs[name]) for name in ("concentrations", "prior"))
    if a.size != b.size:
        raise InvalidInput("concentrations and prior differ in length.", "Both have one for each voter.")
    with ctx.workdps(digits + 15):
        risk = exact_fraction("risk", exact_rate("risk", inputs["risk"]))
        n = sample_size("n", inputs["n"])
        return stochastic_vote_ball(risk, a.tolist(), b.tolist(), n, level(inputs), digits), None


RULES: dict[str, Rule] = {
    "pb.mv_fo": Rule(_single("risk", first_order_ball), QUANTITY, one_event(RISK_EVENT)),
    "pb.mv_tandem": Rule(_single("tandem", tandem_ball), QUANTITY, one_event(PAIR_EVENT)),
    "pb.mv_dis": Rule(_disagreement, QUANTITY, _two_events),
    "pb.mv_ctandem": Rule(_ctandem, QUANTITY, _two_events),
    "pb.mv_cbound": Rule(_joint, QUANTITY, one_event(TRINOMIAL_EVENT)),
    "pb.mv_cc": Rule(_chebyshev_cantelli, QUANTITY, _cc_events),
    "pb.mv_dirichlet": Rule(_dirichlet, STOCHASTIC, one_event(RISK_EVENT)),
}
