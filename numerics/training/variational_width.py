"""Variational descent of many wide networks at once: one hidden tanh layer, every weight uncertain, the expected loss by quadrature.

f(x) = v . tanh(W x/sqrt(d) + b)/sqrt(n), n units, all entries N(0, 1) at the mean and `scale` N(0, 1) in each of the R columns of one factor
S over all weights together. A network never leaves the span of its points in its first layer: a step moves preactivations by the kernel
x.x'/d + 1 of the points, so that what is stored are preactivations (of the mean and of each column) at all points, test points first, and
the readout. It is exactly descent on (mean, S). The expected loss 1/2 E sum (f - y)^2 is that of the product Gauss-Hermite rule with
`nodes` points per column; for two columns and five points it is exact for outputs of degree four in z.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...theory.errors import InvalidInput, NumericalFailure
from ...theory.validation import sample_size
from ..methods.data import generator


@dataclass(frozen=True, eq=False)
class WideLaws:
    """M networks. hidden (M, 1 + R, points, n): preactivations of the mean, then of each column; readout (M, 1 + R, n); points (S + N, d), the
    `tests` test points first."""

    hidden: Float[Tensor, "members columns points width"]
    readout: Float[Tensor, "members columns width"]
    points: Float[Tensor, "points inputs"]
    tests: int


@dataclass(frozen=True, eq=False)
class Linearisation:
    """At the start, for each network: outputs (M, S + N); Jacobian (M, S + N, S + N) and factor (M, S + N, R) in an orthonormal basis of the
    span of the Jacobian's rows, which is all that training can see of the weights."""

    outputs: Tensor
    jacobian: Tensor
    factor: Tensor


def wide_laws(
    test: Tensor, train: Tensor, *, width: int, members: int, rank: int, scale: float, seed: int
) -> tuple[WideLaws, Linearisation]:
    """Networks at their start, and their linearisations there. test (S, d), train (N, d), float64. Raises `InvalidInput`."""
    n, count, r = sample_size("width", width), sample_size("members", members), sample_size("rank", rank)
    if test.ndim != 2 or train.ndim != 2 or test.shape[1] != train.shape[1] or not len(train):
        raise InvalidInput(
            f"test has shape {tuple(test.shape)}, train {tuple(train.shape)}.", "Pass (S, d) and (N, d)."
        )
    if test.dtype != torch.float64 or train.dtype != torch.float64:
        raise InvalidInput(
            f"The inputs are {test.dtype} and {train.dtype}.", "Pass float64: the variances are far below 1."
        )
    if not (math.isfinite(scale) and scale > 0):
        raise InvalidInput(f"scale is {scale!r}.", "It must be positive.")
    points = torch.cat([test, train])
    d, size = points.shape[1], torch.tensor([1.0, *([scale] * r)], dtype=points.dtype, device=points.device)
    stream = generator(seed, "wide variational laws", points.device)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(count, 1 + r, *shape, generator=stream, dtype=points.dtype, device=points.device)

    weights = drawn(n, d) * size[:, None, None]
    biases, readout = drawn(n) * size[:, None], drawn(n) * size[:, None]
    hidden = torch.einsum("pd,mcnd->mcpn", points / math.sqrt(d), weights) + biases[:, :, None]
    h = torch.tanh(hidden[:, 0])
    slope = (1 - h * h) * readout[:, :1] / math.sqrt(n)
    rows = [torch.einsum("mpn,pd->mpnd", slope, points / math.sqrt(d)).flatten(2), slope, h / math.sqrt(n)]
    basis, compressed = torch.linalg.qr(torch.cat(rows, 2).mT)
    columns = torch.cat([weights[:, 1:].flatten(2), biases[:, 1:], readout[:, 1:]], 2).mT
    start = Linearisation((h @ readout[:, 0, :, None])[:, :, 0] / math.sqrt(n), compressed.mT, basis.mT @ columns)
    return WideLaws(hidden, readout, points, len(test)), start


def moments(laws: WideLaws, *, nodes: int = 5) -> tuple[Tensor, Tensor]:
    """Mean and variance over z of the outputs at all points, (M, S + N) each, by the quadrature rule."""
    z, share = _rule(laws.readout.shape[1] - 1, nodes, laws.points)
    outputs = _forward(laws.hidden, laws.readout, z)[2]
    mean = torch.einsum("k,mkp->mp", share, outputs)
    return mean, torch.einsum("k,mkp->mp", share, (outputs - mean[:, None]) ** 2)


