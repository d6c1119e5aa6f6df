"""Bounds that hold at all sample sizes at once: universal portfolios, betting, supermartingales."""

from __future__ import annotations

from ...result import Result
from . import betting_interval, betting_pac_bayes, kl_anytime, krichevsky_trofimov, supermartingale

RESULTS: tuple[Result, ...] = (
    krichevsky_trofimov.RESULT,
    kl_anytime.RESULT,
    betting_interval.RESULT,
    betting_pac_bayes.RESULT,
    supermartingale.RESULT,
)
