"""Variational classification without a divergence term, in teaching order."""

from ...result import Result
from . import limit_law, logistic, one_example, predictions, rates, safe_step, spanning

RESULTS: tuple[Result, ...] = (
    limit_law.RESULT,
    rates.RESULT,
    logistic.RESULT,
    spanning.RESULT,
    one_example.RESULT,
    safe_step.RESULT,
    predictions.ENSEMBLE,
    predictions.OVERCONFIDENCE,
)
