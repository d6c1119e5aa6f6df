"""A small network trained with torch, and its linearised Laplace covariance by a dense inverse in weight space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..result import ByBudget, Run


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What the experiment trains on: real targets, or class labels where `noise_variance` is None."""

    x: NDArray[np.float64]
    y: NDArray[Any]
    test_x: NDArray[np.float64]
    prior_precision: float
    noise_variance: float | None


def train_and_invert(data: TrainingData, run: Run) -> Mapping[str, Any]:
    """Train a tanh network, then invert its dense precision; Jacobians and loss Hessians come from torch's autograd."""
    import torch
    from torch import nn

    width = int(data.y.max()) + 1 if data.noise_variance is None else data.y.shape[1]
    layers = nn.Linear(data.x.shape[1], run.block["hidden"]), nn.Tanh(), nn.Linear(run.block["hidden"], width)
    net = nn.Sequential(*layers).to(run.device, torch.float64)
    weights, stream = list(net.parameters()), torch.Generator().manual_seed(run.seed)
    with torch.no_grad():
        for value in weights:
            value.copy_(torch.randn(value.shape, generator=stream, dtype=torch.float64) / value.shape[-1] ** 0.5)
    x, y, test_x = (torch.from_numpy(value).to(run.device) for value in (data.x, data.y, data.test_x))

    def loss(f: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if data.noise_variance is None:
            return nn.functional.cross_entropy(f, target, reduction="sum")
        return ((f - target) ** 2).sum() / (2 * data.noise_variance)

    optimiser = torch.optim.Adam(weights, lr=0.03)
    for _ in range(run.block["steps"]):
        optimiser.zero_grad()
        decay = torch.stack([(value**2).sum() for value in weights]).sum()
        (loss(net(x), y) + data.prior_precision / 2 * decay).backward()
        optimiser.step()

    def jacobian(points: torch.Tensor) -> NDArray[np.float64]:
        entries = [torch.autograd.grad(f, weights, retain_graph=True) for row in net(points) for f in row]
        return np.stack([np.concatenate([part.cpu().numpy().ravel() for part in entry]) for entry in entries])

    outputs, train, test = net(x).detach(), jacobian(x), jacobian(test_x)
    precision = data.prior_precision * np.eye(train.shape[1])
    for n, (f, target) in enumerate(zip(outputs, y, strict=True)):
        hessian = torch.autograd.functional.hessian(lambda value, t=target: loss(value[None], t[None]), f).cpu().numpy()
        block = train[n * width : (n + 1) * width]
        precision += block.T @ hessian @ block
    found = {
        "jacobian": train,
        "test_jacobian": test,
        "outputs": outputs.cpu().numpy(),
        "covariance": test @ np.linalg.inv(precision) @ test.T,
        "condition": np.linalg.cond(precision),
    }
    return {name: np.reshape(value, (1, -1)) for name, value in found.items()}


def _points(count: int, radius: float) -> NDArray[np.float64]:
    """A fixed, irregular design in the square of half-width `radius`."""
    n = np.arange(1, count + 1)
    return radius * (2 * np.stack([n * 0.6180339887498949 % 1, n * 0.7548776662466927 % 1], axis=1) - 1)


_X, _TEST_X = _points(12, 1.5), _points(4, 2.0)
REGRESSION = TrainingData(_X, np.stack([np.sin(2 * _X[:, 0]), _X[:, 0] * _X[:, 1]], axis=1), _TEST_X, 0.5, 0.05)
CLASSES = TrainingData(_X, (_X[:, 0] > 0).astype(np.int64) + (_X[:, 1] > 0.3), _TEST_X, 0.5, None)
PLAN = ByBudget(quick=({"hidden": 5, "steps": 200},), full=({"hidden": 40, "steps": 2000},))
