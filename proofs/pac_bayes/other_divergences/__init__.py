"""Beyond KL: Renyi, chi-square, Wasserstein, one draw from the posterior, mutual information."""

from __future__ import annotations

from ...result import Result
from . import chi_square, information, one_draw, renyi, wasserstein

RESULTS: tuple[Result, ...] = (
    one_draw.RESULT,
    renyi.RESULT,
    chi_square.RESULT,
    wasserstein.RESULT,
    *information.RESULTS,
)
