"""Kernels of wide fully connected networks."""

from . import duals, gap_propagation, nngp, ntk, ntk_kink, price, readout_split

RESULTS = (
    price.RESULT,
    *duals.RESULTS,
    nngp.RESULT,
    ntk.RESULT,
    readout_split.RESULT,
    gap_propagation.RESULT,
    ntk_kink.RESULT,
)
