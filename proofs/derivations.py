"""The status of a derivation, computed from its replay and from those of the results it uses."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..theory.derivation import Axiom, Cited, StepReplay, Uses, replay
from .result import Result


@dataclass(frozen=True)
class DerivationStatus:
    """`replayed` when every machine step was discharged and none is cited, here and in every used result."""

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
    found: dict[str, Result] = {}

    def visit(node: Result) -> None:
        for used in node.uses:
            visit(used)
        found.setdefault(node.key, node)

    visit(result)
    return tuple(found.values())


def derive(result: Result) -> DerivationStatus:
    """Replay the derivation of `result`; axioms and cited steps of the results it uses count too."""
    own = tuple(replay(step) for step in result.derivation)
    axioms: dict[str, None] = {}
    cited = 0
    failed = sum(step.ok is False for step in own)
    for node in used_results(result):
        for step in node.derivation:
            if isinstance(step, Axiom):
                axioms[step.axiom.name] = None
            cited += isinstance(step, Cited)
        if node is not result:
            # an empty derivation proves nothing: what is built on it is not replayed either
            cited += not node.derivation
    mentioned = {step.result.key for step in result.derivation if isinstance(step, Uses)}
    if mentioned - {used.key for used in result.uses}:
        failed += 1
    return DerivationStatus(own, tuple(axioms), cited, failed)
