"""Verifying certificates: bounds that hold at all sample sizes."""

from __future__ import annotations

from .rule import Rule

RULES: dict[str, Rule] = {}
