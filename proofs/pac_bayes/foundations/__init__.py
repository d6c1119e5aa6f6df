"""Relative entropy, its inverses, and the constants that PAC-Bayes bounds pay."""

from __future__ import annotations

from ...result import Result
from . import change_of_measure, kl_inverse, maurer

RESULTS: tuple[Result, ...] = (change_of_measure.RESULT, kl_inverse.RESULT, maurer.RESULT)
