"""Variational regression, in teaching order."""

from ...result import Result
from . import nearest_law

RESULTS: tuple[Result, ...] = (nearest_law.RESULT,)
