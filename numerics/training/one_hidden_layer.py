"""Descent of a population of networks with one hidden layer and one output, points along the first axis.

Tensors are (points, members, width): the first layer of all members is one matrix product, and what is left are passes over entries that lie
in order. A step allocates nothing of that size.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..networks.fully_connected import FullyConnected, Parameters
from .activation import SLOPE_FACTOR, activate_into, slope_into
from .first_layer import first_layer


class OneHiddenLayer:
    """The population's state: `measure`, then `descend`, and so on.

    `readout` holds the readout times its factor; `base` the readout's bias times its factor, less the targets.
    """

    def __init__(self, network: FullyConnected, parameters: Parameters, x: Tensor, targets: Tensor) -> None:
        self.activation = network.activation
        self.scale, self.shift = network.factors[1]
        self.first = first_layer(network, x)
        self.transposed = self.first.inputs.T
        self.start = parameters
        self.rows = self.first.rows(parameters).transpose(0, 1).contiguous()  # (rows, R, width)
        self.readout = parameters.weights[1][:, :, 0] * self.scale  # (R, width)
        self.goal = targets[:, :, 0].T.contiguous()  # (N, R)
        self.base = parameters.biases[1][:, 0, 0] * self.shift - self.goal
        self.zero = self.goal.new_zeros(())
        self.speeds: tuple[Tensor, Tensor, Tensor] | None = None
        self._allocate()

    def _allocate(self) -> None:
        points, members, width = len(self.goal), *self.readout.shape
        self.z, self.h, self.work = (self.goal.new_empty(points, members, width) for _ in range(3))
        self.error, self.pull = torch.empty_like(self.goal), torch.empty_like(self.goal)
        self.turn, self.slide = torch.empty_like(self.readout), torch.empty_like(self.goal[0])
        # views of the same memory, made once: on small populations they cost as much as the arithmetic
        self.flat_z, self.flat_rows = self.z.view(points, -1), self.rows.view(len(self.rows), -1)
        self.pulls = self.pull[:, :, None]

    def measure(self) -> Float[Tensor, " R"]:
        """The squared norm of every member's residual."""
        torch.mm(self.first.inputs, self.flat_rows, out=self.flat_z)
        activate_into(self.activation, self.z, self.h)
        torch.mul(self.h, self.readout, out=self.work)
        torch.sum(self.work, 2, out=self.error)
        self.error.add_(self.base)
        return torch.mul(self.error, self.error, out=self.pull).sum(0)

    def descend(self, change: Float[Tensor, " R"], momentum: Float[Tensor, " R"] | None) -> None:
        """One step along `change` (a step size with a minus sign) times the gradient at the residuals last measured.

        Members whose change and momentum are 0 stay where they are.
        """
        torch.mul(self.error, change, out=self.pull)
        torch.mul(self.h, self.pulls, out=self.work)
        torch.sum(self.work, 0, out=self.turn)
        torch.sum(self.pull, 0, out=self.slide)
        slope_into(self.activation, self.z, self.h, self.zero)
        self.z.mul_(self.readout).mul_(self.pulls)
        weight, bias, slope = self.scale**2, self.shift**2, SLOPE_FACTOR[self.activation]
        if momentum is None:
            self.flat_rows.addmm_(self.transposed, self.flat_z, alpha=slope)
            self.readout.add_(self.turn, alpha=weight)
            self.base.add_(self.slide, alpha=bias)
            return
        if self.speeds is None:
            self.speeds = torch.zeros_like(self.rows), torch.zeros_like(self.readout), torch.zeros_like(self.slide)
        rows, readout, offset = self.speeds
        kept = momentum[:, None]
        rows.mul_(kept)
        rows.view(len(rows), -1).addmm_(self.transposed, self.flat_z, alpha=slope)
        self.rows.add_(rows)
        self.readout.add_(readout.mul_(kept).add_(self.turn, alpha=weight))
        self.base.add_(offset.mul_(momentum).add_(self.slide, alpha=bias))

    def parameters(self, members: Int[Tensor, " some"]) -> Parameters:
        """The parameters now of the members of these indices."""
        start, rows = self.start.select(members), self.rows.index_select(1, members).transpose(0, 1)
        weights, bias = self.first.moved(start, rows - self.first.rows(start))
        readout, offset = self.readout[members], self.base[0, members] + self.goal[0, members]
        # a factor of 0 carries no gradient: what it multiplies stays where it was
        return Parameters(
            (weights, readout[:, :, None] / self.scale if self.scale else start.weights[1]),
            (bias, offset[:, None, None] / self.shift if self.shift else start.biases[1]),
        )

    def keep(self, members: Int[Tensor, " kept"]) -> None:
        """Go on with the members of these indices only; `measure` comes next."""
        self.start = self.start.select(members)
        self.goal, self.base, self.rows = (
            value.index_select(1, members) for value in (self.goal, self.base, self.rows)
        )
        self.readout = self.readout[members]
        if self.speeds is not None:
            rows, readout, offset = self.speeds
            self.speeds = rows.index_select(1, members), readout[members], offset[members]
        self._allocate()
