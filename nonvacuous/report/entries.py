"""What the report knows about each result: the result itself, the stored verdict if any, and the status that follows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..numerics.digests import code_digest
from ..proofs.result import Result
from ..proofs.verification import SCHEMA_VERSION, verdict_path
from ..theory.errors import StorageError

MARKS = {"supported": "✓", "refuted": "✗", "inconclusive": "?", "stale": "⟳", "not run": "·"}  # never colour alone


@dataclass(frozen=True)
class Entry:
    """A result with its verdict. `evidence` is the verdict's, or `stale` (the code changed since) or `not run`."""

    result: Result
    verdict: Mapping[str, Any] | None
    evidence: str

    @property
    def key(self) -> str:
        return self.result.key

    @property
    def derivation(self) -> str:
        """`replayed`, `cited`, `failed`, `missing` (nothing to replay) or `unknown` (not run)."""
        if self.verdict is None:
            return "unknown"
        found = self.verdict["derivation"]
        if found["failed"]:
            return "failed"
        return "cited" if found["cited_steps"] else "replayed" if found["steps"] else "missing"

    @property
    def derivation_text(self) -> str:
        return "not replayed" if self.verdict is None else str(self.verdict["derivation"]["status"])

    @property
    def controls(self) -> tuple[int, int]:
        """How many controls were refuted, of how many."""
        found = [c for check in self.checks for c in check["controls"]]
        total = len(found) if self.verdict is not None else sum(len(check.controls) for check in self.result.checks)
        return sum(control["verdict"] == "refuted" for control in found), total

    @property
    def checks(self) -> Sequence[Mapping[str, Any]]:
        return self.verdict["checks"] if self.verdict is not None else ()


def entries(out: Path, catalogue: Sequence[Result]) -> tuple[Entry, ...]:
    """One entry for each result, in the catalogue's order. Raises `StorageError` for a verdict that cannot be read."""
    return tuple(_entry(out, result) for result in catalogue)


def _entry(out: Path, result: Result) -> Entry:
    path = verdict_path(out, result.key)
    try:
        verdict = json.loads(path.read_text(encoding="utf-8"))
        if verdict["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema version {verdict['schema_version']!r}")
        fresh = code_digest(verdict["code"]["modules"]) == verdict["code"]["digest"]
        return Entry(result, verdict, verdict["verdict"] if fresh else "stale")
    except FileNotFoundError:
        return Entry(result, None, "not run")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path} cannot be read ({error}).", "Delete it and verify again.") from error