def train_wide_laws(
    laws: WideLaws,
    targets: Tensor,
    steps_sum_loss: Tensor,
    *,
    tolerance: float = 1e-3,
    nodes: int = 5,
    max_steps: int = 500,
    exactly: bool = False,
) -> tuple[WideLaws, int]:
    """Descend on mean and factor until no network misses its targets by more than `tolerance` of its first miss, in the mean, and none has
    more than `tolerance` of its largest prior standard deviation left at a training point. targets (M, N); steps_sum_loss (M,).

    exactly: take `max_steps` whatever is fitted. Returns the trained laws and the number of steps. Raises `InvalidInput`, and `NumericalFailure` when `max_steps` do not get there.
    """
    tests, n = laws.tests, laws.hidden.shape[-1]
    if targets.shape != (len(laws.hidden), len(laws.points) - tests) or steps_sum_loss.shape != targets.shape[:1]:
        raise InvalidInput(
            f"targets has shape {tuple(targets.shape)}, steps {tuple(steps_sum_loss.shape)}.", "Pass (M, N) and (M,)."
        )
    z, share = _rule(laws.readout.shape[1] - 1, nodes, laws.points)
    columns = torch.cat([torch.ones_like(z[:, :1]), z], 1)  # what multiplies mean and factor
    inner = laws.points @ laws.points[tests:].T / laws.points.shape[1] + 1
    hidden, readout, first = laws.hidden.clone(), laws.readout.clone(), None
    largest = tolerance * moments(laws, nodes=nodes)[1].amax(1).sqrt()
    for step in range(max_steps + 1):
        h, v, outputs = _forward(hidden[:, :, tests:], readout, z)
        mean = torch.einsum("k,mkp->mp", share, outputs)
        spread = torch.einsum("k,mkp->mp", share, (outputs - mean[:, None]) ** 2).sqrt().amax(1)
        missed = (mean - targets).abs().amax(1)
        first = missed if first is None else first
        fitted = bool((missed <= tolerance * first).all()) and bool((spread <= largest).all())
        if (fitted and not exactly) or (exactly and step == max_steps and bool(torch.isfinite(outputs).all())):
            return WideLaws(hidden, readout, laws.points, tests), step
        if not bool(torch.isfinite(outputs).all()):
            break
        pull = (outputs - targets[:, None]) * share[:, None] / math.sqrt(n) * steps_sum_loss[:, None, None]
        turn = torch.einsum("kc,mkp,mkpn->mcn", columns, pull, h)
        slide = h.square_().neg_().add_(1).mul_(v[:, :, None]).mul_(pull[..., None])
        hidden -= torch.einsum("qp,kc,mkpn->mcqn", inner, columns, slide)
        readout -= turn
    raise NumericalFailure(
        f"Training did not fit {len(targets)} networks of width {n} to {tolerance:g} of their start in {max_steps} steps.",
        "Lower the step size or the factor's scale: outside the linear region variance is left at the training inputs.",
    )


def _forward(hidden: Tensor, readout: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Units (M, nodes, points, n), readouts (M, nodes, n) and outputs (M, nodes, points) at the nodes z."""
    units = torch.tanh_(hidden[:, :1] + torch.einsum("kr,mrpn->mkpn", z, hidden[:, 1:]))
    weights = readout[:, :1] + torch.einsum("kr,mrn->mkn", z, readout[:, 1:])
    return units, weights, torch.einsum("mkpn,mkn->mkp", units, weights) / math.sqrt(hidden.shape[-1])


def _rule(rank: int, nodes: int, like: Tensor) -> tuple[Float[Tensor, "nodes rank"], Float[Tensor, " nodes"]]:
    """The product Gauss-Hermite rule for N(0, I_rank)."""
    points, weights = np.polynomial.hermite_e.hermegauss(sample_size("nodes", nodes))
    grid = np.array(list(itertools.product(points, repeat=rank)))
    share = np.prod(np.array(list(itertools.product(weights / weights.sum(), repeat=rank))), axis=1)
    return tuple(torch.as_tensor(a, dtype=like.dtype, device=like.device) for a in (grid, share))  # type: ignore[return-value]
