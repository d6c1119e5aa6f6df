"""Verifying certificates: test-set, Occam and compression bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flint import arb, ctx

from ....theory.balls.compression import log_inv_weight_ball, quantised_bits
from ....theory.balls.occam import (
    binomial_test_ball,
    chernoff_test_ball,
    hoeffding_test_ball,
    level_ball,
    occam_binomial_ball,
    occam_kl_ball,
    subsample_ball,
)
from ....theory.errors import InvalidInput
from ....theory.validation import log_inverse_delta, non_negative, sample_size, unit_interval
from ..held_out import LOWER_EVENT, QUANTITY, UPPER_EVENT, error_count
from ..occam import EVENT
from ..subsample import SUBSAMPLE_EVENT
from .rule import Ends, Event, Inputs, Rule, level, one_event


def _test(observed: Callable[[Inputs], Any], ball: Callable[..., tuple[arb, arb]]) -> Callable[[Inputs, int], Ends]:
    def ends(inputs: Inputs, digits: int) -> Ends:
        upper, lower = ball(observed(inputs), sample_size("n", inputs["n"]), level(inputs), digits)
        return upper, lower if _sides(inputs) == 2 else None

    return ends


def _sides(inputs: Inputs) -> int:
    if inputs["sides"] not in (1, 2):
        raise InvalidInput(f"The certificate has {inputs['sides']!r} sides.", "A test bound has one or two.")
    return int(inputs["sides"])


def _errors(inputs: Inputs) -> int:
    return error_count(inputs["errors"], inputs["n"])


def _risk(inputs: Inputs) -> float:
    return float(unit_interval("risk", inputs["risk"]))


def _test_events(inputs: Inputs) -> tuple[Event, ...]:
    return tuple((name, level(inputs)) for name in (UPPER_EVENT, LOWER_EVENT)[: _sides(inputs)])


def _weighted_level(inputs: Inputs, log_inv_delta: float, digits: int) -> arb:
    if ("log_inv_weight" in inputs) == ("code_bits" in inputs):
        raise InvalidInput("The certificate needs one of log_inv_weight and code_bits.")
    nats, bits = (float(non_negative(name, inputs.get(name, 0.0))) for name in ("log_inv_weight", "code_bits"))
    return level_ball(log_inv_delta, nats, bits, digits + 20)


def _occam_kl(inputs: Inputs, digits: int) -> Ends:
    total = _weighted_level(inputs, level(inputs), digits)
    return occam_kl_ball(_risk(inputs), sample_size("n", inputs["n"]), total, digits), None


def _occam_binomial(inputs: Inputs, digits: int) -> Ends:
    total = _weighted_level(inputs, level(inputs), digits)
    return occam_binomial_ball(_errors(inputs), sample_size("n", inputs["n"]), total, digits), None


def _listed(value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        raise InvalidInput(f"The certificate holds {value!r} in place of a list.")
    return value


def _whole(name: str, value: Any) -> int:
    number = float(non_negative(name, value))
    if number != int(number):
        raise InvalidInput(f"The certificate's {name} is {value!r}.", "It is a whole number.")
    return int(number)


def _compression(inputs: Inputs, digits: int) -> Ends:
    if ("level_counts" in inputs) == ("message_bits" in inputs):
        raise InvalidInput("The certificate needs one of level_counts and message_bits.")
    if "level_counts" in inputs:
        counts = [_whole("level_counts", c) for c in _listed(inputs["level_counts"])]
        bits = quantised_bits(counts, _whole("bits_per_level", inputs["bits_per_level"]), inputs["form"])
        code = "prefix-free"
    else:
        bits, code = sample_size("message_bits", inputs["message_bits"]), inputs["code"]
    weight = log_inv_weight_ball(
        bits,
        code=code,
        choices=sample_size("choices", inputs["choices"]),
        permuted_widths=[sample_size("permuted_widths", h) for h in inputs["permuted_widths"]],
        digits=digits + 20,
    )
    with ctx.workdps(digits + 40):
        total = weight + level_ball(level(inputs), digits=digits + 40)
    return occam_binomial_ball(_errors(inputs), sample_size("n", inputs["n"]), total, digits), None


def _subsample_level(inputs: Inputs, which: str) -> float:
    return log_inverse_delta(log_inv_delta=inputs[f"log_inv_delta_{which}"])


def _subsample_range(inputs: Inputs) -> tuple[float, float]:
    low, high = inputs["interval"]
    return float(low), float(high)


def _subsample(inputs: Inputs, digits: int) -> Ends:
    total = _weighted_level(inputs, _subsample_level(inputs, "sample"), digits)
    low, high = inputs["interval"]
    m, n = sample_size("m", inputs["m"]), sample_size("n", inputs["n"])
    part = _subsample_level(inputs, "part")
    return subsample_ball(inputs["risk"], m, n, (low, high), inputs["form"], total, part, digits), None


def _subsample_events(inputs: Inputs) -> tuple[Event, ...]:
    return (EVENT, _subsample_level(inputs, "sample")), (SUBSAMPLE_EVENT, _subsample_level(inputs, "part"))


RULES: dict[str, Rule] = {
    "pb.test_binomial": Rule(_test(_errors, binomial_test_ball), QUANTITY, _test_events),
    "pb.test_chernoff": Rule(_test(_risk, chernoff_test_ball), QUANTITY, _test_events),
    "pb.test_hoeffding": Rule(_test(_risk, hoeffding_test_ball), QUANTITY, _test_events),
    "pb.occam_kl": Rule(_occam_kl, QUANTITY, one_event(EVENT)),
    "pb.occam_binomial": Rule(_occam_binomial, QUANTITY, one_event(EVENT)),
    "pb.compression": Rule(_compression, QUANTITY, one_event(EVENT)),
    "pb.subsample": Rule(_subsample, QUANTITY, _subsample_events, span=_subsample_range),
}
