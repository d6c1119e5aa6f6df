"""What a verification has to measure: the specs of every check and control, and which of their rows are missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..numerics.digests import code_digest, content_digest, label, source_modules
from ..numerics.randomness import sub_seed
from ..numerics.store import Spec, has_rows
from ..theory.errors import UnknownKey, did_you_mean
from .result import Budget, Check, Result, Run

Task = tuple[Spec, Any, Any, Run]
Known = dict[tuple[int, int, int], list[list[Task]]]  # specs by the identity of experiment, settings and plan


def select(catalogue: Sequence[Result], names: Iterable[str] = ()) -> tuple[Result, ...]:
    """The results that `names` (keys or areas) denote, in catalogue order; everything when no name is given."""
    wanted = tuple(names)
    known = {result.key for result in catalogue} | {result.statement.area for result in catalogue}
    for name in wanted:
        if name not in known:
            advice = did_you_mean(name, known, "`nonvacuous list` shows the keys.")
            raise UnknownKey(f"{name!r} is neither a result nor an area.", advice)
    return tuple(r for r in catalogue if not wanted or r.key in wanted or r.statement.area in wanted)


def specs(
    result: Result, check: Check, budget: Budget, seed: int, device: str, known: Known | None = None
) -> list[list[Task]]:
    """For each setting of a check, the specs of its blocks. Checks and controls with the same experiment share rows.

    `known` keeps what was found for variants of this result, budget, seed and device: most differ in their prediction alone.
    """
    same = id(check.experiment), id(check.settings), id(check.plan)  # parts of `result`, which outlives `known`
    if known is not None and same in known:
        return known[same]
    groups = _specs(result, check, budget, seed, device)
    if known is not None:
        known[same] = groups
    return groups


def _specs(result: Result, check: Check, budget: Budget, seed: int, device: str) -> list[list[Task]]:
    if check.experiment is None:
        return [[] for _ in check.settings.of(budget)]
    code = code_digest(source_modules([check.experiment]))
    name, experiment = content_digest(check.experiment), label(check.experiment)
    blocks = [(block, content_digest(dict(block))) for block in check.plan.of(budget)]
    groups = []
    for setting in check.settings.of(budget):
        tasks: list[Task] = []
        content = content_digest(setting)
        for block, block_content in blocks:
            identity = content, block_content
            run = Run(block, sub_seed(seed, result.key, experiment, *identity), device)
            tasks.append(
                (Spec(result.key, name, *identity, seed, run.dtype, device, code), check.experiment, setting, run)
            )
        groups.append(tasks)
    return groups


def missing_rows(
    results: Sequence[Result], out: Path, budget: Budget, seed: int, device: str
) -> tuple[dict[str, dict[str, Task]], set[str]]:
    """By result and identity, what is not in the store yet; and the identities of what is."""
    missing: dict[str, dict[str, Task]] = {}
    reused: set[str] = set()
    for result in results:
        known: Known = {}
        for variant in variants(result):
            for task in (task for group in specs(result, variant, budget, seed, device, known) for task in group):
                identity = task[0].identity
                if identity in reused or identity in missing.get(result.key, ()):
                    continue  # shared by a check and its controls
                if has_rows(out, task[0]):
                    reused.add(identity)
                else:
                    missing.setdefault(result.key, {})[identity] = task
    return missing, reused


def variants(result: Result) -> list[Check]:
    """Every check, each followed by its controls."""
    return [v for check in result.checks for v in (check, *(control.apply(check) for control in check.controls))]


def row_specs(result: Result, budget: Budget, seed: int, device: str, known: Known | None = None) -> dict[str, Spec]:
    """By identity, sorted, every row file that the verdict rests on."""
    known = {} if known is None else known
    found = {
        spec.identity: spec
        for v in variants(result)
        for group in specs(result, v, budget, seed, device, known)
        for spec, *_ in group
    }
    return dict(sorted(found.items()))
