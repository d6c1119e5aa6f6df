"""Verify a certificate again in ball arithmetic, from its inputs and those of its parts: no float64 routine is trusted."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from flint import arb, ctx

from ...theory.balls.seeger import monte_carlo_ball, seeger_lower_ball, seeger_upper_ball
from ...theory.errors import InvalidInput
from .certificate import Certificate, Recheck

Ends = tuple[arb, arb | None]


def _seeger(inputs: dict[str, Any], digits: int) -> Ends:
    arguments = (inputs["risk"], inputs["kl"], int(inputs["n"]), inputs["log_inv_delta"], inputs["constant"], digits)
    return seeger_upper_ball(*arguments), seeger_lower_ball(*arguments)


def _split(inputs: dict[str, Any], digits: int) -> Ends:
    if int(inputs["n"]) != int(inputs["n_total"]) - int(inputs["n_prior"]):
        raise InvalidInput(
            "The certificate's n is not n_total - n_prior.", "The examples that made the prior do not count."
        )
    return _seeger(inputs, digits)


def _monte_carlo(inputs: dict[str, Any], digits: int) -> Ends:
    return monte_carlo_ball(inputs["risk"], int(inputs["draws"]), inputs["log_inv_delta"], digits), None


EXACT: dict[str, Callable[[dict[str, Any], int], Ends]] = {
    "pb.kl": _seeger,
    "pb.data_prior": _split,
    "pb.gibbs_mc": _monte_carlo,
}


def recheck(certificate: Certificate, digits: int = 60) -> Recheck:
    """Is every number of the certificate on the safe side of the exact one, and do its parts and its ledger add up?"""
    problems: list[str] = []
    for name, part in certificate.parts.items():
        inner = recheck(part, digits)
        if not inner.sound:
            problems.append(f"{name}: {inner.detail}")
        if part.value != certificate.inputs[name]:
            problems.append(f"{name} is {certificate.inputs[name]!r}, but its certificate says {part.value!r}")
    if not _ledger_covers(certificate):
        problems.append("the ledger does not list every delta that the formula spends")
    try:
        upper, lower = EXACT[certificate.statement.key](dict(certificate.inputs), digits)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"The certificate's inputs cannot be read: {type(error).__name__} {error}.") from error
    with ctx.workdps(digits + 10):
        # the exact bound may agree with 1 (or 0, for the lower side) to more digits than were asked for; it never passes it
        if not (certificate.raw >= 1 or arb(certificate.raw) >= upper) or certificate.value < min(certificate.raw, 1.0):
            problems.append(
                f"the stored value {certificate.value!r} is below the exact bound {upper.str(20, radius=False)}"
            )
        if certificate.lower is not None and (
            certificate.parts or lower is None or not (certificate.lower <= 0 or arb(certificate.lower) <= lower)
        ):
            problems.append(f"the stored lower bound {certificate.lower!r} is not justified")
        excess = float(((arb(certificate.raw) - upper) / upper).mid()) if upper > 0 else math.nan
        low, high = upper.lower().str(digits, radius=False), upper.upper().str(digits, radius=False)
    detail = "; ".join(problems) or f"the stored value is {excess:.1e} (relative) above the exact bound"
    return Recheck(not problems, low, high, excess, detail)


def _ledger_covers(certificate: Certificate) -> bool:
    """The spent deltas are those of this bound and of its parts, each once."""
    spends = sorted(
        [
            certificate.inputs["log_inv_delta"],
            *(e.log_inv_delta for p in certificate.parts.values() for e in p.ledger.entries),
        ]
    )
    return spends == sorted(entry.log_inv_delta for entry in certificate.ledger.entries) and all(
        Fraction(value) > 0 for value in map(float, spends)
    )
