"""The first layer of a population on fixed inputs: weights and bias as one stack of rows, as few as the inputs span."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..networks.fully_connected import FullyConnected, Parameters


@dataclass(frozen=True, eq=False)
class FirstLayer:
    """Pre-activations are `inputs @ rows`, and the gradient of the rows is `inputs.T @ (their gradient)`.

    Descent moves weights and bias along the inputs (extended by a one for the bias) only. `basis`, where the inputs are fewer than
    their dimensions, holds orthonormal columns that span them, and the rows are coordinates along it: descent in them is descent in
    the weights, up to rounding, at a cost that does not grow with the dimension. Without it the rows are the weights and the bias.
    """

    inputs: Float[Tensor, "N rows"]
    basis: Float[Tensor, "d+1 rows"] | None

    def rows(self, parameters: Parameters) -> Float[Tensor, "R rows width"]:
        """The rows of the given parameters, in memory of their own."""
        stacked = torch.cat([parameters.weights[0], parameters.biases[0]], dim=1)
        return stacked if self.basis is None else self.basis.T @ stacked

    def moved(self, parameters: Parameters, change: Float[Tensor, "R rows width"]) -> tuple[Tensor, Tensor]:
        """Weights and bias after `change` of the rows."""
        step = change if self.basis is None else self.basis @ change
        return parameters.weights[0] + step[:, :-1], parameters.biases[0] + step[:, -1:]


def first_layer(network: FullyConnected, x: Float[Tensor, "N d"]) -> FirstLayer:
    """For inputs x, with the factors of the network's first layer."""
    weight_factor, bias_factor = network.factors[0]
    inputs = torch.cat([x * weight_factor, torch.full_like(x[:, :1], bias_factor)], dim=1)
    if len(inputs) >= inputs.shape[1]:
        return FirstLayer(inputs, None)
    basis, triangle = torch.linalg.qr(inputs.T)
    return FirstLayer(triangle.T.contiguous(), basis)
