"""Bounds that see the spread of the losses: Bernstein forms, vector relative entropies, recursive priors."""

from __future__ import annotations

from ...statement import Statement

STATEMENTS: tuple[Statement, ...] = ()
