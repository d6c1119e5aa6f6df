"""Covariances of a network's start over what its tangent kernel does not depend on, and the map from a start to the error that is left."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import jvp

from ..networks.fully_connected import Parameters, Trace, forward
from .pooled import Problem, features, read


def residual_map(smoother: Tensor) -> Tensor:
    """M = [I, -G] per member, (R, S, S + N), for smoothers G (R, S, N): what linearised training leaves of a start over (test, train)."""
    size = smoother.shape[1]
    identity = torch.eye(size, dtype=smoother.dtype, device=smoother.device).expand(len(smoother), -1, -1)
    return torch.cat([identity, -smoother], dim=2)


def left_over(smoother: Tensor, covariance: Tensor) -> Tensor:
    """The diagonal of M C M^T per member, (R, S)."""
    residual = residual_map(smoother)
    return (torch.bmm(residual, covariance) * residual).sum(dim=2)


def covariance_of_readout(problem: Problem, hidden: Tensor) -> Tensor:
    """Covariance (R, inputs, inputs) of one head over its readout, given the features (R, inputs, units) that it sees."""
    weight, bias = problem.network.deviations[-1]
    return torch.bmm(hidden, hidden.mT) * weight**2 + bias**2


def covariance_of_start(problem: Problem, parameters: Parameters, trace: Trace) -> Tensor:
    """E u0 u0^T over the readout's bias and, for one hidden layer, over one sign for each hidden unit, which its weights to all heads share:
    the tangent kernel does not depend on it. (R, inputs K, inputs K)."""
    network, inputs, heads = problem.network, problem.inputs, problem.network.outputs
    _, bias_scale = network.deviations[-1]
    weight_factor, bias_factor = network.factors[-1]
    hidden = features(problem, trace)
    weights = parameters.weights[-1] * weight_factor  # (R, units, heads)
    if network.depth == 1:
        units = (hidden[:, :, None, :] * weights.mT[:, None, :, :]).flatten(1, 2)
        second = torch.bmm(units, units.mT)
    else:
        start = (read(problem, trace) - bias_factor * parameters.biases[-1]).flatten(1)
        second = start[:, :, None] * start[:, None, :]
    same = torch.eye(heads, dtype=second.dtype, device=second.device).repeat(inputs, inputs)
    return second + bias_scale**2 * same


def per_head(one: Tensor, heads: int) -> Tensor:
    """The covariance (R, inputs, inputs) of every head, none between heads; the head fastest."""
    identity = torch.eye(heads, dtype=one.dtype, device=one.device)
    size = one.shape[1] * heads
    return torch.einsum("rpq,kl->rpkql", one, identity).reshape(-1, size, size)


def tangent_target(problem: Problem, parameters: Parameters, direction: Parameters, *, zeroed: bool = True) -> Tensor:
    """J(x; theta) psi per member, (R, inputs, K), by forward-mode differentiation; `zeroed` sets psi's last layer to 0."""
    layers = len(problem.network.fans)
    tangents = list(direction.tensors)
    if zeroed:
        for last in (layers - 1, 2 * layers - 1):
            tangents[last] = torch.zeros_like(tangents[last])

    def output(*tensors: Tensor) -> Tensor:
        return read(problem, forward(problem.network, Parameters(tensors[:layers], tensors[layers:]), problem.points))

    found: Tensor = jvp(output, parameters.tensors, tuple(tangents))[1]
    return found
