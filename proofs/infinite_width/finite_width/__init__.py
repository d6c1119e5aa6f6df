"""Exact facts at finite width."""

from ...result import Result

RESULTS: tuple[Result, ...] = ()
