"""Beyond KL: Renyi, chi-square, Wasserstein, one draw from the posterior, mutual information."""

from __future__ import annotations

from ...result import Result

RESULTS: tuple[Result, ...] = ()
