"""Kernels of infinitely wide networks (NNGP and NTK), and the laws of the ensembles that are trained in them."""

from .ensemble import (
    GramBlocks,
    SingularGram,
    ensemble_covariance,
    ensemble_mean,
    gram_blocks,
    rnd_error_covariance,
    rnd_variance,
    smoother,
)
from .fully_connected import FullyConnectedKernels, fully_connected_kernels, nngp_kernel, ntk_kernel

__all__ = [
    "FullyConnectedKernels",
    "GramBlocks",
    "SingularGram",
    "ensemble_covariance",
    "ensemble_mean",
    "fully_connected_kernels",
    "gram_blocks",
    "nngp_kernel",
    "ntk_kernel",
    "rnd_error_covariance",
    "rnd_variance",
    "smoother",
]
