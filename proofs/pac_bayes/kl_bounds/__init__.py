"""Bounds on the Gibbs risk through the binary relative entropy, and their relaxations."""

from __future__ import annotations

from ...result import Result
from . import data_prior, monte_carlo, seeger

RESULTS: tuple[Result, ...] = (seeger.RESULT, monte_carlo.RESULT, data_prior.RESULT)
