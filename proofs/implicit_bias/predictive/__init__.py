"""The law of predictions, in teaching order."""

from ...result import Result
from . import function_space, maximal_update, wide_networks

RESULTS: tuple[Result, ...] = (function_space.RESULT, wide_networks.RESULT, maximal_update.RESULT)
