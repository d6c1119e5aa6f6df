"""From Gibbs risk to the majority vote: oracle inequalities and their certificates."""

from __future__ import annotations

from ...result import Result

RESULTS: tuple[Result, ...] = ()
