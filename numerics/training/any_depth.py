"""Descent of a population of fully connected networks of any depth and number of outputs, members along the first axis.

Every layer is a batched matrix product into memory that exists already, and every weight is updated by the product that forms its gradient.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..networks.fully_connected import FullyConnected, Parameters
from .activation import SLOPE_FACTOR, activate_into, slope_into
from .first_layer import first_layer


class AnyDepth:
    """The population's state: `measure`, then `descend`, and so on. `weights[0]` are the rows of the first layer."""

    def __init__(self, network: FullyConnected, parameters: Parameters, x: Tensor, targets: Tensor) -> None:
        self.activation, self.factors = network.activation, network.factors
        self.first = first_layer(network, x)
        self.start, self.goal = parameters, targets.contiguous()
        self.weights = [self.first.rows(parameters).contiguous(), *(w.clone() for w in parameters.weights[1:])]
        self.biases = [b.clone() for b in parameters.biases[1:]]
        self.zero = self.goal.new_zeros(())
        self.speeds: tuple[list[Tensor], list[Tensor]] | None = None
        self._allocate()

    def _allocate(self) -> None:
        members, points, _ = self.goal.shape
        sizes = [weight.shape[2] for weight in self.weights]
        self.z = [self.goal.new_empty(members, points, size) for size in sizes]
        self.h, self.back = ([self.goal.new_empty(members, points, size) for size in sizes[:-1]] for _ in range(2))
        self.pull, self.square = torch.empty_like(self.goal), torch.empty_like(self.goal)
        self.slides = [torch.empty_like(bias) for bias in self.biases]
        self.inputs = self.first.inputs.expand(members, *self.first.inputs.shape)

    def measure(self) -> Float[Tensor, " R"]:
        """The squared norm of every member's residual."""
        torch.bmm(self.inputs, self.weights[0], out=self.z[0])
        for layer, (weight_factor, bias_factor) in enumerate(self.factors[1:], start=1):
            activate_into(self.activation, self.z[layer - 1], self.h[layer - 1])
            torch.baddbmm(
                self.biases[layer - 1], self.h[layer - 1], self.weights[layer],
                beta=bias_factor, alpha=weight_factor, out=self.z[layer],
            )  # fmt: skip
        self.z[-1].sub_(self.goal)
        return torch.mul(self.z[-1], self.z[-1], out=self.square).sum(dim=(1, 2))

    def descend(self, change: Float[Tensor, " R"], momentum: Float[Tensor, " R"] | None) -> None:
        """One step along `change` (a step size with a minus sign) times the gradient at the residuals last measured.

        Members whose change and momentum are 0 stay where they are.
        """
        if momentum is not None and self.speeds is None:
            self.speeds = [torch.zeros_like(w) for w in self.weights], [torch.zeros_like(b) for b in self.biases]
        kept = None if momentum is None else momentum[:, None, None]
        delta = torch.mul(self.z[-1], change[:, None, None], out=self.pull)
        slope = 1.0  # what delta has left out so far
        for layer in reversed(range(1, len(self.factors))):
            weight_factor, bias_factor = self.factors[layer]
            below, above, back = self.z[layer - 1], self.h[layer - 1], self.back[layer - 1]
            torch.bmm(delta, self.weights[layer].mT, out=back)
            self._add(layer, kept, above.mT, delta, slope * weight_factor)
            slide = torch.sum(delta, 1, keepdim=True, out=self.slides[layer - 1])
            if kept is None or self.speeds is None:
                self.biases[layer - 1].add_(slide, alpha=slope * bias_factor)
            else:
                speed = self.speeds[1][layer - 1]
                self.biases[layer - 1].add_(speed.mul_(kept).add_(slide, alpha=slope * bias_factor))
            slope_into(self.activation, below, above, self.zero)
            delta = below.mul_(back)
            slope *= weight_factor * SLOPE_FACTOR[self.activation]
        self._add(0, kept, self.inputs.mT, delta, slope)

    def _add(self, layer: int, kept: Tensor | None, left: Tensor, right: Tensor, scale: float) -> None:
        """weights[layer] += scale * left @ right, or the speed that this gives."""
        if kept is None or self.speeds is None:
            self.weights[layer].baddbmm_(left, right, alpha=scale)
        else:
            self.weights[layer].add_(self.speeds[0][layer].mul_(kept).baddbmm_(left, right, alpha=scale))

    def parameters(self, members: Int[Tensor, " some"]) -> Parameters:
        """The parameters now of the members of these indices."""
        start = self.start.select(members)
        weights, bias = self.first.moved(start, self.weights[0][members] - self.first.rows(start))
        return Parameters(
            (weights, *(w[members] for w in self.weights[1:])), (bias, *(b[members] for b in self.biases))
        )

    def keep(self, members: Int[Tensor, " kept"]) -> None:
        """Go on with the members of these indices only; `measure` comes next."""
        self.start, self.goal = self.start.select(members), self.goal[members]
        self.weights, self.biases = [w[members] for w in self.weights], [b[members] for b in self.biases]
        if self.speeds is not None:
            self.speeds = [w[members] for w in self.speeds[0]], [b[members] for b in self.speeds[1]]
        self._allocate()
