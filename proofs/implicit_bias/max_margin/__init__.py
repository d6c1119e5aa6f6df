"""Separable classification, in teaching order."""

from ...result import Result
from . import direction, mini_batches, other_norms, residual

RESULTS: tuple[Result, ...] = (direction.RESULT, residual.RESULT, mini_batches.RESULT, other_norms.RESULT)
