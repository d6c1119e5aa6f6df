"""Variance propagation: means and marginal variances carried through a network in one pass."""

from .activations import ACTIVATIONS, erf, probit, relu
from .linear import linear
from .moments import Moments
from .one_hidden import OneHiddenParameters, propagate_one_hidden

__all__ = [
    "ACTIVATIONS",
    "Moments",
    "OneHiddenParameters",
    "erf",
    "linear",
    "probit",
    "propagate_one_hidden",
    "relu",
]
