"""Exact facts about networks of finite width: the statements."""

from __future__ import annotations

from ...statement import Statement

STATEMENTS: tuple[Statement, ...] = ()
