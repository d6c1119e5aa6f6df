"""Bayesian random network distillation."""

from ...result import Result

RESULTS: tuple[Result, ...] = ()
