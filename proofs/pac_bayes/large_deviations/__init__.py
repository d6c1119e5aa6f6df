"""Unbounded losses: cumulants, rate functions, PAC-Chernoff and PAC-Bayes-Chernoff bounds."""

from __future__ import annotations

from ...result import Result
from . import cramer

RESULTS: tuple[Result, ...] = (cramer.RESULT,)
