"""Verifying certificates: bounds for unbounded losses."""

from __future__ import annotations

from .rule import Rule

RULES: dict[str, Rule] = {}
