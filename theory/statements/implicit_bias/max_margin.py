"""Separable classification: the direction that descent takes, its constant term, and other geometries."""

from __future__ import annotations

from ...statement import Statement

STATEMENTS: tuple[Statement, ...] = ()
