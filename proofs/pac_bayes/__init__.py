"""PAC-Bayes and large deviations, theme by theme in teaching order."""

from . import (
    diversity,
    foundations,
    held_out,
    kl_bounds,
    large_deviations,
    majority_vote,
    other_divergences,
    time_uniform,
    variance,
)

PAC_BAYES = (
    *foundations.RESULTS,
    *held_out.RESULTS,
    *kl_bounds.RESULTS,
    *variance.RESULTS,
    *majority_vote.RESULTS,
    *time_uniform.RESULTS,
    *other_divergences.RESULTS,
    *large_deviations.RESULTS,
    *diversity.RESULTS,
)
