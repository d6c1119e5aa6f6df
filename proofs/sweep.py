"""A verification's measurements spread over machines: plan them, run a share of them anywhere, collect the rows, judge once.

Rows are those of a serial run, file by file: a task is a Spec, its seed belongs to it, and shares are cut by the Spec's digest, so that any number of
machines, in any order, again and again, arrive at the same folder. Verdicts are made from the folder by `verify`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..numerics.executors import cluster, execute
from ..numerics.store import Spec, prepare, sound_rows, write_atomically, write_rows
from ..theory.errors import InvalidInput
from .events import Failed, Measured
from .measuring import guarded, run_experiment
from .planning import Task, missing_rows, select
from .result import BUDGETS, Budget, Result
from .verification import perform


@dataclass(frozen=True)
class Shard:
    """Share `index` of `count`, counted from 1."""

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise InvalidInput(
                f"The shard is {self.index}/{self.count}.", "Write I/N with I from 1 to N, for example 3/8."
            )

    def has(self, identity: str) -> bool:
        """Whether a Spec's digest falls into this share."""
        return int(identity[:15], 16) % self.count == self.index - 1


@dataclass(frozen=True)
class SweepPlan:
    """What is missing in the folder, of this share: tasks by result; and how many rows are there already."""

    tasks: dict[str, int]
    present: int

    @property
    def total(self) -> int:
        return sum(self.tasks.values())


@dataclass(frozen=True)
class Left:
    """The time limit came first: `tasks` of this share are still missing."""

    tasks: int


@dataclass(frozen=True)
class Collected:
    """Row files that were copied, found already, and refused because they are damaged."""

    copied: int
    present: int
    damaged: tuple[str, ...]


def plan(
    catalogue: Sequence[Result],
    *,
    out: Path,
    names: Iterable[str] = (),
    budget: Budget = "full",
    device: str = "cpu",
    seed: int = 0,
    shard: Shard | None = None,
) -> SweepPlan:
    """Count what a share has to do. Raises `InvalidInput`, `UnknownKey`."""
    tasks, present = _tasks(catalogue, out, names, budget, device, seed, shard or Shard())
    by_key: dict[str, int] = {}
    for spec, *_ in tasks:
        by_key[spec.key] = by_key.get(spec.key, 0) + 1
    return SweepPlan(by_key, present)


def run(
    catalogue: Sequence[Result],
    *,
    out: Path,
    names: Iterable[str] = (),
    budget: Budget = "full",
    device: str = "cpu",
    seed: int = 0,
    shard: Shard | None = None,
    jobs: int = 1,
    address: str | None = None,
    time_limit: float | None = None,
) -> Iterator[Measured | Failed | Left]:
    """Measure what is missing of a share, in this process, in `jobs` processes, or on a Dask cluster (`address`), whose workers return rows
    that are written here. Idempotent; an interrupted or killed run goes on. No task is begun after `time_limit` seconds (on a
    cluster: no result is waited for)."""
    prepare(out)
    tasks, _ = _tasks(catalogue, out, names, budget, device, seed, shard or Shard())
    deadline = None if time_limit is None else time.monotonic() + time_limit
    done = 0

    def drawn() -> Iterator[tuple[Any, ...]]:
        for task in tasks:
            if deadline is not None and time.monotonic() > deadline:
                return
            yield ("measure", out, *task)

    if address is None:
        for event in execute(perform, drawn(), jobs):
            done += 1
            yield event
            if isinstance(event, Failed) and event.fatal:
                break
    else:
        needs = {"GPU": 1} if device.startswith("cuda") else None
        for found in cluster(_remote, list(tasks), address, resources=needs):
            if isinstance(found, Failed):
                yield found
            else:
                spec, rows, provenance = found
                write_rows(out, spec, rows, provenance)
                yield Measured(spec.key, provenance["seconds"])
            done += 1
            if deadline is not None and time.monotonic() > deadline:
                break
    if done < len(tasks):
        yield Left(len(tasks) - done)


def collect(out: Path, folders: Sequence[Path]) -> Collected:
    """Copy the row files of other machines' folders into `out`. A damaged file is left behind and named. Raises `InvalidInput`, `StorageError`."""
    prepare(out)
    copied = present = 0
    damaged = []
    for folder in folders:
        rows = folder / "rows"
        if not rows.is_dir():
            raise InvalidInput(f"{folder} holds no rows.", "Name folders that `nonvacuous sweep run` wrote to.")
        for path in sorted(rows.glob("*/*.parquet")):
            target = out / "rows" / path.parent.name / path.name
            if not sound_rows(path):
                damaged.append(str(path))
            elif target.exists() and sound_rows(target):
                present += 1
            else:
                write_atomically(target, path.read_bytes())
                copied += 1
    return Collected(copied, present, tuple(damaged))


def _tasks(
    catalogue: Sequence[Result], out: Path, names: Iterable[str], budget: Budget, device: str, seed: int, shard: Shard
) -> tuple[list[Task], int]:
    if budget not in BUDGETS:
        raise InvalidInput(f"budget is {budget!r}.", f"Choose one of {BUDGETS}.")
    missing, reused = missing_rows(select(catalogue, names), out, budget, seed, device)
    chosen = {i: task for pending in missing.values() for i, task in pending.items() if shard.has(i)}
    return [chosen[i] for i in sorted(chosen)], sum(shard.has(i) for i in reused)


def _remote(spec: Spec, experiment: Any, setting: Any, run: Any) -> Any:
    """On a worker: spec, rows and provenance for the client to write, or `Failed`."""
    found = guarded(spec.key, run_experiment, experiment, setting, run)
    return found if isinstance(found, Failed) else (spec, *found)
