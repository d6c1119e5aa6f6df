"""Which norm or potential the nearest solution is measured in, in teaching order."""

from ...result import Result

RESULTS: tuple[Result, ...] = ()
