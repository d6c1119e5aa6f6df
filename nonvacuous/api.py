"""`nv.verify`: the catalogue from Python."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import InvalidInput, NonvacuousError
from .numerics.verdict import Ruling, worst
from .proofs.result import Budget, Result
from .proofs.verification import Failed, Judged, Postponed
from .proofs.verification import verify as events
from .shipped import DEFAULT_OUT


@dataclass(frozen=True)
class Verdict:
    """What a verification found. `results` holds one record per result, as stored; `passed` is the whole of it in one word."""

    results: tuple[dict[str, Any], ...]
    out: Path

    @property
    def passed(self) -> bool:
        """Everything supported, every control refuted, every derivation step discharged."""
        return (
            self.ruling == "supported"
            and self.controls_refuted
            and not any(r["derivation"]["failed"] for r in self.results)
        )

    @property
    def ruling(self) -> Ruling:
        """The worst of its results. Evidence only: it says nothing of the controls."""
        return worst([record["verdict"] for record in self.results])

    @property
    def controls_refuted(self) -> bool:
        """Whether every wrong variant was caught. If not, the checks cannot see what they claim to."""
        return all(record["controls_refuted"] for record in self.results)

    def __str__(self) -> str:
        lines = []
        for record in self.results:
            lines.append(f"{record['key']}: {record['verdict']}, {record['derivation']['status']}")
            for check in record["checks"]:
                caught = sum(control["verdict"] == "refuted" for control in check["controls"])
                lines.append(
                    f"  {check['verdict']}: {check['name']} ({caught} of {len(check['controls'])} controls refuted)"
                )
                lines.append(f"    {check['detail']}; {check['power']}")
                lines += [f"    CONTROL SURVIVED: {c['name']}" for c in check["controls"] if c["verdict"] != "refuted"]
            lines += [
                f"  not begun at the {record['budget']} budget: {name}" for name in record.get("larger_budgets", ())
            ]
        return "\n".join(lines)


def pick_device(device: str) -> str:
    """ "auto" is the first CUDA device where torch sees one, else the CPU; anything else must exist."""
    if device == "cpu":
        return device
    try:
        import torch

        available = torch.cuda.is_available()
    except ImportError:
        available = False
    if device == "auto":
        return "cuda" if available else "cpu"
    if device.partition(":")[0] != "cuda" or not available:
        raise InvalidInput(
            f"There is no device {device!r} here.", "Use cpu, cuda (with a CUDA build of torch and a GPU) or auto."
        )
    return device


def device_to_judge(device: str, missing: Callable[[str], int]) -> str:
    """`pick_device`, except that a card which is elsewhere need not be here when there is nothing to measure: `missing(device)`
    counts the row files that are not there. Rows of a cluster with cards are judged on a machine without."""
    try:
        return pick_device(device)
    except InvalidInput:
        if re.fullmatch(r"cuda(:\d+)?", device) is None or missing(device):
            raise
    return device


def verify(
    *names: str,
    catalogue: Sequence[Result] | None = None,
    budget: Budget = "quick",
    device: str = "auto",
    seed: int = 0,
    out: str | Path = DEFAULT_OUT,
    jobs: int = 1,
) -> Verdict:
    """Verify results by key or area (everything without names). Rows are stored in `out` and reused while the code is unchanged.

    Raises `UnknownKey`, `StorageError`, or `NonvacuousError` with the first failure.
    """
    if catalogue is None:
        from .proofs.catalogue import CATALOGUE

        catalogue = CATALOGUE
    found: dict[str, dict[str, Any]] = {}
    for event in events(
        catalogue, names=names, out=Path(out), budget=budget, device=pick_device(device), seed=seed, jobs=jobs
    ):
        if isinstance(event, Failed):
            error = NonvacuousError(f"{event.key}: {event.problem}", event.trace)
            error.exit_code = event.exit_code
            raise error
        if isinstance(event, Judged):
            found[event.key] = dict(event.verdict)
        assert not isinstance(event, Postponed)
    return Verdict(tuple(found[result.key] for result in catalogue if result.key in found), Path(out))
