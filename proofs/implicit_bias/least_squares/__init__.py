"""Descent on least squares, in teaching order."""

from ...result import Result
from . import minimum_norm

RESULTS: tuple[Result, ...] = (minimum_norm.RESULT,)
