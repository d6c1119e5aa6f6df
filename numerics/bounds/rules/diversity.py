"""Verifying certificates: log-loss and diversity bounds."""

from __future__ import annotations

from .rule import Rule

RULES: dict[str, Rule] = {}
