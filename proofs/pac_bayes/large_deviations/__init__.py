"""Unbounded losses: cumulants, rate functions, PAC-Chernoff and PAC-Bayes-Chernoff bounds."""

from __future__ import annotations

from ...result import Result
from . import (
    alquier,
    cgf_estimation,
    cramer,
    germain_nll,
    pac_chernoff,
    pbc,
    pbc_alpha,
    pbc_oracle,
    second_moment,
    sg_mixture,
    sg_mixture_one_sided,
    smooth_levers,
)

RESULTS: tuple[Result, ...] = (
    cramer.RESULT,
    cgf_estimation.RESULT,
    pac_chernoff.RESULT,
    smooth_levers.RESULT,
    pbc.RESULT,
    pbc_oracle.RESULT,
    pbc_alpha.RESULT,
    sg_mixture.RESULT,
    sg_mixture_one_sided.RESULT,
    second_moment.RESULT,
    alquier.RESULT,
    germain_nll.RESULT,
)
