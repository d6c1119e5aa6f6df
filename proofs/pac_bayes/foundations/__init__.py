"""Relative entropy, its inverses, and the constants that PAC-Bayes bounds pay."""

from __future__ import annotations

from ...result import Result
from . import change_of_measure, gibbs, hoeffding, kl_families, kl_inverse, maurer, multinomial_kl, nml, pinsker

RESULTS: tuple[Result, ...] = (
    change_of_measure.RESULT,
    gibbs.RESULT,
    kl_inverse.RESULT,
    maurer.RESULT,
    nml.RESULT,
    multinomial_kl.RESULT,
    kl_families.RESULT,
    hoeffding.RESULT,
    pinsker.RESULT,
)
