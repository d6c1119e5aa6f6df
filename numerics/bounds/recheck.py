"""Verify a certificate again in ball arithmetic, from its inputs and those of its parts: no float64 routine is trusted."""

from __future__ import annotations

import math
import re

from flint import arb, ctx

from ...theory.errors import InvalidInput, NumericalFailure
from .certificate import Certificate, Recheck
from .rules import RULES, Rule

_FEWER = (30, 20)  # digits, where more cannot be had: a stored value lies some 1e-15 above the exact one
_MORE = (400, 1000)  # where a stored number agrees with the exact one, as 2 I with 2 (1 - e^-I) at I = 1e-320
LOSSES = re.compile(r"0-1 loss|cross-entropy clamped and rescaled at pmin = [0-9.e-]+")


def recheck(certificate: Certificate, digits: int = 60) -> Recheck:
    """Is every number of the certificate on the safe side of the exact one, do its parts and its ledger add up, and does it say
    of itself what its theorem says? The inputs themselves (risk, KL, n) and the answers to assumptions are taken as given.
    """
    rule = RULES.get(certificate.statement.key)
    if rule is None:
        raise InvalidInput(f"{certificate.statement.key} has no certificates to verify.", f"Known: {', '.join(RULES)}.")
    problems = _parts(certificate, rule, digits)
    if certificate.quantity not in _quantities(certificate, rule):
        problems.append(f"it claims to bound the {certificate.quantity}; its theorem bounds the {rule.quantity}")
    if missing := [a.name for a in certificate.statement.assumptions if a.name not in certificate.answers]:
        problems.append(f"it does not name its assumptions {missing}")
    try:
        if not _ledger_covers(certificate, rule):
            problems.append("the ledger does not list every event and delta that the formula spends, each once")
        bottom, top = rule.span(certificate.inputs)
        upper, lower = _decided(certificate, rule, (bottom, top), digits)
    except InvalidInput:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InvalidInput(f"The certificate's inputs cannot be read: {type(error).__name__} {error}.") from error
    if certificate.top != top:
        problems.append(
            f"it says that the {certificate.quantity} cannot exceed {certificate.top!r}; its theorem says {top!r}"
        )
    with ctx.workdps(max(digits, *_MORE) + 10):
        # the exact bound may agree with 1 (or 0, for the lower side) to more digits than were asked for; it never passes it
        if not (certificate.raw >= top or arb(certificate.raw) >= upper) or certificate.value < min(
            certificate.raw, top
        ):
            exact = upper.str(20, radius=False)
            problems.append(f"the stored value {certificate.value!r} is below the exact bound {exact}")
        if certificate.lower is not None and (
            certificate.parts or lower is None or not (certificate.lower <= bottom or arb(certificate.lower) <= lower)
        ):
            problems.append(f"the stored lower bound {certificate.lower!r} is not justified")
        excess = float(((arb(certificate.raw) - upper) / upper).mid()) if upper > 0 else math.nan
        low, high = upper.lower().str(digits, radius=False), upper.upper().str(digits, radius=False)
    good = (
        f"the stored value is {excess:.1e} (relative) above the exact bound; inputs and assumptions are taken as given"
    )
    return Recheck(not problems, low, high, excess, "; ".join(problems) or good)


def _decided(certificate: Certificate, rule: Rule, span: tuple[float, float], digits: int) -> tuple[arb, arb | None]:
    """The exact ends, to as many digits as it takes to tell them from what is stored: more where a stored number agrees with its
    end to `digits` digits, fewer where so many cannot be had. InvalidInput where there is no enclosure at all."""
    ends: tuple[arb, arb | None] | None = None
    for accuracy in (digits, *(d for d in _FEWER if d < digits)):
        try:
            ends = rule.ends(dict(certificate.inputs), accuracy)
            break
        except NumericalFailure as error:
            failure = error
    if ends is None:
        raise InvalidInput(
            f"A certificate of {certificate.statement.key} with these inputs cannot be verified: {failure.problem}",
            "They are too extreme for ball arithmetic. State the bound at a larger delta, or for fewer examples.",
        ) from failure
    for accuracy in (d for d in _MORE if d > digits):
        upper = certificate.raw >= span[1] or _told_apart(certificate.raw, ends[0])
        lower = certificate.lower is None or certificate.lower <= span[0] or _told_apart(certificate.lower, ends[1])
        if upper and lower:
            break
        try:
            ends = rule.ends(dict(certificate.inputs), accuracy)
        except NumericalFailure:
            break
    return ends


def _told_apart(stored: float, end: arb | None) -> bool:
    return end is None or bool(arb(stored) != end) or bool(end.is_exact())


def _quantities(certificate: Certificate, rule: Rule) -> set[str]:
    """What the theorem bounds, as it may be worded: with the loss of a model's certificate, or a note that belongs to the theorem."""
    loss = certificate.inputs.get("loss")
    named = {f"{rule.quantity} ({loss})"} if isinstance(loss, str) and LOSSES.fullmatch(loss) else set()
    return {rule.quantity, *named, *(f"{rule.quantity} ({note})" for note in rule.notes)}


def _parts(certificate: Certificate, rule: Rule, digits: int) -> list[str]:
    """What is wrong with the certificates that supplied inputs."""
    problems = []
    for name, part in certificate.parts.items():
        if part.statement.key not in rule.parts.get(name, ()):
            problems.append(f"{name} cannot come from a certificate of {part.statement.key}")
        elif not (inner := recheck(part, digits)).sound:
            problems.append(f"{name}: {inner.detail}")
        elif part.value != certificate.inputs.get(name):
            problems.append(f"{name} is {certificate.inputs.get(name)!r}, but its certificate says {part.value!r}")
    return problems


def _ledger_covers(certificate: Certificate, rule: Rule) -> bool:
    """The spent deltas are those of this bound and of its parts, each once, under their own names; further events only weaken it."""
    inner = [(e.event, e.log_inv_delta) for part in certificate.parts.values() for e in part.ledger.entries]
    own = [(e.event, e.log_inv_delta) for e in certificate.ledger.entries]
    for entry in inner:
        if entry not in own:
            return False
        own.remove(entry)
    if len({event for event, _ in own} | {event for event, _ in inner}) != len(own) + len(inner):
        return False
    wanted = list(rule.events(certificate.inputs))
    for entry in list(own):
        for candidate in (entry, (None, entry[1])):
            if candidate in wanted:
                wanted.remove(candidate)
                own.remove(entry)
                break
    return not wanted
