"""Verifying certificates: Bernstein forms, vector relative entropies and recursive priors."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from flint import arb

from ....theory.balls.bernstein import empirical_bernstein_ball, unexpected_bernstein_ball
from ....theory.balls.split_kl import recursive_ball, split_kl_ball, split_kl_continuous_ball, vector_kl_ball
from ....theory.errors import InvalidInput
from ....theory.validation import finite, log_inverse_delta, non_negative, sample_size, unit_interval
from ..empirical_bernstein import EVENT as EB_EVENT
from ..empirical_bernstein import VARIANCE_EVENT
from ..recursive import DRAWS_EVENT, FORMS, RecursiveStep, event
from ..seeger import CONSTANTS
from ..split_kl import EVENT as SPLIT_EVENT
from ..unexpected_bernstein import EVENT as UB_EVENT
from ..vector_kl import EVENT as VECTOR_EVENT
from .rule import Ends, Event, Inputs, Rule, level, one_event


def _bernstein(inputs: Inputs, digits: int) -> Ends:
    q, v = float(unit_interval("risk", inputs["risk"])), float(non_negative("variance", inputs["variance"]))
    kl, n = float(non_negative("kl", inputs["kl"])), sample_size("n", inputs["n"])
    c1, c2 = (float(finite(name, inputs[name])) for name in ("c1", "c2"))
    if n < 2 or min(c1, c2) <= 1:
        raise InvalidInput(f"n is {n}, c1 {c1:g}, c2 {c2:g}.", "n is at least 2, the ratios above 1.")
    first = log_inverse_delta(log_inv_delta=inputs["variance_log_inv_delta"])
    return empirical_bernstein_ball(q, v, kl, n, first, level(inputs), c1, c2, digits), None


def _bernstein_events(inputs: Inputs) -> Sequence[Event]:
    return ((VARIANCE_EVENT, float(inputs["variance_log_inv_delta"])), (EB_EVENT, level(inputs)))


def _unexpected(inputs: Inputs, digits: int) -> Ends:
    q, s = (float(unit_interval(name, inputs[name])) for name in ("risk", "second_moment"))
    rates = finite("rates", inputs["rates"], ndim=1).tolist()
    if not rates or not all(0 < eta < 1 for eta in rates) or len(set(rates)) != len(rates):
        raise InvalidInput(f"rates is {rates}.", "They are different numbers in (0, 1).")
    kl, n = float(non_negative("kl", inputs["kl"])), sample_size("n", inputs["n"])
    return unexpected_bernstein_ball(q, s, kl, n, level(inputs), rates, digits), None


def _split(inputs: Inputs, digits: int) -> Ends:
    kl, n = float(non_negative("kl", inputs["kl"])), sample_size("n", inputs["n"])
    if inputs["form"] == "continuous":
        above, below = (float(non_negative(name, inputs[name])) for name in ("above", "below"))
        low, split, high = (float(finite(name, inputs[name])) for name in ("low", "split", "high"))
        if not low < split < high:
            raise InvalidInput("low, split and high do not increase.")
        return split_kl_continuous_ball(above, below, low, split, high, kl, n, level(inputs), digits), None
    f = unit_interval("frequencies", inputs["frequencies"]).tolist()
    b = finite("levels", inputs["levels"], ndim=1).tolist()
    if len(b) != len(f) + 1 or any(y <= x for x, y in itertools.pairwise(b)):
        raise InvalidInput("Frequencies and levels do not belong together.")
    upper, lower = split_kl_ball(f, b, kl, n, level(inputs), digits)
    return upper, lower


def _vector(inputs: Inputs, digits: int) -> Ends:
    u = unit_interval("frequencies", inputs["frequencies"]).tolist()
    f = finite("values", inputs["values"], ndim=1).tolist()
    if len(u) != len(f) or len(set(f)) != len(f):
        raise InvalidInput("Frequencies and values do not belong together.")
    kl, n = float(non_negative("kl", inputs["kl"])), sample_size("n", inputs["n"])
    return vector_kl_ball(u, f, kl, n, level(inputs), digits)


def _split_range(inputs: Inputs) -> tuple[float, float]:
    ends = (
        (inputs["low"], inputs["high"])
        if inputs["form"] == "continuous"
        else (inputs["levels"][0], inputs["levels"][-1])
    )
    return float(ends[0]), float(ends[1])


def _vector_range(inputs: Inputs) -> tuple[float, float]:
    values = [float(value) for value in inputs["values"]]
    return min(values), max(values)


def _steps(inputs: Inputs) -> list[RecursiveStep]:
    f = [float(x) for x in inputs["frequencies"]]
    triples = [(f[i], f[i + 1], f[i + 2]) for i in range(0, len(f), 3)]
    return [
        RecursiveStep(float(g), t, float(k), sample_size("n", n))
        for g, t, k, n in zip(inputs["gammas"], triples, inputs["kls"], inputs["ns"], strict=True)
    ]


def _recursive(inputs: Inputs, digits: int) -> Ends:
    if inputs["form"] not in FORMS or inputs["constant"] not in CONSTANTS:
        raise InvalidInput("The certificate's form or constant is unknown.")
    draws: Any = None
    if "pairs" in inputs:
        draws = (log_inverse_delta(log_inv_delta=inputs["draws_log_inv_delta"]), sample_size("pairs", inputs["pairs"]))
    found = recursive_ball(
        float(unit_interval("risk", inputs["risk"])), float(non_negative("kl", inputs["kl"])), sample_size("n", inputs["n"]),
        [(s.gamma, s.frequencies, s.kl, s.n) for s in _steps(inputs)], level(inputs),
        form=inputs["form"], constant=inputs["constant"], draws=draws, digits=digits,
    )  # fmt: skip
    sizes, stored = [sample_size("n", inputs["n"]), *(s.n for s in _steps(inputs))], inputs["bounds"]
    if any(b >= a for a, b in itertools.pairwise(sizes)) or len(stored) != len(found):
        raise InvalidInput(
            "The certificate's parts do not belong together.", "n_t falls, and every part has its bound."
        )
    if any(arb(float(value)) < exact for value, exact in zip(stored, found, strict=True)):
        raise InvalidInput("One of the certificate's earlier bounds is below the exact one.")
    return found[-1], None


def _recursive_events(inputs: Inputs) -> Sequence[Event]:
    own: list[Event] = [(event(t), level(inputs)) for t in range(1, 2 + len(inputs["gammas"]))]
    return [*own, (DRAWS_EVENT, float(inputs["draws_log_inv_delta"]))] if "pairs" in inputs else own


RULES: dict[str, Rule] = {
    "pb.eb": Rule(_bernstein, "true Gibbs risk", _bernstein_events),
    "pb.ub": Rule(_unexpected, "true Gibbs risk", one_event(UB_EVENT)),
    "pb.split_kl": Rule(_split, "true Gibbs risk", one_event(SPLIT_EVENT), span=_split_range),
    "pb.trikl": Rule(_vector, "true Gibbs risk", one_event(VECTOR_EVENT), span=_vector_range),
    "pb.rpb": Rule(_recursive, "true Gibbs risk", _recursive_events),
}
