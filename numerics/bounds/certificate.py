"""`Certificate`: a bound together with its kind, the delta it spent, what was assumed, and everything needed to re-verify it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...theory.errors import InvalidInput, StorageError
from ...theory.statement import Answer, Kind, Statement
from ..confidence import DeltaLedger, Spending
from ..store import write_atomically

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Certificate:
    """An upper bound `value` on a quantity, safe to the last bit.

    `raw` is the bound before it was clipped to `top`, the largest value the quantity can take, `lower` the lower bound that holds on the same event (None
    where there is none). `inputs` are the numbers it was computed from; `parts` maps names of inputs to the certificates
    that supplied them. `ledger` lists every event that may fail, those of the parts included.
    """

    value: float
    raw: float
    lower: float | None
    quantity: str
    statement: Statement
    ledger: DeltaLedger
    answers: Mapping[str, Answer]
    inputs: Mapping[str, Any]  # numbers, words, or tuples of them
    parts: Mapping[str, Certificate] = field(default_factory=dict)
    top: float = 1.0

    @property
    def kind(self) -> Kind:
        """Certificate, oracle, expectation or objective: what may be claimed with the number."""
        return self.statement.kind

    @property
    def delta(self) -> float:
        """Total probability that the statement fails."""
        return self.ledger.delta

    @property
    def vacuous(self) -> bool:
        """Whether the bound says no more than the range of the quantity does (for losses in [0, 1]: at most 1)."""
        return self.value >= self.top

    @property
    def unchecked(self) -> tuple[str, ...]:
        """Assumptions that nobody can check from the inputs: whoever quotes the number vouches for them."""
        return tuple(name for name, answer in self.answers.items() if answer is Answer.CANNOT_BE_CHECKED)

    def confirm(self, *names: str) -> Certificate:
        """A copy in which these assumptions hold: for functions that saw for themselves."""
        return replace(self, answers={**self.answers, **dict.fromkeys(names, Answer.HOLDS)})

    def check(self, digits: int = 60) -> Recheck:
        """Compute the bound again in ball arithmetic and compare: is the stored float on the safe side, and how close?"""
        from .recheck import recheck

        return recheck(self, digits)

    def __str__(self) -> str:
        lines = [f"{self.quantity} <= {self.value:.6g} {self._how_often()}"]
        if self.lower is not None:
            lines.append(f"  and >= {self.lower:.6g} on the same event")
        lines.append(f"  {self.kind} {self.statement.key}: {self.statement.title}")
        for entry in self.ledger.entries:
            lines.append(f"  spent delta {entry.delta:.4g} on: {entry.event}")
        for name, answer in self.answers.items():
            lines.append(f"  assumption {answer}: {name}")
        for name, part in self.parts.items():
            lines.append(f"  {name} from {part.statement.key} ({part.value:.6g})")
        lines.append("  cite: " + ", ".join(source.reference for source in self.statement.source))
        if self.vacuous:
            lines.append(f"  VACUOUS: the {self.quantity} cannot exceed {self.top:g}, so this says nothing")
        if self.kind is Kind.ORACLE:
            lines.append(
                "  ORACLE: it contains unknown quantities of the distribution, so it certifies nothing by itself"
            )
        if self.kind is Kind.OBJECTIVE:
            lines.append("  OBJECTIVE: for training only; it certifies nothing")
        return "\n".join(lines)

    def _how_often(self) -> str:
        if self.kind is Kind.EXPECTATION:
            return "in expectation over the sample"
        return f"with probability at least {1 - self.delta:.6g}" if self.ledger.entries else "surely"

    def as_json(self) -> dict[str, Any]:
        """Plain data, with non-finite numbers as the strings "inf", "-inf"."""
        return {
            "schema_version": SCHEMA_VERSION,
            "key": self.statement.key,
            "kind": str(self.kind),
            "quantity": self.quantity,
            "value": _out(self.value),
            "raw": _out(self.raw),
            "lower": None if self.lower is None else _out(self.lower),
            "top": _out(self.top),
            "delta": self.delta,
            "ledger": {
                "log_inv_delta": _out(self.ledger.log_inv_delta),
                "entries": [
                    {"event": e.event, "log_inv_delta": e.log_inv_delta, "delta": e.delta} for e in self.ledger.entries
                ],
            },
            "assumptions": [{"name": name, "answer": str(answer)} for name, answer in self.answers.items()],
            "citations": [source.reference for source in self.statement.source],
            "inputs": {name: _out(value) for name, value in self.inputs.items()},
            "parts": {name: part.as_json() for name, part in self.parts.items()},
        }

    def save(self, path: str | Path) -> None:
        """Write as JSON; `nonvacuous check PATH` verifies it again."""
        write_atomically(Path(path), (json.dumps(self.as_json(), indent=2, allow_nan=False) + "\n").encode())


@dataclass(frozen=True)
class Recheck:
    """The exact bound lies in [low, high] (decimal strings); `sound` says that the stored value is not below it.

    `excess` is (stored - exact)/exact: what rounding outward cost.
    """

    sound: bool
    low: str
    high: str
    excess: float
    detail: str


def load(path: str | Path) -> Certificate:
    """Read a saved certificate. Its numbers are taken as they are: `check()` is what verifies them."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise StorageError(
            f"{path} could not be read ({error.strerror or error}).", "Name a file saved with Certificate.save."
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is not JSON ({error}).", "Name a file saved with Certificate.save.") from error
    return from_json(data)


