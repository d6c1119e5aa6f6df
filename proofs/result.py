"""The objects a proof file is made of: `Result`, its `Check`s and their `Control`s. Frozen records without behaviour."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ..numerics.claims import Claim, Evidence, Formula
from ..numerics.store import Rows
from ..theory.derivation import STEP_FUNCTIONS, Step
from ..theory.errors import InvalidInput
from ..theory.statement import Kind, Statement

Budget = Literal["quick", "standard", "full"]
BUDGETS: tuple[Budget, ...] = ("quick", "standard", "full")
Block = Mapping[str, Any]
Drawn = Callable[[], tuple[Any, ...]]


@dataclass(frozen=True)
class Run:
    """What an experiment is told besides its setting: one block of its plan, an explicit seed and the device."""

    block: Block
    seed: int
    device: str = "cpu"
    dtype: str = "float64"


@dataclass(frozen=True)
class ByBudget:
    """Something for each budget; what is not given is that of the next smaller one.

    What takes time to draw is given as a function of nothing, called once, when it is first asked for: importing a proof is quick.
    It must not come out empty.
    """

    quick: Any  # a tuple, as nearly always, or a function: read it with `of`
    standard: tuple[Any, ...] | Drawn | None = None
    full: tuple[Any, ...] | Drawn | None = None

    def of(self, budget: Budget) -> tuple[Any, ...]:
        given = self._given(budget)
        return _drawn(given) if callable(given) else given

    def some(self, budget: Budget) -> bool:
        """Whether the budget has anything, without drawing it."""
        given = self._given(budget)
        return callable(given) or bool(given)

    def _given(self, budget: Budget) -> tuple[Any, ...] | Drawn:
        standard = self.quick if self.standard is None else self.standard
        return {"quick": self.quick, "standard": standard, "full": standard if self.full is None else self.full}[budget]


@functools.cache
def _drawn(draw: Drawn) -> tuple[Any, ...]:
    return tuple(draw())


@dataclass(frozen=True)
class Control:
    """A wrong variant of a check that must be refuted. `changes` replace fields of the check: `predict` (a constant off, a
    term dropped), `experiment`, `compare` or `claim` (an assumption broken, another parametrisation, a mutated function).
    """

    name: str
    changes: Mapping[str, Any]

    def apply(self, check: Check) -> Check:
        return replace(check, name=f"{check.name} / {self.name}", controls=(), **self.changes)


@dataclass(frozen=True)
class Check:
    """One claim, how it is measured, and what it must be able to refute.

    `settings`: the theorem's inputs, for each budget. `experiment(setting, run) -> rows` does the expensive part, once
    for every block of `plan` (a width, a batch of seeds), and never sees a prediction; None when everything is exact.
    `compare(setting, prediction, rows) -> evidence` is cheap and pure; `rows` are those of all blocks, one after the
    other, with the block's own entries as further columns. A `Formula` needs neither. A check whose settings are empty at
    a budget is not run at it: what takes long belongs to the larger ones.
    """

    name: str
    claim: Claim
    settings: ByBudget = field(default_factory=lambda: ByBudget(quick=()))
    compare: Callable[[Any, Any, Rows], Evidence] | None = None
    experiment: Callable[[Any, Run], Mapping[str, Any]] | None = None
    plan: ByBudget = field(default_factory=lambda: ByBudget(quick=({},)))
    controls: tuple[Control, ...] = ()
    predict: Callable[[Any], Any] | None = None  # where it is not the result's

    def __post_init__(self) -> None:
        if not isinstance(self.claim, Formula) and (self.compare is None or not self.settings.some("full")):
            raise InvalidInput(
                f"The check {self.name!r} has no settings or no `compare`.", "Only a Formula can do without."
            )

    def runs_at(self, budget: Budget) -> bool:
        """Whether this budget has anything for it."""
        return isinstance(self.claim, Formula) or self.settings.some(budget)


@dataclass(frozen=True)
class Result:
    """A statement with what it rests on, how it is derived, what it predicts and how that is checked.

    `example` is one runnable setting, shown by `nonvacuous show` and used by `nonvacuous predict`.
    """

    statement: Statement
    predict: Callable[[Any], Any]
    example: Any
    checks: tuple[Check, ...]
    uses: tuple[Result, ...] = ()
    derivation: tuple[Step, ...] = ()
    figure: Callable[[Mapping[str, Any], Any], None] | None = None
    notebook: str | None = None

    def __post_init__(self) -> None:
        key = self.statement.key
        if self.statement.kind in (Kind.DEFINITION, Kind.ALGORITHM):
            raise InvalidInput(
                f"{key} is a {self.statement.kind}.", "Nothing about it can be refuted: list it with the statements."
            )
        if not self.checks or not all(check.controls for check in self.checks):
            raise InvalidInput(
                f"{key} has a check without a control.", "Add a wrong variant that the check must refute."
            )
        if not any(check.runs_at("quick") for check in self.checks):
            raise InvalidInput(f"{key} has no check for the quick budget.", "Give one of them settings for it.")

    @property
    def key(self) -> str:
        return self.statement.key


def functions_of(result: Result) -> tuple[Callable[..., Any], ...]:
    """Every function that the verdict of a result rests on (for digests of the code)."""
    found: list[Callable[..., Any]] = [result.predict]
    for check in result.checks:
        for variant in (check, *(control.apply(check) for control in check.controls)):
            found += [f for f in (variant.compare, variant.experiment, variant.predict) if f is not None]
            if isinstance(variant.claim, Formula):
                claim = variant.claim
                found += [claim.expression, claim.shipped, claim.sample, claim.read, claim.width]
    found += [f for step in result.derivation for name in STEP_FUNCTIONS if callable(f := getattr(step, name, None))]
    for used in result.uses:
        found += functions_of(used)
    return tuple(found)
