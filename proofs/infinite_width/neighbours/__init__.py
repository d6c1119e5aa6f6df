"""Neighbouring theory of kernel regression."""

from . import (
    alignment,
    cross_validation,
    eigenlearning,
    fine_grained,
    gaussian_process,
    lazy,
    ridgeless,
    spectral_bias,
    stochastic_layer,
)

RESULTS = (
    gaussian_process.RESULT,
    eigenlearning.RESULT,
    cross_validation.RESULT,
    ridgeless.RESULT,
    alignment.RESULT,
    fine_grained.RESULT,
    stochastic_layer.RESULT,
    spectral_bias.RESULT,
    lazy.RESULT,
)
