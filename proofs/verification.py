"""From a catalogue to verdicts: plan the specs, measure what is missing, judge, and tell what happens as it happens."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..numerics.executors import execute
from ..numerics.store import prepare
from ..theory.errors import InvalidInput
from .events import Event, Failed, Judged, Measured, Planned, Postponed
from .judging import SCHEMA_VERSION, judge_result, standing_verdict, verdict_path
from .measuring import guarded, measure, run_experiment
from .planning import Task, missing_rows, select, specs
from .result import BUDGETS, Budget, Result

__all__ = [
    "SCHEMA_VERSION", "Event", "Failed", "Judged", "Measured", "Planned", "Postponed", "Task", "guarded", "judge_result", "measure",
    "missing_rows", "perform", "run_experiment", "select", "specs", "standing_verdict", "verdict_path", "verify",
]  # fmt: skip


def verify(
    catalogue: Sequence[Result],
    *,
    out: Path,
    names: Iterable[str] = (),
    budget: Budget = "quick",
    device: str = "cpu",
    seed: int = 0,
    jobs: int = 1,
    time_limit: float | None = None,
) -> Iterator[Event]:
    """Verify results, yielding events. Rows and verdicts are written to `out` as they are made, so a stopped run resumes.

    `time_limit` is in seconds: no task is begun after it.
    """
    if budget not in BUDGETS:
        raise InvalidInput(f"budget is {budget!r}.", f"Choose one of {BUDGETS}.")
    results = select(catalogue, names)
    prepare(out)
    deadline = time.monotonic() + time_limit if time_limit is not None else None
    missing, reused = missing_rows(results, out, budget, seed, device)
    tasks = [("measure", out, *task) for pending in missing.values() for task in reversed(pending.values())]
    standing = {
        r.key: v for r in results if r.key not in missing and (v := standing_verdict(out, r, budget, seed, device))
    }
    yield Planned(len(tasks), len(reused), len(results) - len(standing), len(standing))
    ready = [r for r in results if r.key not in missing and r.key not in standing]
    waiting = [r for r in results if r.key in missing]
    failed: set[str] = set()
    judged: set[str] = set()
    for key, verdict in standing.items():
        yield from _note(Judged(key, verdict), failed, judged, {})

    def drawn(pending: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        for item in pending:
            if (deadline is not None and time.monotonic() > deadline) or "*" in failed:
                return
            yield item

    def judging(some: Iterable[Result]) -> list[tuple[Any, ...]]:
        return [("judge", out, r, budget, seed, device) for r in some if r.key not in failed]

    measured: dict[str, int] = {}
    for event in execute(perform, drawn([*tasks, *judging(ready)]), jobs):
        yield from _note(event, failed, judged, measured)
    complete = [r for r in waiting if measured.get(r.key, 0) == len(missing[r.key])]
    for event in execute(perform, drawn(judging(complete)), jobs):
        yield from _note(event, failed, judged, measured)
    late = tuple(r.key for r in results if r.key not in judged and r.key not in failed)
    if late:
        yield Postponed(late)


def _note(event: Event, failed: set[str], judged: set[str], measured: dict[str, int]) -> Iterator[Event]:
    if isinstance(event, Failed):
        failed.add(event.key)
        if event.fatal:
            failed.add("*")
    elif isinstance(event, Judged):
        judged.add(event.key)
    elif isinstance(event, Measured):
        measured[event.key] = measured.get(event.key, 0) + 1
    yield event


def perform(action: str, *arguments: Any) -> Event:
    """Run one task in this process."""
    if action == "measure":
        return guarded(arguments[1].key, measure, *arguments)
    return guarded(arguments[1].key, lambda *given: Judged(given[1].key, judge_result(*given)), *arguments)
