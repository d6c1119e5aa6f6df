"""Bayesian random network distillation."""

from . import breaks, error_law, noise, sampling, target

RESULTS = (target.RESULT, error_law.RESULT, noise.RESULT, sampling.RESULT, breaks.RESULT)
