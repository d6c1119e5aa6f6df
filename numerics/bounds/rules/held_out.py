"""Verifying certificates: test-set, Occam and compression bounds."""

from __future__ import annotations

from .rule import Rule

RULES: dict[str, Rule] = {}
