"""Kernels of infinitely wide networks (NNGP and NTK); the laws of what is trained in them are in `nonvacuous.wide_networks`."""

from .activation_kernels import ActivationKernels, activation_kernels
from .architectures.image_network import image_network_kernels
from .architectures.network import NetworkKernels, network_kernels
from .architectures.pooling import ConvolutionalKernels, convolutional_kernels
from .fully_connected import (
    FullyConnectedDistances,
    FullyConnectedKernels,
    TorchKernels,
    fully_connected_distances,
    fully_connected_kernels,
    nngp_kernel,
    ntk_kernel,
)
from .gram import GramPlan, fully_connected_gram, gram_plan
from .neural_tangents import neural_tangents_kernels

__all__ = [
    "ActivationKernels",
    "ConvolutionalKernels",
    "FullyConnectedDistances",
    "FullyConnectedKernels",
    "GramPlan",
    "NetworkKernels",
    "TorchKernels",
    "activation_kernels",
    "convolutional_kernels",
    "fully_connected_distances",
    "fully_connected_gram",
    "fully_connected_kernels",
    "gram_plan",
    "image_network_kernels",
    "network_kernels",
    "neural_tangents_kernels",
    "nngp_kernel",
    "ntk_kernel",
]
