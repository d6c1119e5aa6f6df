"""Losses of a draw, and expected losses or upper bounds of them where the output is Gaussian with mean m and variance v.

Sums over outputs, one number for each example; nothing is averaged here. Squared losses carry the factor 1/2 of the theory's convention.
  gaussian   |f - y|^2 / 2        exact: ((m - y)^2 + v) / 2 summed over outputs, whatever their correlation
  binary     log(1 + exp(-s f)), s = 2 y - 1   bound: log(1 + exp(-s m + v/2)); quadrature: 20 Gauss-Hermite nodes
  softmax    -f_y + logsumexp f   bound: -m_y + logsumexp(m + v/2)
The bounds are Jensen's inequality for the concave logarithm. They carry exp(v/2), which is not smooth in the large: their steps must be
small where variances are large (ib.class_step).
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ...theory.errors import InvalidInput
from ..methods.data import check_class_targets, check_regression_targets

Likelihood = Literal["gaussian", "binary", "softmax"]
Expectation = Literal["sampled", "exact", "bound", "quadrature"]
EXPECTATIONS: dict[Likelihood, tuple[Expectation, ...]] = {
    "gaussian": ("sampled", "exact"),
    "binary": ("sampled", "bound", "quadrature"),
    "softmax": ("sampled", "bound"),
}
NODES = 20


def check_targets(likelihood: Likelihood, y: Tensor, outputs: Tensor) -> None:
    """Targets (N, C) of floats, (N,) of 0 and 1 for one output, or (N,) of labels. Raises `InvalidInput`."""
    if likelihood == "gaussian":
        check_regression_targets(y, *outputs.shape)
    elif likelihood == "softmax":
        check_class_targets(y, *outputs.shape)
    elif (
        outputs.shape[1] != 1
        or tuple(y.shape) != (len(outputs),)
        or y.is_floating_point()
        or y.is_complex()
        or not bool(((y == 0) | (y == 1)).all())
    ):
        raise InvalidInput(
            f"A binary likelihood has one output and labels 0 or 1; found {outputs.shape[1]} outputs and targets {tuple(y.shape)} {y.dtype}.",
            'Pass integers 0 and 1 of shape (N,), or take likelihood="softmax".',
        )


def loss(likelihood: Likelihood, f: Float[Tensor, "batch outputs"], y: Tensor) -> Float[Tensor, " batch"]:
    """Of the outputs at one draw."""
    if likelihood == "gaussian":
        return 0.5 * (f - y).square().sum(1)
    if likelihood == "binary":
        return functional.softplus(-_signs(y, f) * f[:, 0])
    return functional.cross_entropy(f, y, reduction="none")


def expected_loss(
    likelihood: Likelihood,
    expectation: Expectation,
    mean: Float[Tensor, "batch outputs"],
    variance: Float[Tensor, "batch outputs"],
    y: Tensor,
) -> Float[Tensor, " batch"]:
    """Expectation of `loss` under Gaussian outputs, or the upper bound that `expectation` names. Raises `InvalidInput`."""
    if expectation not in EXPECTATIONS[likelihood] or expectation == "sampled":
        raise InvalidInput(
            f"The {likelihood} loss has no expectation called {expectation!r}.",
            f"Choose one of {EXPECTATIONS[likelihood]}.",
        )
    if likelihood == "gaussian":
        return 0.5 * ((mean - y).square() + variance).sum(1)
    if likelihood == "softmax":
        return torch.logsumexp(mean + variance / 2, dim=1) - mean.gather(1, y[:, None])[:, 0]
    m, v = _signs(y, mean) * mean[:, 0], variance[:, 0]
    if expectation == "bound":
        return functional.softplus(-m + v / 2)
    # sqrt is not differentiable at 0, where the expectation is; the smallest normal number keeps the gradient finite
    deviation = v.clamp(min=torch.finfo(v.dtype).tiny).sqrt()
    nodes, weights = (torch.as_tensor(part, dtype=m.dtype, device=m.device) for part in _hermite())
    return functional.softplus(-(m[:, None] + deviation[:, None] * nodes)) @ weights


def _signs(y: Tensor, like: Tensor) -> Tensor:
    return (2 * y - 1).to(like.dtype)


def _hermite() -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    return nodes, weights / math.sqrt(2 * math.pi)
