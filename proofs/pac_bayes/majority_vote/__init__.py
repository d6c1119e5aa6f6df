"""From Gibbs risk to the majority vote: oracle inequalities and their certificates."""

from __future__ import annotations

from ...result import Result
from . import chebyshev_cantelli, dirichlet, disagreement, first_and_second_order, interval_cbound, joint_cbound, oracle

RESULTS: tuple[Result, ...] = (
    *oracle.RESULTS,
    *first_and_second_order.RESULTS,
    disagreement.RESULT,
    interval_cbound.RESULT,
    joint_cbound.RESULT,
    chebyshev_cantelli.RESULT,
    dirichlet.RESULT,
)
