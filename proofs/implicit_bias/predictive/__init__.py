"""The law of predictions, in teaching order."""

from ...result import Result

RESULTS: tuple[Result, ...] = ()
