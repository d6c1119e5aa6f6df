"""Verifying certificates: bounds beyond KL."""

from __future__ import annotations

from .rule import Rule

RULES: dict[str, Rule] = {}
