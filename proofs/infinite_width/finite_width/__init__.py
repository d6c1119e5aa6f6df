"""Exact facts at finite width."""

from . import moments, unbiased

RESULTS = (
    *unbiased.RESULTS,
    *moments.RESULTS,
)
