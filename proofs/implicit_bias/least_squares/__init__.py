"""Descent on least squares, in teaching order."""

from ...result import Result
from . import mini_batches, minimum_norm, momentum, trajectory

RESULTS: tuple[Result, ...] = (minimum_norm.RESULT, trajectory.RESULT, momentum.RESULT, mini_batches.RESULT)
