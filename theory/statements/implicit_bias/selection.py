"""What selects another law: explicit W2 or KL terms, metrics, and the parametrisation of the covariance."""

from __future__ import annotations

from ...statement import Statement

STATEMENTS: tuple[Statement, ...] = ()
