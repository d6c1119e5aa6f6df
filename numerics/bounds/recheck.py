"""Verify a certificate again in ball arithmetic, from its inputs and those of its parts: no float64 routine is trusted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flint import arb, ctx

from ...theory.balls.seeger import monte_carlo_ball, seeger_lower_ball, seeger_upper_ball
from ...theory.errors import InvalidInput
from ...theory.validation import log_inverse_delta, non_negative, sample_size, unit_interval
from . import seeger
from .certificate import Certificate, Recheck
from .seeger import CONSTANTS

Ends = tuple[arb, arb | None]


def _seeger(inputs: dict[str, Any], digits: int) -> Ends:
    if inputs["constant"] not in CONSTANTS:
        raise InvalidInput(f"The certificate's constant is {inputs['constant']!r}.", f"It must be one of {CONSTANTS}.")
    risk, kl = float(unit_interval("risk", inputs["risk"])), float(non_negative("kl", inputs["kl"]))
    arguments = (risk, kl, sample_size("n", inputs["n"]), _level(inputs), inputs["constant"], digits)
    return seeger_upper_ball(*arguments), seeger_lower_ball(*arguments)


def _split(inputs: dict[str, Any], digits: int) -> Ends:
    total, used = sample_size("n_total", inputs["n_total"]), int(non_negative("n_prior", inputs["n_prior"]))
    if sample_size("n", inputs["n"]) != total - used:
        raise InvalidInput(
            "The certificate's n is not n_total - n_prior.", "The examples that made the prior do not count."
        )
    return _seeger(inputs, digits)


def _monte_carlo(inputs: dict[str, Any], digits: int) -> Ends:
    risk = float(unit_interval("risk", inputs["risk"]))
    return monte_carlo_ball(risk, sample_size("draws", inputs["draws"]), _level(inputs), digits), None


def _level(inputs: dict[str, Any]) -> float:
    return log_inverse_delta(log_inv_delta=inputs["log_inv_delta"])


@dataclass(frozen=True)
class Rule:
    """How a theorem's certificates are verified: the exact ends, what they bound, their own event, and which of their inputs
    another theorem's certificate may supply."""

    ends: Callable[[dict[str, Any], int], Ends]
    quantity: str
    event: str | None
    parts: Mapping[str, str]


RULES = {
    "pb.kl": Rule(_seeger, "true Gibbs risk", seeger.EVENT, {"risk": "pb.gibbs_mc"}),
    "pb.data_prior": Rule(_split, "true Gibbs risk", seeger.EVENT, {"risk": "pb.gibbs_mc"}),
    # its event is named by the caller: several posteriors tried are several events
    "pb.gibbs_mc": Rule(_monte_carlo, "empirical Gibbs risk", None, {}),
}


def recheck(certificate: Certificate, digits: int = 60) -> Recheck:
    """Is every number of the certificate on the safe side of the exact one, do its parts and its ledger add up, and does it say
    of itself what its theorem says? The inputs themselves (risk, KL, n) and the answers to assumptions are taken as given.
    """
    rule = RULES.get(certificate.statement.key)
    if rule is None:
        raise InvalidInput(f"{certificate.statement.key} has no certificates to verify.", f"Known: {', '.join(RULES)}.")
    problems = _parts(certificate, rule, digits)
    if certificate.quantity.partition(" (")[0] != rule.quantity:
        problems.append(f"it claims to bound the {certificate.quantity}; its theorem bounds the {rule.quantity}")
    if missing := [a.name for a in certificate.statement.assumptions if a.name not in certificate.answers]:
        problems.append(f"it does not name its assumptions {missing}")
    try:
        if not _ledger_covers(certificate, rule):
            problems.append("the ledger does not list every event and delta that the formula spends, each once")
        upper, lower = rule.ends(dict(certificate.inputs), digits)
    except (KeyError, TypeError, OverflowError) as error:
        raise InvalidInput(f"The certificate's inputs cannot be read: {type(error).__name__} {error}.") from error
    with ctx.workdps(digits + 10):
        # the exact bound may agree with 1 (or 0, for the lower side) to more digits than were asked for; it never passes it
        if not (certificate.raw >= 1 or arb(certificate.raw) >= upper) or certificate.value < min(certificate.raw, 1.0):
            exact = upper.str(20, radius=False)
            problems.append(f"the stored value {certificate.value!r} is below the exact bound {exact}")
        if certificate.lower is not None and (
            certificate.parts or lower is None or not (certificate.lower <= 0 or arb(certificate.lower) <= lower)
        ):
            problems.append(f"the stored lower bound {certificate.lower!r} is not justified")
        excess = float(((arb(certificate.raw) - upper) / upper).mid()) if upper > 0 else math.nan
        low, high = upper.lower().str(digits, radius=False), upper.upper().str(digits, radius=False)
    good = (
        f"the stored value is {excess:.1e} (relative) above the exact bound; inputs and assumptions are taken as given"
    )
    return Recheck(not problems, low, high, excess, "; ".join(problems) or good)


def _parts(certificate: Certificate, rule: Rule, digits: int) -> list[str]:
    """What is wrong with the certificates that supplied inputs."""
    problems = []
    for name, part in certificate.parts.items():
        if rule.parts.get(name) != part.statement.key:
            problems.append(f"{name} cannot come from a certificate of {part.statement.key}")
        elif not (inner := recheck(part, digits)).sound:
            problems.append(f"{name}: {inner.detail}")
        elif part.value != certificate.inputs.get(name):
            problems.append(f"{name} is {certificate.inputs.get(name)!r}, but its certificate says {part.value!r}")
    return problems


def _ledger_covers(certificate: Certificate, rule: Rule) -> bool:
    """The spent deltas are those of this bound and of its parts, each once, under their own names."""
    inner = [(e.event, e.log_inv_delta) for part in certificate.parts.values() for e in part.ledger.entries]
    listed = [(e.event, e.log_inv_delta) for e in certificate.ledger.entries]
    own = [entry for entry in listed if entry not in inner]
    return (
        len(listed) == len(inner) + 1
        and len(own) == 1
        and own[0][1] == certificate.inputs["log_inv_delta"]
        and rule.event in (None, own[0][0])
    )
