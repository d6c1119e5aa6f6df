"""Linear training in ball arithmetic: kernels over (test, train), smoothers by several routes, covariances of linear images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flint import arb, arb_mat

from ..activations import Activation
from ..errors import InvalidInput
from .dual_activations import fully_connected_pair


def matrix(rows: Any) -> arb_mat:
    """A matrix of balls from nested sequences of numbers, at their exact value."""
    return arb_mat([[arb(value) for value in row] for row in rows])


def identity(size: int) -> arb_mat:
    """The unit matrix."""
    return arb_mat([[arb(int(i == j)) for j in range(size)] for i in range(size)])


def grams(
    points: Sequence[Sequence[float]],
    *,
    activation: Activation,
    weight_scale: Sequence[float],
    bias_scale: Sequence[float],
    digits: int = 70,
) -> tuple[arb_mat, arb_mat]:
    """K and T of a fully connected architecture over the rows of `points`, by the naive recursion."""
    scales: Any = {"weight_scale": weight_scale, "bias_scale": bias_scale}
    size = len(points)
    pairs = {
        (i, j): fully_connected_pair(points[i], points[j], activation=activation, digits=digits, **scales)
        for i in range(size)
        for j in range(i + 1)
    }
    ordered = [[pairs[max(i, j), min(i, j)] for j in range(size)] for i in range(size)]
    return arb_mat([[e.nngp for e in row] for row in ordered]), arb_mat([[e.ntk for e in row] for row in ordered])


def part(m: arb_mat, rows: range, columns: range) -> arb_mat:
    """The block of the given rows and columns."""
    return arb_mat([[m[i, j] for j in columns] for i in rows])


def split(joint: arb_mat, tests: int) -> tuple[arb_mat, arb_mat, arb_mat]:
    """(test, cross, train) blocks of a matrix over (test, train)."""
    first, last = range(tests), range(tests, joint.nrows())
    return part(joint, first, first), part(joint, first, last), part(joint, last, last)


def beside(*blocks: arb_mat) -> arb_mat:
    """Blocks from left to right."""
    return arb_mat([[entry for b in blocks for entry in (b[i, j] for j in range(b.ncols()))] for i in range(blocks[0].nrows())])  # fmt: skip


def diagonal(*blocks: arb_mat) -> arb_mat:
    """Block-diagonal matrix of square blocks: the covariance of independent vectors."""
    size = sum(b.nrows() for b in blocks)
    found = [[arb(0)] * size for _ in range(size)]
    start = 0
    for b in blocks:
        for i in range(b.nrows()):
            for j in range(b.ncols()):
                found[start + i][start + j] = b[i, j]
        start += b.nrows()
    return arb_mat(found)


def converged(joint: arb_mat, tests: int) -> arb_mat:
    """G = T_*X T_XX^{-1}, by Gaussian elimination."""
    _, cross, train = split(joint, tests)
    return train.solve(cross.transpose()).transpose()


def ridge(joint: arb_mat, tests: int, penalty: arb) -> arb_mat:
    """T_*X (T_XX + penalty I)^{-1}."""
    _, cross, train = split(joint, tests)
    return (train + identity(train.nrows()) * penalty).solve(cross.transpose()).transpose()


def flow(joint: arb_mat, tests: int, time: arb) -> arb_mat:
    """T_*X A_t with A_t = int_0^t e^{-sT} ds, read off the exponential of [[-T, I], [0, 0]] t: nothing is inverted."""
    _, cross, train = split(joint, tests)
    n = train.nrows()
    upper = beside(train * (-time), identity(n) * time)
    generator = arb_mat(
        [[upper[i, j] for j in range(2 * n)] for i in range(n)] + [[arb(0)] * (2 * n) for _ in range(n)]
    )
    return cross * part(generator.exp(), range(n), range(n, 2 * n))


def descent(joint: arb_mat, tests: int, step: arb, steps: int, penalty: arb | None = None) -> arb_mat:
    """The smoother after `steps` steps of gradient descent with an optional penalty towards the start, step by step."""
    if steps < 0:
        raise InvalidInput(f"steps is {steps}.", "It is a number of steps.")
    _, cross, train = split(joint, tests)
    n = train.nrows()
    moved = arb_mat([[arb(0)] * n for _ in range(n)])  # coefficients c of f = f0 + T c, as a map of y - f0(X)
    shrink = arb(1) - (step * penalty if penalty is not None else arb(0))
    for _ in range(steps):
        moved = moved * shrink + (identity(n) - train * moved) * step
    return cross * moved


def residual_map(smoother: arb_mat) -> arb_mat:
    """[I, -G]."""
    return beside(identity(smoother.nrows()), smoother * arb(-1))


def congruence(operator: arb_mat, covariance: arb_mat) -> arb_mat:
    """A C A^T."""
    return operator * covariance * operator.transpose()
