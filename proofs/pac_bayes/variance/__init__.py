"""Bounds that see the spread of the losses: Bernstein forms, vector relative entropies, recursive priors."""

from __future__ import annotations

from ...result import Result
from . import empirical_bernstein, recursive, split_kl, unexpected_bernstein, vector_kl

RESULTS: tuple[Result, ...] = (
    empirical_bernstein.RESULT,
    unexpected_bernstein.RESULT,
    split_kl.RESULT,
    vector_kl.RESULT,
    recursive.RESULT,
)
