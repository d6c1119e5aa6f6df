"""From a catalogue to verdicts: plan the specs, measure what is missing, judge, and tell what happens as it happens."""

from __future__ import annotations

import datetime
import json
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..numerics.claims import Formula
from ..numerics.digests import code_digest, content_digest, label, source_modules
from ..numerics.executors import execute
from ..numerics.provenance import environment, peak_memory_mb
from ..numerics.randomness import generator, sub_seed
from ..numerics.store import Rows, Spec, has_rows, prepare, read_provenance, read_rows, write_atomically, write_rows
from ..numerics.verdict import SEPARATION, Outcome, judge, judge_formula, worst
from ..theory.derivation import STEP_FUNCTIONS, StepReplay, Uses, replay, step_kind
from ..theory.errors import InvalidInput, NonvacuousError, StorageError
from .derivations import derive
from .result import BUDGETS, Budget, Check, Result, Run, functions_of

SCHEMA_VERSION = 1
SERIES_LENGTH = 400  # plotted points kept in a verdict


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
Task = tuple[Spec, Any, Any, Run]


def select(catalogue: Sequence[Result], names: Iterable[str] = ()) -> tuple[Result, ...]:
    """The results that `names` (keys or areas) denote, in catalogue order; everything when no name is given."""
    wanted = tuple(names)
    known = {result.key for result in catalogue} | {result.statement.area for result in catalogue}
    for name in wanted:
        if name not in known:
            from ..theory.errors import UnknownKey

            raise UnknownKey(f"{name!r} is neither a result nor an area.", "`nonvacuous list` shows the keys.")
    return tuple(r for r in catalogue if not wanted or r.key in wanted or r.statement.area in wanted)


def specs(result: Result, check: Check, budget: Budget, seed: int, device: str) -> list[list[Task]]:
    """For each setting of a check, the specs of its blocks. Checks and controls with the same experiment share rows."""
    if check.experiment is None:
        return [[] for _ in check.settings.of(budget)]
    code = code_digest(source_modules([check.experiment]))
    name = content_digest(check.experiment)
    groups = []
    for setting in check.settings.of(budget):
        tasks: list[Task] = []
        for block in check.plan.of(budget):
            identity = content_digest(setting), content_digest(dict(block))
            run = Run(block, sub_seed(seed, result.key, label(check.experiment), *identity), device)
            tasks.append(
                (Spec(result.key, name, *identity, seed, run.dtype, device, code), check.experiment, setting, run)
            )
        groups.append(tasks)
    return groups


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


def missing_rows(
    results: Sequence[Result], out: Path, budget: Budget, seed: int, device: str
) -> tuple[dict[str, dict[str, Task]], set[str]]:
    """By result and identity, what is not in the store yet; and the identities of what is."""
    missing: dict[str, dict[str, Task]] = {}
    reused: set[str] = set()
    for result in results:
        for variant in _variants(result):
            for task in (task for group in specs(result, variant, budget, seed, device) for task in group):
                identity = task[0].identity
                if identity in reused or identity in missing.get(result.key, ()):
                    continue  # shared by a check and its controls
                if has_rows(out, task[0]):
                    reused.add(identity)
                else:
                    missing.setdefault(result.key, {})[identity] = task
    return missing, reused


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


def _variants(result: Result) -> list[Check]:
    return [v for check in result.checks for v in (check, *(control.apply(check) for control in check.controls))]


def perform(action: str, *arguments: Any) -> Event:
    """Run one task in this process."""
    if action == "measure":
        return guarded(arguments[1].key, measure, *arguments)
    return guarded(arguments[1].key, lambda *given: Judged(given[1].key, judge_result(*given)), *arguments)


