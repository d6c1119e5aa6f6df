"""What is claimed: a `Statement` says it in words and symbols, where it comes from, and what it assumes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .errors import InvalidInput

AREAS = {
    "pb": "pac_bayes",
    "iw": "infinite_width",
    "ib": "implicit_bias",
    "fs": "function_space",
    "vp": "variance_propagation",
    "us": "scaling_laws",
}


class Kind(StrEnum):
    """What sort of thing a statement is. Definitions and algorithms cannot be refuted, so they are never results."""

    DEFINITION = "definition"
    ALGORITHM = "algorithm"
    LEMMA = "lemma"
    IDENTITY = "identity"
    INEQUALITY = "inequality"
    CERTIFICATE = "certificate"
    ORACLE = "oracle"
    EXPECTATION = "expectation"
    LIMIT = "limit"
    EQUIVALENCE = "equivalence"
    OBJECTIVE = "objective"


class Answer(StrEnum):
    """Does an assumption hold for a given setting?"""

    HOLDS = "holds"
    VIOLATED = "violated"
    CANNOT_BE_CHECKED = "cannot be checked"


@dataclass(frozen=True)
class Assumption:
    """A hypothesis of a theorem. `test` answers for a setting; without one nobody can check it from the inputs."""

    name: str
    text: str
    test: Callable[[Any], bool] | None = None

    def answer(self, setting: Any) -> Answer:
        if self.test is None:
            return Answer.CANNOT_BE_CHECKED
        return Answer.HOLDS if self.test(setting) else Answer.VIOLATED


@dataclass(frozen=True)
class Source:
    """Where a statement comes from.

    `reference` is a key of the bibliography; `locator` a theorem or equation number ("" when unconfirmed); `deviation`
    says how ours differs; `provenance` (always given) is how we know the statement: "read" in the source, "derived" here,
    "standard" textbook knowledge, or "secondary": from code, abstracts or write-ups of others.
    """

    reference: str
    locator: str = ""
    deviation: str = ""
    provenance: str = ""

    PROVENANCES = ("read", "derived", "standard", "secondary")

    def __post_init__(self) -> None:
        if self.provenance not in self.PROVENANCES:
            raise InvalidInput(f"Provenance {self.provenance!r} is unknown.", f"Use one of {self.PROVENANCES}.")


@dataclass(frozen=True)
class Statement:
    """A claim as a reader meets it.

    `text` is plain English with formulas in backquotes, `latex` the formula for print, `function` the dotted name of the
    public function that computes it. Where `relation` gives the same formula in SymPy's syntax, the tests hold `latex`
    and the backquoted formula in `text` to it.
    """

    key: str
    title: str
    kind: Kind
    text: str
    latex: str
    source: tuple[Source, ...]
    assumptions: tuple[Assumption, ...] = ()
    function: str | None = None
    relation: str | None = None

    def __post_init__(self) -> None:
        prefix, _, name = self.key.partition(".")
        if prefix not in AREAS or not name:
            raise InvalidInput(
                f"The key {self.key!r} has no area.", f"Keys look like 'pb.kl'; areas are {', '.join(AREAS)}."
            )
        if not self.source:
            raise InvalidInput(
                f"{self.key} names no source.", "Cite where the statement comes from, or the derivation."
            )

    @property
    def area(self) -> str:
        """Long name of the area, for example `pac_bayes`."""
        return AREAS[self.key.partition(".")[0]]
