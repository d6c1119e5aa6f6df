"""Outputs of a law at new inputs: draws of whole functions, class probabilities by averaging, and by the probit rule for an integrated last
layer.

A temperature T divides the outputs of every draw, mean and noise alike: logits u become u/T, their variance v becomes v/T^2.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from .family import Family, Law
from .last_layer import output_moments, require_readout
from .losses import Likelihood

BATCH = 2048  # inputs that one forward pass takes


def draw_outputs(
    family: Family, law: Law, x: Tensor, count: int, stream: torch.Generator
) -> Float[Tensor, "count inputs outputs"]:
    """Outputs of `count` draws of the network. The k-th draw depends neither on `count` nor on `x`."""
    draws = []
    with torch.no_grad():
        for _ in range(count):
            values = family.at(law, family.noise(stream))
            draws.append(torch.cat([family.call(values, part) for part in x.split(BATCH)]))
    return torch.stack(draws)


def draw_moments(
    family: Family, law: Law, x: Tensor, count: int, stream: torch.Generator
) -> tuple[Float[Tensor, "count inputs outputs"], Float[Tensor, "count inputs outputs"]]:
    """Mean and variance over the last layer of the outputs, for `count` draws of the layers below. Raises `InvalidInput`."""
    alone = family.variational == (require_readout(family),)
    means, variances = [], []
    with torch.no_grad():
        for _ in range(1 if alone else count):
            z = None if alone else family.noise(stream)
            parts = [output_moments(family, law, z, part) for part in x.split(BATCH)]
            means.append(torch.cat([mean for mean, _ in parts]))
            variances.append(torch.cat([variance for _, variance in parts]))
    return torch.stack(means), torch.stack(variances)


def probabilities(
    likelihood: Likelihood, outputs: Float[Tensor, "draws inputs outputs"]
) -> Float[Tensor, "inputs outputs"] | None:
    """Average over the draws: of the softmax, or of the sigmoid of the one output (the probability of label 1)."""
    if likelihood == "gaussian":
        return None
    return (torch.sigmoid(outputs) if likelihood == "binary" else torch.softmax(outputs, dim=2)).mean(0)


def probit_probabilities(
    likelihood: Likelihood,
    means: Float[Tensor, "draws inputs outputs"],
    variances: Float[Tensor, "draws inputs outputs"],
    temperature: float = 1.0,
) -> Float[Tensor, "inputs outputs"] | None:
    """The same with m/sqrt(1 + pi v/8) for the integral over each output; it ignores correlations between outputs."""
    m, v = means / temperature, variances / temperature**2
    return probabilities(likelihood, m / torch.sqrt(1 + math.pi / 8 * v))


def moments(outputs: Float[Tensor, "draws inputs outputs"]) -> tuple[Tensor, Tensor]:
    """Mean (inputs, outputs) and covariance (inputs, outputs, outputs) over the draws, divisor draws - 1."""
    mean = outputs.mean(0)
    centred = outputs - mean
    return mean, torch.einsum("sic,sid->icd", centred, centred) / (len(outputs) - 1)
