"""One fixed predictor, countable classes and codes: test-set bounds, Occam, compression."""

from __future__ import annotations

from ...result import Result

RESULTS: tuple[Result, ...] = ()
