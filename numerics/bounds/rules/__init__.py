"""The rules by which saved certificates are verified in ball arithmetic, theme by theme."""

from __future__ import annotations

from . import (
    diversity,
    held_out,
    information,
    kernel_ball,
    kl_bounds,
    large_deviations,
    majority_vote,
    other_divergences,
    time_uniform,
    variance,
)
from .rule import Rule

RULES: dict[str, Rule] = {
    **diversity.RULES,
    **held_out.RULES,
    **information.RULES,
    **kernel_ball.RULES,
    **kl_bounds.RULES,
    **large_deviations.RULES,
    **majority_vote.RULES,
    **other_divergences.RULES,
    **time_uniform.RULES,
    **variance.RULES,
}

__all__ = ["RULES", "Rule"]
