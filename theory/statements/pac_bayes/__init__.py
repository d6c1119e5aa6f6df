"""PAC-Bayes and large deviations: the statements, theme by theme in teaching order."""

from __future__ import annotations

from ...statement import Statement
from . import (
    diversity,
    foundations,
    held_out,
    inequalities,
    information,
    kl_bounds,
    large_deviations,
    majority_vote,
    other_divergences,
    time_uniform,
    variance,
)

STATEMENTS: tuple[Statement, ...] = (
    *foundations.STATEMENTS,
    *inequalities.STATEMENTS,
    *held_out.STATEMENTS,
    *kl_bounds.STATEMENTS,
    *variance.STATEMENTS,
    *majority_vote.STATEMENTS,
    *time_uniform.STATEMENTS,
    *other_divergences.STATEMENTS,
    *information.STATEMENTS,
    *large_deviations.STATEMENTS,
    *diversity.STATEMENTS,
)
