"""What selects another law, in teaching order."""

from ...result import Result

RESULTS: tuple[Result, ...] = ()
