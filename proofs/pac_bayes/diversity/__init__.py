"""The log-loss of averaged models: second-order bounds, diversity, cold posteriors, and what ties them."""

from __future__ import annotations

from ...result import Result
from . import cold_posterior, ensembles, jensen, link, pac2, pac2_oracle

RESULTS: tuple[Result, ...] = (
    jensen.RESULT,
    ensembles.RESULT,
    cold_posterior.RESULT,
    link.RESULT,
    pac2.RESULT,
    pac2_oracle.RESULT,
)
