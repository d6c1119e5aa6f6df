"""Separable classification, in teaching order."""

from ...result import Result

RESULTS: tuple[Result, ...] = ()
