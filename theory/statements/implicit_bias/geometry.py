"""Which norm or potential the nearest solution is measured in: metrics, mirror maps, diagonal networks."""

from __future__ import annotations

from ...statement import Statement

STATEMENTS: tuple[Statement, ...] = ()
