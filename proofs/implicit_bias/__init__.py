"""Implicit bias of gradient descent, theme by theme in teaching order."""

from . import (
    classification,
    gaussian_family,
    geometry,
    least_squares,
    max_margin,
    predictive,
    regression,
    selection,
)

IMPLICIT_BIAS = (
    *least_squares.RESULTS,
    *geometry.RESULTS,
    *max_margin.RESULTS,
    *gaussian_family.RESULTS,
    *regression.RESULTS,
    *selection.RESULTS,
    *predictive.RESULTS,
    *classification.RESULTS,
)
