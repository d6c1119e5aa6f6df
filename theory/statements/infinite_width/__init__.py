"""Infinite width: the statements, theme by theme in teaching order."""

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

STATEMENTS = (
    *kernels.STATEMENTS,
    *architectures.STATEMENTS,
    *finite_width.STATEMENTS,
    *dynamics.STATEMENTS,
    *posteriors.STATEMENTS,
    *distillation.STATEMENTS,
    *bayesian_distillation.STATEMENTS,
    *finite_training.STATEMENTS,
    *value_functions.STATEMENTS,
    *neighbours.STATEMENTS,
)
