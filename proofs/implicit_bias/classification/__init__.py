"""Variational classification without a divergence term, in teaching order."""

from ...result import Result

RESULTS: tuple[Result, ...] = ()
