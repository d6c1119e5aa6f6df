"""Verifying certificates: majority-vote bounds."""

from __future__ import annotations

from .rule import Rule

RULES: dict[str, Rule] = {}
