"""Bounds that hold at all sample sizes at once: universal portfolios, betting, supermartingales."""

from __future__ import annotations

from ...statement import Statement

STATEMENTS: tuple[Statement, ...] = ()
