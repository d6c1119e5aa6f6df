"""Implicit bias of gradient descent, in teaching order."""

from . import least_squares, regression_w2

IMPLICIT_BIAS = (least_squares.RESULT, regression_w2.RESULT)
