"""Populations of one-hidden-layer classifiers, trained by full-batch Adam on the log-loss, with the levers that make a loss smooth.

Members are independent: the training loss is a sum over them and Adam works entry by entry, so that a population gives what as many
separate trainings give, up to the order of floating-point sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...theory.errors import InvalidInput, NumericalFailure


@dataclass(frozen=True)
class Levers:
    """What is added to the log-loss: `weight_decay` times half the squared norm of the weights (biases are free), and
    `gradient_penalty` times half the mean squared norm of the loss's input gradient."""

    weight_decay: float = 0.0
    gradient_penalty: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise InvalidInput(f"{name} is {value!r}.", "It must be zero or larger.")


@dataclass(frozen=True, eq=False)
class Classifiers:
    """Weights (R, d, width) and (R, width, classes) with their biases (R, 1, .)."""

    hidden: Tensor
    hidden_bias: Tensor
    readout: Tensor
    readout_bias: Tensor

    def log_losses(self, x: Float[Tensor, "... points d"], y: Int[Tensor, "... points"]) -> Float[Tensor, "R points"]:
        """-ln p(y|x) of every member; x and y are shared by the members or have a first axis of their own."""
        return _log_losses((self.hidden, self.hidden_bias, self.readout, self.readout_bias), x, y)


def train_classifiers(
    x: Float[Tensor, "R points d"],
    y: Int[Tensor, "R points"],
    *,
    classes: int,
    width: int,
    steps: int,
    learning_rate: float,
    seed: int,
    levers: Levers | None = None,
) -> Classifiers:
    """Train one member for each data set, on the device and in the dtype of x. Raises `InvalidInput`, `NumericalFailure`.

    The initialisation depends on `seed` and the shapes only (ReLU units, variance 2/d and 1/width, zero biases): two calls
    that differ in labels or levers start from the same networks.
    """
    if x.ndim != 3 or y.shape != x.shape[:2]:
        raise InvalidInput(f"x has shape {tuple(x.shape)}, y {tuple(y.shape)}.", "Pass (R, points, d) and (R, points).")
    pull = levers or Levers()
    members, _, inputs = x.shape
    stream = torch.Generator().manual_seed(seed)  # on the CPU: a seed means the same on every device
    first = torch.randn(members, inputs, width, generator=stream, dtype=x.dtype) * (2 / inputs) ** 0.5
    second = torch.randn(members, width, classes, generator=stream, dtype=x.dtype) / width**0.5
    start = (first, torch.zeros(members, 1, width), second, torch.zeros(members, 1, classes))
    tensors = [value.to(x).requires_grad_() for value in start]
    optimizer = torch.optim.Adam(tensors, lr=learning_rate)
    for _ in range(steps):
        points = x.detach().requires_grad_(pull.gradient_penalty > 0)
        losses = _log_losses(tuple(tensors), points, y)
        value = losses.mean(-1).sum()
        if pull.gradient_penalty:
            (slope,) = torch.autograd.grad(losses.sum(), points, create_graph=True)
            value = value + 0.5 * pull.gradient_penalty * slope.square().sum(-1).mean(-1).sum()
        if pull.weight_decay:
            value = value + 0.5 * pull.weight_decay * (tensors[0].square().sum() + tensors[2].square().sum())
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    trained = Classifiers(*(value.detach() for value in tensors))
    if not all(torch.isfinite(value).all() for value in vars(trained).values()):
        raise NumericalFailure("The training of a population of classifiers diverged.", "Lower the learning rate.")
    return trained


def _log_losses(tensors: tuple[Tensor, ...], x: Tensor, y: Tensor) -> Tensor:
    hidden, hidden_bias, readout, readout_bias = tensors
    points = x if x.ndim == 3 else x.expand(len(hidden), *x.shape)
    labels = y if y.ndim == 2 else y.expand(len(hidden), *y.shape)
    scores = torch.baddbmm(readout_bias, torch.relu(torch.baddbmm(hidden_bias, points, hidden)), readout)
    return -torch.log_softmax(scores, -1).gather(-1, labels.unsqueeze(-1)).squeeze(-1)
