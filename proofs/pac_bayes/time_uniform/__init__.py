"""Bounds that hold at all sample sizes at once: universal portfolios, betting, supermartingales."""

from __future__ import annotations

from ...result import Result

RESULTS: tuple[Result, ...] = ()