def from_json(data: Any) -> Certificate:
    """The inverse of `Certificate.as_json`."""
    from ...theory.statements import infinite_width, pac_bayes

    try:
        if data["schema_version"] != SCHEMA_VERSION:
            raise InvalidInput(
                f"The certificate has schema version {data['schema_version']!r}; this version reads {SCHEMA_VERSION}.",
                "Compute it again, or use the version that wrote it.",
            )
        known = (*pac_bayes.STATEMENTS, *infinite_width.STATEMENTS)
        statements = {statement.key: statement for statement in known}
        if data["key"] not in statements:
            raise InvalidInput(f"The certificate names the unknown theorem {data['key']!r}.")
        entries = tuple(_spending(entry) for entry in data["ledger"]["entries"])
        ledger = DeltaLedger(float(data["ledger"]["log_inv_delta"]), entries)
        statement = statements[data["key"]]
        total, spent = ledger.log_inv_delta, ledger.spent_log_inv_delta
        if not (total == spent or abs(total - spent) <= 1e-9 * max(1.0, spent)):
            raise InvalidInput("The ledger's total is not the sum of what it lists.")
        citations = [source.reference for source in statement.source]
        if (data["delta"], data["kind"], data["citations"]) != (ledger.delta, str(statement.kind), citations):
            raise InvalidInput(
                "The certificate's delta, kind or citations are not those of its ledger and its theorem."
            )
        return Certificate(
            value=_in(data["value"]),
            raw=_in(data["raw"]),
            lower=None if data["lower"] is None else _in(data["lower"]),
            quantity=str(data["quantity"]),
            statement=statement,
            ledger=ledger,
            answers={entry["name"]: Answer(entry["answer"]) for entry in data["assumptions"]},
            inputs={name: _input(value) for name, value in data["inputs"].items()},
            top=_in(data.get("top", 1.0)),
            parts={name: from_json(part) for name, part in data["parts"].items()},
        )
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(
            f"This is not a certificate: {type(error).__name__} {error}.", "Name a file saved with Certificate.save."
        ) from error


def _spending(entry: Any) -> Spending:
    found = Spending(str(entry["event"]), float(entry["log_inv_delta"]), float(entry["delta"]))
    wanted = Spending(found.event, found.log_inv_delta).delta
    # within the rounding of the exponential and of the logarithm it came from, near 0 a few of the smallest floats
    if not abs(found.delta - wanted) <= 1e-12 * (1 + found.log_inv_delta) * wanted + 4 * 2.0**-1074:
        raise InvalidInput(
            f"The ledger states delta {found.delta!r} and ln(1/delta) {found.log_inv_delta!r}.", "They disagree."
        )
    return found


def _out(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_out(entry) for entry in value]
    return str(value) if isinstance(value, float) and value in (float("inf"), float("-inf")) else value


def _input(value: Any) -> Any:
    """A saved input: a number, a word, or a list of them."""
    if isinstance(value, list):
        return tuple(_input(entry) for entry in value)
    return _in(value) if isinstance(value, str) and value in ("inf", "-inf") else value


def _in(value: Any) -> float:
    number = float(value)
    if number != number:
        raise InvalidInput("The certificate contains NaN.")
    return number


__all__ = ["Certificate", "Recheck", "Spending", "from_json", "load"]
