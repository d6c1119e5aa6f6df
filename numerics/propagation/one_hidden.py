"""One hidden layer: the case in which variance propagation is exact (vp.one_hidden_exact)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .activations import ACTIVATIONS
from .linear import linear
from .moments import Moments


@dataclass(frozen=True, eq=False)
class OneHiddenParameters:
    """One number for each parameter of f(x) = V act(W x + b) + c: the posterior's means, or its variances."""

    hidden_weight: Float[NDArray[np.float64], "hidden inputs"]
    hidden_bias: Float[NDArray[np.float64], " hidden"]
    output_weight: Float[NDArray[np.float64], "outputs hidden"]
    output_bias: Float[NDArray[np.float64], " outputs"]


def propagate_one_hidden(
    x: Any, means: OneHiddenParameters, variances: OneHiddenParameters, activation: str
) -> Moments:
    """Exact mean and marginal variance of each output at fixed x (batch, inputs), for independent Gaussian parameters.

    activation: "relu" or "erf". Exact because for fixed x the hidden pre-activations are independent Gaussians, so the
    activations are uncorrelated with one another and independent of the output layer: the only two things that the
    layer rules assume. Raises `InvalidInput` for an unknown activation and whatever `linear` refuses.
    """
    if activation not in ACTIVATIONS:
        raise InvalidInput(f"No exact moments for the activation {activation!r}.", f"Known: {', '.join(ACTIVATIONS)}.")
    x = finite("x", x, ndim=2)
    if not isinstance(means, OneHiddenParameters) or not isinstance(variances, OneHiddenParameters):
        raise InvalidInput(
            "means and variances must be OneHiddenParameters.", "One holds the means, one the variances."
        )
    before = linear(
        x, np.zeros_like(x), means.hidden_weight, variances.hidden_weight, means.hidden_bias, variances.hidden_bias
    )
    after = ACTIVATIONS[activation](before.mean, before.variance)
    return linear(
        after.mean,
        after.variance,
        means.output_weight,
        variances.output_weight,
        means.output_bias,
        variances.output_bias,
    )
