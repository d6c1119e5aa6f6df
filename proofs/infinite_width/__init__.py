"""Infinite width, theme by theme in teaching order."""

from . import (
    architectures,
    bayesian_distillation,
    distillation,
    dynamics,
    finite_training,
    finite_width,
    kernels,
    neighbours,
    posteriors,
    value_functions,
)

INFINITE_WIDTH = (
    *kernels.RESULTS,
    *architectures.RESULTS,
    *finite_width.RESULTS,
    *dynamics.RESULTS,
    *posteriors.RESULTS,
    *distillation.RESULTS,
    *bayesian_distillation.RESULTS,
    *finite_training.RESULTS,
    *value_functions.RESULTS,
    *neighbours.RESULTS,
)
