"""The law of predictions, in teaching order."""

from ...result import Result
from . import function_space, maximal_update

RESULTS: tuple[Result, ...] = (function_space.RESULT, maximal_update.RESULT)
