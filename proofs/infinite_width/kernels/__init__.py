"""Kernels of wide fully connected networks."""

from . import nngp, ntk

RESULTS = (
    nngp.RESULT,
    ntk.RESULT,
)
