"""Variational classification without a divergence term: the limit law, its rates and its conditions."""

from __future__ import annotations

from ...statement import Statement

STATEMENTS: tuple[Statement, ...] = ()
