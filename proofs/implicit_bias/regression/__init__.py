"""Variational regression, in teaching order."""

from ...result import Result
from . import ensemble, fixed_noise, nearest_law, sampled, stability

RESULTS: tuple[Result, ...] = (
    nearest_law.RESULT,
    sampled.RESULT,
    stability.RESULT,
    fixed_noise.RESULT,
    ensemble.RESULT,
)
