"""Every bound that applies to what was given, tightest first, and why the others do not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...theory.errors import InvalidInput
from ...theory.statement import Kind
from ...theory.validation import flag, log_inverse_delta
from ..confidence import split_delta
from .certificate import Certificate
from .envelope import small_data_envelope
from .from_losses import AXES, MONTE_CARLO_SHARE
from .given import Given, describe
from .jointly import jointly
from .monte_carlo import gibbs_monte_carlo
from .routes import ROUTES, Level, Route


@dataclass(frozen=True)
class Row:
    """One bound: its certificate, or the reason why there is none."""

    key: str
    function: str
    event: str
    certificate: Certificate | None
    reason: str = ""


@dataclass(frozen=True)
class BoundComparison:
    """Certificates, tightest first; oracles and other kinds apart, as they certify nothing; then what does not apply.

    `simultaneous` says whether all certificates hold together at the stated delta (each ledger then lists the events of all). If not, each holds at its own, and the smallest of
    them, picked after looking, holds at none: compare again with simultaneous=True to quote it. `floor` is the value below which no
    bound can come that sees only risk, KL, n and delta (pb.smalldata; None for one predictor), an oracle's number, never a certificate.
    """

    certificates: tuple[Row, ...]
    others: tuple[Row, ...]
    not_applicable: tuple[Row, ...]
    simultaneous: bool
    delta: float
    floor: float | None

    @property
    def best(self) -> Certificate:
        """The tightest certificate; only where all of them hold together. Raises `InvalidInput`."""
        if not self.simultaneous:
            raise InvalidInput(
                "The smallest of several bounds, each at its own delta, is not a certificate.",
                "Compare with simultaneous=True, which shares delta among the events, or name the bound before looking.",
            )
        found = self.certificates[0].certificate
        assert found is not None
        return found

    def __str__(self) -> str:
        width = max(len(row.function) for row in (*self.certificates, *self.others, *self.not_applicable))
        lines = []
        for row in self.certificates:
            assert row.certificate is not None
            note = " (vacuous)" if row.certificate.vacuous else ""
            lines.append(f"{row.function:{width}s}  {row.certificate.value:.6g}{note}  [{row.key}; event: {row.event}]")
        quantity = (
            self.certificates[0].certificate.quantity if self.certificates and self.certificates[0].certificate else ""
        )
        head = [
            f"certificates for the {quantity}, "
            + (f"all together at delta {self.delta:g}" if self.simultaneous else f"each at delta {self.delta:g}")
        ]
        if not self.simultaneous:
            head.append("(the smallest, picked after looking, holds at none of these: see simultaneous=True)")
        if self.floor is not None:
            lines.append(
                f"{'no bound of this kind':{width}s}  below {self.floor:.6g}  [pb.smalldata; a floor, not a certificate]"
            )
        for row in self.others:
            assert row.certificate is not None
            lines.append(
                f"{row.function:{width}s}  {row.certificate.value:.6g}  [{row.key}; {row.certificate.kind}, certifies nothing]"
            )
        reasons: dict[str, list[str]] = {}
        for row in self.not_applicable:
            reasons.setdefault(row.reason, []).append(row.function)
        lines += [f"not {', '.join(names)}: {reason}" for reason, names in reasons.items()]
        return "\n".join([*head, *lines])

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "schema_version": 1,
            "simultaneous": self.simultaneous,
            "delta": self.delta,
            "floor": self.floor,
            **{
                name: [
                    {
                        "key": row.key,
                        "function": row.function,
                        "event": row.event,
                        "certificate": row.certificate.as_json(),
                    }
                    for row in rows
                    if row.certificate is not None
                ]
                for name, rows in (("certificates", self.certificates), ("others", self.others))
            },
            "not_applicable": [{"key": r.key, "function": r.function, "reason": r.reason} for r in self.not_applicable],
        }


def compare(
    *,
    delta: float | None = None,
    log_inv_delta: float | None = None,
    risk: float | None = None,
    kl: float | None = None,
    n: int | None = None,
    losses: Any = None,
    axes: Sequence[str] = AXES,
    posterior: Any = None,
    prior: Any = None,
    n_prior: int = 0,
    log_inv_weight: float | None = None,
    simultaneous: bool = False,
    monte_carlo_share: float = MONTE_CARLO_SHARE,
) -> BoundComparison:
    """Compute every bound that these arguments allow.

    Parameters
    ----------
    delta, log_inv_delta: failure probability of each bound, or of all together where `simultaneous`; exactly one.
    risk, kl, n: exact empirical Gibbs risk in [0, 1] of a posterior, its KL(Q||P) in nats, all examples (n_prior of them made the prior).
    losses: in their place, losses in [0, 1] on the examples of the bound. One axis: one predictor. Two axes (`axes`): with `kl`, fresh
        draws from a posterior, whose Monte-Carlo event gets `monte_carlo_share` of delta; with `posterior` (weights, and `prior`
        weights, uniform by default), the whole of a finite class.
    n_prior: examples that made the prior; they are not among the losses.
    log_inv_weight: ln(1/w) in nats of one predictor that was chosen with these losses from a countable class.
    simultaneous: share delta equally among the events of all bounds that apply, so that the tightest may be picked.

    Losses are those of the data that the bound is about; a predictor chosen with them is not "one predictor" unless log_inv_weight pays for
    the choice. Raises `InvalidInput`.
    """
    given = describe(
        risk=risk, kl=kl, n=n, losses=losses, axes=axes, posterior=posterior, prior=prior, n_prior=n_prior, log_inv_weight=log_inv_weight,
    )  # fmt: skip
    level, simultaneous = log_inverse_delta(delta, log_inv_delta), flag("simultaneous", simultaneous)
    reasons = [route.why_not(given) for route in ROUTES]
    usable = [route for route, reason in zip(ROUTES, reasons, strict=True) if not reason]
    estimate, part = _levels(
        given, delta, level, monte_carlo_share, len({r.event for r in usable}) if simultaneous else 1
    )
    empirical: Any = given.risk
    if given.form == "draws":
        assert given.draws is not None
        assert estimate is not None
        empirical = gibbs_monte_carlo(risk=given.risk, draws=given.draws, **estimate)
    built = {r.function: r.build(given, empirical, part) for r in usable}
    if simultaneous:
        built = jointly(built, {r.function: r.event for r in usable})
    rows = [Row(r.key, r.function, r.event, built[r.function]) for r in usable]
    ordered = sorted(rows, key=lambda row: row.certificate.value if row.certificate else math.inf)
    sound = tuple(row for row in ordered if row.certificate and row.certificate.kind is Kind.CERTIFICATE)
    floor = None
    if given.kl is not None:
        floor = small_data_envelope(risk=given.risk, kl=given.kl, n=given.n, log_inv_delta=level)
    return BoundComparison(
        certificates=sound,
        others=tuple(row for row in ordered if row not in sound),
        not_applicable=tuple(
            Row(r.key, r.function, r.event, None, why) for r, why in zip(ROUTES, reasons, strict=True) if why
        ),
        simultaneous=simultaneous,
        delta=float(delta) if delta is not None else math.exp(-level),
        floor=floor,
    )


def _levels(given: Given, delta: float | None, level: float, share: float, events: int) -> tuple[Level | None, Level]:
    """The level of the Monte-Carlo event, if there is one, and that of each of `events` others."""
    if given.form != "draws":
        return None, _equal(delta, level, events)
    if delta is None:
        raise InvalidInput("Draws split delta between two events.", "Give delta, not log_inv_delta.")
    first, second = split_delta(delta, share)
    return {"delta": first}, _equal(second, 0.0, events)


def _equal(delta: float | None, level: float, events: int) -> Level:
    if delta is None:
        return {
            "log_inv_delta": math.nextafter(level + math.log(events) * (1 + 2.0**-50), math.inf)
            if events > 1
            else level
        }
    if events == 1:
        return {"delta": delta}
    return {"delta": math.nextafter(delta / events, 0.0)}


__all__ = ["BoundComparison", "Route", "Row", "compare"]
