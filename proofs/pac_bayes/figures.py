"""The figures of the area, by key."""

from __future__ import annotations

from collections.abc import Mapping

from ..drawing import Figure
from .diversity import figures as diversity
from .foundations import figures as foundations
from .held_out import figures as held_out
from .kl_bounds import figures as kl_bounds
from .large_deviations import figures as large_deviations
from .majority_vote import figures as majority_vote
from .time_uniform import figures as time_uniform
from .variance import figures as variance

PAC_BAYES_FIGURES: Mapping[str, Figure] = {
    **foundations.FIGURES,
    **held_out.FIGURES,
    **kl_bounds.FIGURES,
    **variance.FIGURES,
    **majority_vote.FIGURES,
    **time_uniform.FIGURES,
    **large_deviations.FIGURES,
    **diversity.FIGURES,
}
