"""From stored rows to a verdict: every check and control of a result, its derivation, and what the verdict rests on."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..numerics.claims import Formula
from ..numerics.digests import code_digest, content_digest, source_modules
from ..numerics.plain import plain
from ..numerics.provenance import environment, peak_memory_mb
from ..numerics.randomness import generator
from ..numerics.store import Rows, read_provenance, read_rows, write_atomically
from ..numerics.verdict import SEPARATION, Outcome, judge, judge_formula, worst
from ..theory.derivation import STEP_FUNCTIONS, StepReplay, Uses, replay, step_kind
from ..theory.errors import InvalidInput
from . import planning
from .derivations import derive
from .planning import Task, row_specs, specs
from .result import Budget, Check, Result, functions_of

SCHEMA_VERSION = 1
SERIES_LENGTH = 400  # plotted points kept in a verdict


def judge_result(out: Path, result: Result, budget: Budget, seed: int, device: str) -> dict[str, Any]:
    """Judge every check and control of a result from stored rows, replay its derivation, and write the verdict."""
    start = time.perf_counter()
    modules = resting_modules(result)
    case = _Case(out, result, budget, seed, device)
    checks = [_judge_check(case, check) for check in result.checks if check.runs_at(budget)]
    rows = row_specs(result, budget, seed, device, case.specs)
    measured = [read_provenance(out, spec) for spec in rows.values()]
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
        "rows": list(rows),
        "content": content_digest(result),
        "code": {"modules": list(modules), "digest": code_digest(modules)},
    }
    write_atomically(verdict_path(out, result.key), (json.dumps(plain(verdict), allow_nan=False) + "\n").encode())
    return verdict


def standing_verdict(out: Path, result: Result, budget: Budget, seed: int, device: str) -> dict[str, Any] | None:
    """The stored verdict, if the same code, libraries, rows and run would only reach it again."""
    try:
        found = dict(json.loads(verdict_path(out, result.key).read_text(encoding="utf-8")))
        stored = [found[name] for name in ("budget", "seed", "device", "content", "rows")]
        wanted = [budget, seed, device, content_digest(result), list(row_specs(result, budget, seed, device))]
        same = stored == wanted and found["code"]["digest"] == code_digest(resting_modules(result))
        return found if same and _machine(found["provenance"]) == _machine(environment()) else None
    except (OSError, ValueError, KeyError, TypeError):  # absent, damaged or of another version: judged again
        return None


def resting_modules(result: Result) -> tuple[str, ...]:
    """The source that a verdict rests on: what the result's functions reach, and the code that judges."""
    judges = source_modules((judge, judge_formula, derive, replay))
    return tuple(sorted({*source_modules(functions_of(result)), *judges, planning.__name__, __name__}))


def _machine(provenance: Mapping[str, Any]) -> tuple[Any, ...]:
    return provenance["version"], provenance["python"], provenance["platform"], provenance["libraries"]


def verdict_path(out: Path, key: str) -> Path:
    return out / "verdicts" / f"{key}.json"


@dataclass(frozen=True)
class _Case:
    """One result before the judge, with what its checks and controls share: specs, rows and exact values are found once."""

    out: Path
    result: Result
    budget: Budget
    seed: int
    device: str
    specs: planning.Known = field(default_factory=dict)
    rows: dict[str, Rows] = field(default_factory=dict)
    formulas: dict[Any, Any] = field(default_factory=dict)


def _judge_check(case: _Case, check: Check) -> dict[str, Any]:
    outcome = _rule(case, check, mutated=False)
    controls: list[dict[str, Any]] = []
    for control in check.controls:
        # a mutated shipped function is judged alone: the unmutated `predict` would pass beside it
        mutated = "claim" in control.changes and "predict" not in control.changes
        found = _rule(case, control.apply(check), mutated=mutated)
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


def _rule(case: _Case, check: Check, *, mutated: bool) -> Outcome:
    predict = check.predict or case.result.predict
    if isinstance(check.claim, Formula):
        rng = generator(case.seed, case.result.key, "formula")
        return judge_formula(check.claim, predict, rng, shipped_only=mutated, known=case.formulas)
    assert check.compare is not None
    outcomes = []
    groups = specs(case.result, check, case.budget, case.seed, case.device, case.specs)
    for setting, tasks in zip(check.settings.of(case.budget), groups, strict=True):
        rows = _collect(case, tasks)
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


def _collect(case: _Case, tasks: Sequence[Task]) -> Rows:
    """The rows of all blocks of one setting, one after the other, copied; entries of the block become columns."""
    parts = []
    for spec, _, _, run in tasks:
        rows = case.rows.get(spec.identity) or read_rows(case.out, spec)
        if rows is None:
            raise InvalidInput(
                f"Rows of {spec.key} are not in {case.out}: the code was edited, or the folder changed, during the run.",
                "Run the verification again.",
            )
        case.rows[spec.identity] = rows
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
    write_atomically(path, json.dumps([asdict(step) for step in steps]).encode(), durable=False)
    return steps


def _thin(value: Any) -> Any:
    if isinstance(value, list) and len(value) > SERIES_LENGTH:
        return [value[i] for i in np.linspace(0, len(value) - 1, SERIES_LENGTH).astype(int)]
    return value
