"""Variance propagation, in teaching order."""

from . import one_hidden

VARIANCE_PROPAGATION = (one_hidden.RESULT,)
