"""What a diagnosis says: estimates of quantities of the distribution, and the identities that tie them. Never a certificate."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from .jackknife import Estimate

SCHEMA_VERSION = 1
Loss = Literal["log", "zero_one", "bounded"]


@dataclass(frozen=True)
class Tie:
    """A relation between reported numbers, evaluated: left = right, or left <= right. `rounding` is what float64 may take from it."""

    name: str
    left: float
    relation: Literal["=", "<="]
    right: float
    rounding: float

    @property
    def residual(self) -> float:
        """left - right for an equality; for an inequality what is missing, 0 where it holds."""
        return self.left - self.right if self.relation == "=" else max(0.0, self.left - self.right)

    @property
    def holds(self) -> bool:
        return bool(abs(self.residual) <= self.rounding)

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "VIOLATED"
        return f"{self.name}: {self.left:.6g} {self.relation} {self.right:.6g}, residual {self.residual:.1e} (rounding {self.rounding:.1e}): {verdict}"


@dataclass(frozen=True)
class Rate:
    """Plug-in inverse rate at `price` nats per example, averaged over the posterior: by how much the Gibbs loss may exceed its empirical
    value. From `limit` nats on it is saturated and only repeats mean - minimum; `effective` examples carry it."""

    inverse_rate: Estimate
    price: float
    tilt: float
    saturated: bool
    effective: float
    limit: float


@dataclass(frozen=True)
class Diagnosis:
    """Fit, stochasticity price, smoothness and diversity of a posterior from its losses.

    All numbers are plug-in estimates: `label` says so, and no delta is attached. `evaluated_on` names the array behind everything but
    `fit`: "test", or "train" when there is no other (then they describe the sample that was learned from).
    """

    label: str
    loss: Loss
    models: int
    examples: int
    n: int
    evaluated_on: Literal["test", "train"]
    fit: Estimate
    gibbs_loss: Estimate
    kl: float | None
    delta: float
    rate: Rate | None
    diversity: Estimate
    ensemble_loss: Estimate | None
    second_order: Estimate | None
    tight: Estimate | None
    roughness: float
    spread_of_risks: float
    roughness_of_average: float
    cold_slope: Estimate | None
    train_slope: Estimate | None
    combined: float | None
    ties: tuple[Tie, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        lines = [
            f"{self.label}: {self.models} model(s), {self.examples} {self.evaluated_on} example(s), {self.loss} loss, n = {self.n}"
        ]
        names = {
            "fit": "fit (empirical Gibbs loss)",
            "gibbs_loss": f"Gibbs loss on the {self.evaluated_on} examples",
            "diversity": "diversity" + (" (Gibbs loss - loss of the average)" if self.loss == "log" else " (variance of the loss over models)"),
            "ensemble_loss": "loss of the average",
            "second_order": "  second-order part V",
            "tight": "  tight second-order part V_h",
            "cold_slope": "slope of the averaged model's test loss in the temperature (below 0: colder would be better)",
            "train_slope": "slope of the fit in the temperature",
        }  # fmt: skip
        for name, text in names.items():
            value = getattr(self, name)
            if value is not None:
                lines.append(f"  {text}: {value}")
        if self.kl is not None:
            lines.append(f"  KL: {self.kl:.6g} nats")
        if self.rate is not None:
            state = (
                f"SATURATED at {self.rate.limit:.4g} nats: it only repeats mean - minimum"
                if self.rate.saturated
                else f"saturates at {self.rate.limit:.4g}"
            )
            lines.append(
                f"  inverse rate: {self.rate.inverse_rate} at {self.rate.price:.4g} nats, tilt {self.rate.tilt:.4g}, {self.rate.effective:.4g} effective examples, {state}"
            )
        lines.append(
            f"  variance: roughness {self.roughness:.6g} + spread of risks {self.spread_of_risks:.6g} - roughness of the average {self.roughness_of_average:.6g}"
        )
        if self.combined is not None:
            lines.append(
                f"  fit + inverse rate - diversity: {self.combined:.6g} (the combined bound, with estimates in place of oracles)"
            )
        lines += [f"  {tie}" for tie in self.ties] + [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Plain data; infinities as the strings "inf" and "-inf"."""
        ties = [{"name": t.name, "left": t.left, "relation": t.relation, "right": t.right, "residual": t.residual, "rounding": t.rounding, "holds": t.holds} for t in self.ties]  # fmt: skip
        data = {entry.name: _plain(getattr(self, entry.name)) for entry in fields(self) if entry.name != "ties"}
        return {"schema_version": SCHEMA_VERSION, **data, "ties": ties}


def _plain(value: Any) -> Any:
    match value:
        case Estimate():
            return {"value": _plain(value.value), "error": value.error}
        case Rate():
            return {entry.name: _plain(getattr(value, entry.name)) for entry in fields(value)}
        case tuple():
            return [_plain(item) for item in value]
        case float() if value in (float("inf"), float("-inf")):
            return str(value)
    return value
