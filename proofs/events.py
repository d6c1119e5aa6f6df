"""What a verification tells while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Planned:
    """What a run is going to do: rows to measure, rows found in the store, results to judge, verdicts that still hold."""

    measure: int
    reused: int
    results: int
    standing: int


@dataclass(frozen=True)
class Measured:
    """One Spec was measured and stored."""

    key: str
    seconds: float


@dataclass(frozen=True)
class Judged:
    """One result was judged; `verdict` is what was written to its JSON file."""

    key: str
    verdict: Mapping[str, Any]


@dataclass(frozen=True)
class Failed:
    """A task raised. `exit_code` is that of its error; everything stored before it is intact."""

    key: str
    problem: str
    exit_code: int
    fatal: bool = False  # every later task would fail the same way (a full disk)
    trace: str = ""


@dataclass(frozen=True)
class Postponed:
    """The time limit came first; the same command goes on from here."""

    keys: tuple[str, ...]


Event = Planned | Measured | Judged | Failed | Postponed
