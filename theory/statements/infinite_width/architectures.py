"""Kernels of convolutions, residual branches, normalisation and attention: the statements."""

from __future__ import annotations

from ...statement import Statement

STATEMENTS: tuple[Statement, ...] = ()
