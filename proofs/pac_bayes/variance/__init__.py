"""Bounds that see the spread of the losses: Bernstein forms, vector relative entropies, recursive priors."""

from __future__ import annotations

from ...result import Result

RESULTS: tuple[Result, ...] = ()
