"""One fixed predictor, countable classes and codes: test-set bounds, Occam, compression."""

from __future__ import annotations

from ...statement import Statement

STATEMENTS: tuple[Statement, ...] = ()
