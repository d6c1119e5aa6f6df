"""One fixed predictor, countable classes and codes: test-set bounds, Occam, compression."""

from __future__ import annotations

from ...result import Result
from . import binomial, chernoff, compression, hoeffding, occam, subsample

RESULTS: tuple[Result, ...] = (
    binomial.RESULT,
    chernoff.RESULT,
    hoeffding.RESULT,
    *occam.RESULTS,
    compression.RESULT,
    subsample.RESULT,
)
