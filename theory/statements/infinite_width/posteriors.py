"""Posteriors of wide networks, and the training that samples from them: the statements."""

from __future__ import annotations

from ...statement import Statement

STATEMENTS: tuple[Statement, ...] = ()
