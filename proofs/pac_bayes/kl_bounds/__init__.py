"""Bounds on the Gibbs risk through the binary relative entropy, and their relaxations."""

from __future__ import annotations

from ...result import Result
from . import (
    catoni,
    catoni_grid,
    catoni_uniform,
    data_prior,
    lambda_bound,
    master,
    mcallester,
    monte_carlo,
    pbb,
    relaxations,
    seeger,
    small_data,
)

RESULTS: tuple[Result, ...] = (
    master.RESULT,
    seeger.RESULT,
    monte_carlo.RESULT,
    data_prior.RESULT,
    mcallester.RESULT,
    relaxations.RESULT,
    lambda_bound.RESULT,
    catoni.RESULT,
    catoni_grid.GRID_RESULT,
    catoni_grid.CONTINUOUS_RESULT,
    catoni_uniform.RESULT,
    pbb.RESULT,
    small_data.RESULT,
)
