"""Random network distillation."""

from . import (
    bayes_gap,
    error_law,
    head_independence,
    head_saturation,
    heads_chi2,
    linear_smoother,
    rnd,
    variants,
    wishart,
)

RESULTS = (
    error_law.RESULT,
    rnd.RESULT,
    linear_smoother.RESULT,
    variants.RESULT,
    bayes_gap.RESULT,
    head_independence.RESULT,
    heads_chi2.RESULT,
    wishart.RESULT,
    head_saturation.RESULT,
)