def guarded(key: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """What `function` returns, or `Failed`: a worker that raises would end the whole pool."""
    try:
        return function(*arguments)
    except NonvacuousError as error:
        return Failed(key, str(error), error.exit_code, isinstance(error, StorageError), traceback.format_exc())
    except Exception as error:
        return Failed(key, f"{type(error).__name__}: {error}", 4, trace=traceback.format_exc())


def measure(out: Path, spec: Spec, experiment: Any, setting: Any, run: Run) -> Measured:
    """Run one experiment and store its rows with their provenance."""
    rows, provenance = run_experiment(experiment, setting, run)
    write_rows(out, spec, rows, provenance)
    return Measured(spec.key, provenance["seconds"])


def run_experiment(experiment: Any, setting: Any, run: Run) -> tuple[Rows, dict[str, Any]]:
    """The rows of one experiment, and who measured them, where and for how long."""
    start = time.perf_counter()
    rows = {name: np.atleast_1d(np.asarray(value)) for name, value in experiment(setting, run).items()}
    seconds = time.perf_counter() - start
    provenance = {
        **environment(),
        "seconds": seconds,
        "peak_memory_mb": peak_memory_mb(),
        "seed": run.seed,
        "block": dict(run.block),
        "device": run.device,
        "dtype": run.dtype,
    }
    return rows, provenance


def judge_result(out: Path, result: Result, budget: Budget, seed: int, device: str) -> dict[str, Any]:
    """Judge every check and control of a result from stored rows, replay its derivation, and write the verdict."""
    start = time.perf_counter()
    modules = resting_modules(result)
    checks = [
        _judge_check(out, result, check, budget, seed, device) for check in result.checks if check.runs_at(budget)
    ]
    rows = [spec for v in _variants(result) for group in specs(result, v, budget, seed, device) for spec, *_ in group]
    measured = [read_provenance(out, spec) for spec in {spec.identity: spec for spec in rows}.values()]
    verdict = {
        "schema_version": SCHEMA_VERSION,
        "key": result.key,
        "area": result.statement.area,
        "kind": str(result.statement.kind),
        "title": result.statement.title,
        "verdict": worst([check["verdict"] for check in checks]),
        "controls_refuted": all(c["verdict"] == "refuted" for check in checks for c in check["controls"]),
        "derivation": _derivation(out, result),
        "checks": checks,
        "larger_budgets": [check.name for check in result.checks if not check.runs_at(budget)],
        "budget": budget,
        "seed": seed,
        "device": device,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seconds": round(sum(m["seconds"] for m in measured) + time.perf_counter() - start, 3),
        "peak_memory_mb": round(max([peak_memory_mb(), *(m["peak_memory_mb"] for m in measured)])),
        "provenance": environment(),
        "rows": row_identities(result, budget, seed, device),
        "content": content_digest(result),
        "code": {"modules": list(modules), "digest": code_digest(modules)},
    }
    write_atomically(verdict_path(out, result.key), (json.dumps(finite(verdict), allow_nan=False) + "\n").encode())
    return verdict


def standing_verdict(out: Path, result: Result, budget: Budget, seed: int, device: str) -> dict[str, Any] | None:
    """The stored verdict, if the same code, libraries, rows and run would only reach it again."""
    try:
        found = dict(json.loads(verdict_path(out, result.key).read_text(encoding="utf-8")))
        stored = [found[name] for name in ("budget", "seed", "device", "content", "rows")]
        wanted = [budget, seed, device, content_digest(result), row_identities(result, budget, seed, device)]
        same = stored == wanted and found["code"]["digest"] == code_digest(resting_modules(result))
        return found if same and _machine(found["provenance"]) == _machine(environment()) else None
    except (OSError, ValueError, KeyError, TypeError):  # absent, damaged or of another version: judged again
        return None


def resting_modules(result: Result) -> tuple[str, ...]:
    """The source that a verdict rests on: what the result's functions reach, and the code that judges."""
    judges = source_modules((judge, judge_formula, derive, replay))
    return tuple(sorted({*source_modules(functions_of(result)), *judges, __name__}))


def _machine(provenance: Mapping[str, Any]) -> tuple[Any, ...]:
    return provenance["version"], provenance["python"], provenance["platform"], provenance["libraries"]


def row_identities(result: Result, budget: Budget, seed: int, device: str) -> list[str]:
    """Every row file that the verdict rests on."""
    found = {
        spec.identity
        for v in _variants(result)
        for group in specs(result, v, budget, seed, device)
        for spec, *_ in group
    }
    return sorted(found)


def verdict_path(out: Path, key: str) -> Path:
    return out / "verdicts" / f"{key}.json"


def _judge_check(out: Path, result: Result, check: Check, budget: Budget, seed: int, device: str) -> dict[str, Any]:
    known: dict[Any, Any] = {}
    outcome = _rule(out, result, check, budget, seed, device, known, mutated=False)
    controls: list[dict[str, Any]] = []
    for control in check.controls:
        # a mutated shipped function is judged alone: the unmutated `predict` would pass beside it
        mutated = "claim" in control.changes and "predict" not in control.changes
        found = _rule(out, result, control.apply(check), budget, seed, device, known, mutated=mutated)
        controls.append(
            {"name": control.name, "verdict": found.ruling, "statistic": found.statistic, "detail": found.detail}
        )
    ruling, power = outcome.ruling, outcome.power
    nearest = min(control["statistic"] for control in controls)
    if "enclosures" not in power and "exact" not in power:
        power += f"; the nearest control misses by {nearest:.3g} times what is allowed"
    sharp = type(check.claim).__name__ in ("Formula", "Agreement")
    if ruling == "supported" and sharp and nearest < SEPARATION:
        ruling = "inconclusive"
        power += f", less than the {SEPARATION:g} times that would tell them apart"
    return {
        "name": check.name,
        "claim": type(check.claim).__name__,
        "verdict": ruling,
        "statistic": outcome.statistic,
        "power": power,
        "detail": outcome.detail,
        "series": {name: _thin(value) for name, value in outcome.series.items()},
        "controls": controls,
    }


def _rule(
    out: Path,
    result: Result,
    check: Check,
    budget: Budget,
    seed: int,
    device: str,
    known: dict[Any, Any],
    *,
    mutated: bool,
) -> Outcome:
    predict = check.predict or result.predict
    if isinstance(check.claim, Formula):
        return judge_formula(
            check.claim, predict, generator(seed, result.key, "formula"), shipped_only=mutated, known=known
        )
    assert check.compare is not None
    outcomes = []
    for setting, tasks in zip(check.settings.of(budget), specs(result, check, budget, seed, device), strict=True):
        rows = _collect(out, tasks)
        outcomes.append(judge(check.claim, check.compare(setting, predict(setting), rows)))
    decisive = max(outcomes, key=lambda o: (("supported", "inconclusive", "refuted").index(o.ruling), o.statistic))
    if len(outcomes) == 1:
        return decisive
    return Outcome(
        decisive.ruling,
        decisive.statistic,
        decisive.power,
        f"{len(outcomes)} settings; worst: {decisive.detail}",
        decisive.series,
    )


def _collect(out: Path, tasks: Sequence[Task]) -> Rows:
    """The rows of all blocks of one setting, one after the other; entries of the block become columns."""
    parts = []
    for spec, _, _, run in tasks:
        rows = read_rows(out, spec)
        if rows is None:
            raise InvalidInput(
                f"Rows of {spec.key} are not in {out}: the code was edited, or the folder changed, during the run.",
                "Run the verification again.",
            )
        length = len(next(iter(rows.values())))
        parts.append({**{name: np.repeat(np.asarray(value), length) for name, value in run.block.items()}, **rows})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def _derivation(out: Path, result: Result) -> dict[str, Any]:
    """The status of a derivation from the replays of its own steps and of every result it uses."""
    return derive(result, lambda node: _replayed(out, node)).as_json()


def _replayed(out: Path, result: Result) -> list[StepReplay]:
    """A result's own steps, replayed, or as an earlier replay of the same steps by the same code left them."""
    functions = [
        f for step in result.derivation for f in (getattr(step, n, None) for n in STEP_FUNCTIONS) if callable(f)
    ]
    code = code_digest(source_modules([replay, *functions]))
    identity = content_digest([step for step in result.derivation if not isinstance(step, Uses)])
    path = out / "replays" / f"{result.key}-{code[:16]}-{identity[:16]}.json"
    try:
        found = [StepReplay(**step) for step in json.loads(path.read_text(encoding="utf-8"))]
        if [step.kind for step in found] == [step_kind(step) for step in result.derivation]:
            return found
    except (OSError, ValueError, TypeError):
        pass
    steps = [replay(step) for step in result.derivation]
    write_atomically(path, json.dumps([asdict(step) for step in steps]).encode())
    return steps


def _thin(value: Any) -> Any:
    if isinstance(value, list) and len(value) > SERIES_LENGTH:
        return [value[i] for i in np.linspace(0, len(value) - 1, SERIES_LENGTH).astype(int)]
    return value


def finite(value: Any) -> Any:
    """Plain JSON data: non-finite numbers become the strings "inf", "-inf" and "nan"; NumPy scalars become Python's."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, np.ndarray):
        return finite(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return "nan" if value != value else "inf" if value > 0 else "-inf"
    return value
