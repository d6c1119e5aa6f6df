"""The law of predictions: function space, and wide networks near their linearisation."""

from __future__ import annotations

from ...statement import Statement

STATEMENTS: tuple[Statement, ...] = ()
