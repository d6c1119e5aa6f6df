"""Verifying certificates: Bernstein forms, vector relative entropies and recursive priors."""

from __future__ import annotations

from .rule import Rule

RULES: dict[str, Rule] = {}
