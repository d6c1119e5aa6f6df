"""Neighbouring theory of kernel regression: the statements."""

from __future__ import annotations

from ...statement import Statement

STATEMENTS: tuple[Statement, ...] = ()
