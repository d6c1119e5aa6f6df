"""What theory says of a linear model before it is trained: which theorem applies, the law it predicts, its rate, and what it does not say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...theory.errors import AssumptionViolated
from .facts import Fact
from .gaussian_law import GaussianLaw


@dataclass(frozen=True)
class Claim:
    """Something a theorem of the catalogue (by key) says about this problem."""

    theorem: str
    says: str


@dataclass(frozen=True)
class Refusal:
    """Something that is not claimed, the theorem that would be broken, and why."""

    theorem: str
    claim: str
    because: str


@dataclass(frozen=True)
class Rate:
    """How fast the law approaches its limit.

    "per step": W2 shrinks by `factor` each step, in the long run if `eventually`, else from the first one; "mean square
    per step": the expected square of the distance does; "power of time": the trained part of the factor falls like
    t^-factor.
    """

    kind: Literal["per step", "mean square per step", "power of time"]
    factor: float
    eventually: bool = False

    def __str__(self) -> str:
        if self.kind == "power of time":
            return f"the trained part of the factor falls like t^-{self.factor:.6g}"
        what = "the distance" if self.kind == "per step" else "the expected squared distance"
        when = "in the long run" if self.eventually else "from the first one on"
        return f"{what} shrinks by a factor of {self.factor:.6g} per step, {when}"


@dataclass(frozen=True, eq=False)
class Assessment:
    """Facts about data and optimiser, what follows from them, and what does not.

    law: where training ends in regression; in classification the law of w - w_hat log t. None where none is claimed.
    """

    facts: tuple[Fact, ...]
    claims: tuple[Claim, ...]
    refusals: tuple[Refusal, ...]
    law: GaussianLaw | None
    rate: Rate | None

    def fact(self, name: str) -> Fact:
        """The fact of that name. Raises `LookupError`."""
        for fact in self.facts:
            if fact.name == name:
                return fact
        raise LookupError(name)

    def claimed(self, theorem: str) -> bool:
        """Is something claimed by this theorem?"""
        return any(claim.theorem == theorem for claim in self.claims)

    def require_law(self) -> GaussianLaw:
        """The predicted law. Raises `AssumptionViolated`, naming the broken theorem, where none is claimed."""
        if self.law is None:
            refusal = self.refusals[0]
            raise AssumptionViolated(f"{refusal.theorem}: {refusal.claim} is not claimed: {refusal.because}.")
        return self.law

    def __str__(self) -> str:
        lines = [f"{fact.name:22s} {fact.answer.value}: {fact.says}" for fact in self.facts]
        lines += [f"{claim.theorem:22s} says: {claim.says}" for claim in self.claims]
        if self.rate is not None:
            lines.append(f"{'rate':22s} {self.rate}")
        lines += [f"{no.theorem:22s} not claimed: {no.claim}; {no.because}" for no in self.refusals]
        return "\n".join(lines)
