"""The status of a derivation, computed from its replay and from those of the results it uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..theory.axioms import AXIOMS
from ..theory.derivation import Axiom, Cited, StepReplay, Uses, replay
from .result import Result


@dataclass(frozen=True)
class DerivationStatus:
    """`replayed` when every machine step was discharged and none is cited, here and in every used result.

    `failed` counts steps that were not discharged, steps that rest on something outside the closed list of axioms or on a
    result that is not among `uses`, and those of the results used.
    """

    steps: tuple[StepReplay, ...]
    axioms: tuple[str, ...]
    cited_steps: int
    failed: int

    @property
    def text(self) -> str:
        if self.failed:
            return f"failed steps: {self.failed}"
        if self.cited_steps or not self.steps:
            return f"cited steps: {self.cited_steps}" if self.cited_steps else "not derived"
        return "replayed from axioms {" + ", ".join(self.axioms) + "}"

    def as_json(self) -> dict[str, Any]:
        return {
            "status": self.text,
            "axioms": list(self.axioms),
            "cited_steps": self.cited_steps,
            "failed": self.failed,
            "steps": [asdict(step) for step in self.steps],
        }


def used_results(result: Result) -> tuple[Result, ...]:
    """The result and everything it rests on, each once, foundations first."""
    found: dict[int, Result] = {}

    def visit(node: Result) -> None:
        for used in node.uses:
            visit(used)
        found.setdefault(id(node), node)

    visit(result)
    return tuple(found.values())


def replay_all(result: Result) -> list[StepReplay]:
    """Replay a result's own steps."""
    return [replay(step) for step in result.derivation]


def derive(result: Result, replayed: Callable[[Result], Sequence[StepReplay]] = replay_all) -> DerivationStatus:
    """The status of `result`. `replayed` supplies the replays of one result's own steps (from a cache, for example)."""
    axioms: dict[str, None] = {}
    cited = failed = 0
    own: Sequence[StepReplay] = ()
    for node in used_results(result):
        own = replayed(node)  # the result itself comes last
        failed += sum(step.ok is False for step in own)
        for step in node.derivation:
            match step:
                case Axiom():
                    axioms[step.axiom.name] = None
                    failed += step.axiom not in AXIOMS
                case Uses():
                    failed += not any(step.result is used for used in node.uses)
                case Cited():
                    cited += 1
        if node is not result:
            # an empty derivation proves nothing: what is built on it is not replayed either
            cited += not node.derivation
    return DerivationStatus(tuple(own), tuple(axioms), cited, failed)
