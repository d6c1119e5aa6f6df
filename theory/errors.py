"""Typed errors: what was wrong, where, and what to do. Every one of them maps to a process exit code."""

from collections.abc import Iterable
from difflib import get_close_matches


class NonvacuousError(Exception):
    """Base of all errors that this package raises on purpose.

    `problem` says what was wrong and where; `advice` says what to do about it.
    """

    exit_code = 3

    def __init__(self, problem: str, advice: str = "") -> None:
        super().__init__(problem, advice)
        self.problem = problem
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.problem} {self.advice}".strip()


class InvalidInput(NonvacuousError, ValueError):
    """A value, shape or option is outside what the function accepts."""


class UnknownKey(NonvacuousError, LookupError):
    """No result, method or reference goes by that key."""


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """Advice for an unknown name: the known ones that resemble it, then where to find all of them."""
    tails = {key.partition(".")[2] or key: key for key in (*known,)}
    close = [tails[tail] for tail in get_close_matches(name.partition(".")[2] or name, tails, n=3, cutoff=0.6)]
    return f"Did you mean {' or '.join(close)}? {otherwise}" if close else otherwise


class DeltaOverspent(InvalidInput):
    """More confidence was spent than was declared, or the same event was paid for twice."""


class AssumptionViolated(InvalidInput):
    """The theorem does not apply to what was given."""


class MissingExtra(NonvacuousError, ImportError):
    """An optional dependency is needed and absent."""


class StorageError(NonvacuousError, OSError):
    """A file or folder could not be read or written."""


class NumericalFailure(NonvacuousError, ArithmeticError):
    """A computation could not reach the accuracy that it promises."""

    exit_code = 4
