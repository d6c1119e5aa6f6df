"""One temperature for all outputs, fitted on held-out data to a fixed set of draws: a deterministic problem in one unknown.

The objective is the mean negative log likelihood of the averaged probabilities at logits u/T, over t = ln T. It need not be convex where
several draws are averaged, so a grid comes first, and golden-section search between the neighbours of its best point. Source: Guo et al.
2017 for one deterministic network, whose objective is convex in 1/T.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ...theory.errors import InvalidInput
from .losses import Likelihood
from .search import minimum

REACH = math.log(1e3)  # temperatures are sought between 1/1000 and 1000
GRID = 121
WIDTH = 1e-6  # of ln T at the end


def negative_log_likelihood(
    likelihood: Likelihood, outputs: Float[Tensor, "draws inputs outputs"], y: Tensor, temperature: float = 1.0
) -> float:
    """Mean over the inputs of -ln of the probability, averaged over the draws, that the label has. Raises `InvalidInput` for a
    regression."""
    scaled = outputs.double() / temperature
    if likelihood == "softmax":
        each = -functional.log_softmax(scaled, dim=2).gather(2, y[None, :, None].expand(len(scaled), -1, 1))[:, :, 0]
    elif likelihood == "binary":
        each = functional.softplus(-(2 * y - 1).to(scaled.dtype) * scaled[:, :, 0])
    else:
        raise InvalidInput("A temperature divides logits; a regression has none.", "Use it with class labels.")
    return float((math.log(len(scaled)) - torch.logsumexp(-each, dim=0)).mean())


def fit_temperature(likelihood: Likelihood, outputs: Float[Tensor, "draws inputs outputs"], y: Tensor) -> float:
    """The temperature of smallest negative log likelihood. Raises `InvalidInput` where it is not inside the search's interval: the labels
    are then fitted better and better by ever sharper (or flatter) predictions."""

    def value(t: float) -> float:
        return negative_log_likelihood(likelihood, outputs, y, math.exp(t))

    best = minimum(value, -REACH, REACH, grid=GRID, width=WIDTH)
    if best is None:
        raise InvalidInput(
            f"No temperature between {math.exp(-REACH):g} and {math.exp(REACH):g} is best on these {len(y)} labels.",
            "Use more held-out data: predictions that are all right, or all alike, have no best temperature.",
        )
    return math.exp(best)
