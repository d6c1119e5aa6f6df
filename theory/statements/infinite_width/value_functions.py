"""Uncertainty of value functions and contextual similarity distillation: the statements."""

from __future__ import annotations

from ...statement import Statement

STATEMENTS: tuple[Statement, ...] = ()
