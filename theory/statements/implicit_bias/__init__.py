"""Implicit bias: the statements, theme by theme in teaching order."""

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

STATEMENTS = (
    *least_squares.STATEMENTS,
    *geometry.STATEMENTS,
    *max_margin.STATEMENTS,
    *gaussian_family.STATEMENTS,
    *regression.STATEMENTS,
    *selection.STATEMENTS,
    *predictive.STATEMENTS,
    *classification.STATEMENTS,
)
