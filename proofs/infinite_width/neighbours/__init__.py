"""Neighbouring theory of kernel regression."""

from ...result import Result

RESULTS: tuple[Result, ...] = ()
