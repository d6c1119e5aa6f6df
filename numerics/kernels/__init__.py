"""Kernels of infinitely wide networks (NNGP and NTK), and the laws of the ensembles that are trained in them."""

from ..wide_networks.ensemble import (
    ensemble_covariance,
    ensemble_mean,
    rnd_error_covariance,
    rnd_variance,
    smoother,
)
from ..wide_networks.gram import GramBlocks, gram_blocks
from ..wide_networks.policy import SingularGram
from .activation_kernels import ActivationKernels, activation_kernels
from .fully_connected import (
    FullyConnectedDistances,
    FullyConnectedKernels,
    fully_connected_distances,
    fully_connected_kernels,
    nngp_kernel,
    ntk_kernel,
)
from .gram import GramPlan, fully_connected_gram, gram_plan
from .neural_tangents import neural_tangents_kernels

__all__ = [
    "ActivationKernels",
    "FullyConnectedDistances",
    "FullyConnectedKernels",
    "GramBlocks",
    "GramPlan",
    "SingularGram",
    "activation_kernels",
    "ensemble_covariance",
    "ensemble_mean",
    "fully_connected_distances",
    "fully_connected_gram",
    "fully_connected_kernels",
    "gram_blocks",
    "gram_plan",
    "neural_tangents_kernels",
    "nngp_kernel",
    "ntk_kernel",
    "rnd_error_covariance",
    "rnd_variance",
    "smoother",
]
