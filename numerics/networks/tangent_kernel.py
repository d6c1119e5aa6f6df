"""The empirical neural tangent kernel of a population of fully connected networks, layer by layer."""

from __future__ import annotations

import torch
from torch import Tensor

from ...theory.errors import InvalidInput
from .fully_connected import FullyConnected, Parameters, forward, slope


def empirical_ntk(network: FullyConnected, parameters: Parameters, x: Tensor, *, trained: str = "all") -> Tensor:
    """J(x) J(x)^T per member, shape (R, N, K, N, K) for N points and K outputs.

    A layer's gradient is the outer product of its input features and the sensitivity of an output to its
    pre-activation, so the kernel is a sum over layers of `(w^2 h.h' + b^2) (delta.delta')`: no Jacobian is formed.
    `trained` = "readout" keeps only the last layer's share. Raises InvalidInput for another `trained`.
    """
    if trained not in ("all", "readout"):
        raise InvalidInput(f"trained is {trained!r}.", "Use 'all' or 'readout'.")
    trace = forward(network, parameters, x)
    members, points, outputs = trace.output.shape
    # delta: sensitivity of each output at each point to the layer's pre-activation there, (R, N*K, units)
    delta = torch.eye(outputs, dtype=x.dtype, device=x.device).repeat(points, 1).expand(members, -1, -1)
    kernel = torch.zeros(members, points, outputs, points, outputs, dtype=x.dtype, device=x.device)
    for layer in reversed(range(len(network.factors))):
        weight_factor, bias_factor = network.factors[layer]
        h = trace.features[layer]
        inner = torch.bmm(h, h.mT).mul(weight_factor**2).add(bias_factor**2)
        sensitivity = torch.bmm(delta, delta.mT).reshape(kernel.shape)
        kernel = kernel + inner[:, :, None, :, None] * sensitivity
        if trained == "readout" or not layer:
            break
        slopes = slope(network.activation, trace.preactivations[layer - 1]).repeat_interleave(outputs, dim=1)
        delta = torch.bmm(delta, parameters.weights[layer].mT).mul(weight_factor) * slopes
    return kernel
