"""The Gaussian family N(mu, S S^T): expected losses and their gradients, the flow they induce, the distance W2."""

from __future__ import annotations

from ...statement import Statement

STATEMENTS: tuple[Statement, ...] = ()
