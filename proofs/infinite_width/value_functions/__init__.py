"""Value functions and contextual similarity."""

from ...result import Result

RESULTS: tuple[Result, ...] = ()
