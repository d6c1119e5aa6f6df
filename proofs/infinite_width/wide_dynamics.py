"""Training of infinitely wide networks in function space, step by step: linear maps from the draws at initialisation.

No covariance formula is used here, so that the predictions can be held to what comes out.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from ...numerics.wide_networks.gram import GramBlocks

Matrix = NDArray[np.float64]
HALF_ULP = 2.0**-53


def distillation_steps(
    ntk: GramBlocks, *, steps: int, step: float, penalty: float = 0.0, centred: bool = False, scale: float = 1.0
) -> Matrix:
    """Error u_k - c g at the test points after k steps of descent on 1/2 sum (u - c g)^2 + penalty/2 |theta - theta0|^2.

    As a map of (u0, g) over (test, train), shape (S, 2 (S+N)); a centred predictor trains and returns u - u0.
    """
    tests, train = ntk.cross.shape
    size, kernel = tests + train, np.vstack([ntk.cross, ntk.train])
    start, target = np.eye(size, 2 * size), scale * np.eye(size, 2 * size, size)
    output = np.zeros_like(start) if centred else start
    moved = np.zeros_like(start)
    for _ in range(steps):
        residual = (output + moved - target)[tests:]
        moved = moved - step * (kernel @ residual + penalty * moved)
    return (output + moved - target)[:tests]


def distillation_flow(ntk: GramBlocks, time: float) -> Matrix:
    """The same at time t of gradient flow without penalty: the matrix exponential of the joint flow of u and the frozen g."""
    tests, train = ntk.cross.shape
    size, kernel = tests + train, np.vstack([ntk.cross, ntk.train])
    generator = np.zeros((2 * size, 2 * size))
    generator[:size, tests:size], generator[:size, size + tests :] = -kernel, kernel
    found = scipy.linalg.expm(time * generator)
    return found[:tests] - found[size : size + tests]


def late_steps(ntk: GramBlocks, *, fraction: float = 1.0) -> dict[str, float]:
    """Step size 2/(lmax + lmin) (times `fraction`) and the steps after which every mode is below 1e-14 of its start."""
    eigenvalues = np.linalg.eigvalsh(ntk.train)
    step = fraction * 2 / (eigenvalues[0] + eigenvalues[-1])
    return {"step": step, "steps": int(np.ceil(np.log(1e14) / -np.log1p(-step * eigenvalues[0])))}


def rounding(ntk: GramBlocks, operator: Matrix, covariance: Matrix, *, steps: float) -> tuple[float, float]:
    """(bound, scale) of the entries of operator covariance operator^T after so many steps.

    A stable step adds at most 4 size half-ulps of the size of what it moves; the formula's own solve loses cond(T)
    half-ulps times 4 size.
    """
    size = len(covariance)
    scale = max(1.0, float(np.linalg.norm(operator, 2))) ** 2 * float(np.linalg.norm(covariance, 2))
    return 8 * size * HALF_ULP * (steps + float(np.linalg.cond(ntk.train))) * scale, scale


def distilled_heads(
    nngp: GramBlocks, ntk: GramBlocks, *, models: int, heads: int, seed: int, one_target: bool = False
) -> Matrix:
    """Errors (models, heads, S) of infinitely wide networks after descent from Gaussian draws of predictor and target.

    `one_target` gives all heads of a model the same target: they are then dependent.
    """
    rng = np.random.default_rng(seed)
    operator = distillation_steps(ntk, **late_steps(ntk))  # type: ignore[arg-type]
    size = operator.shape[1] // 2
    factor = np.linalg.cholesky(nngp.joint()).T
    draws = [rng.normal(size=(models, 1 if one_target and side else heads, size)) @ factor for side in range(2)]
    return draws[0] @ operator[:, :size].T + draws[1] @ operator[:, size:].T


def trained_members(
    nngp: GramBlocks, ntk: GramBlocks, labels: Matrix, *, models: int, members: int, seed: int
) -> Matrix:
    """Outputs (models, members, S) of infinitely wide networks after descent on the labels from Gaussian draws."""
    rng = np.random.default_rng(seed)
    operator = distillation_steps(ntk, **late_steps(ntk))  # type: ignore[arg-type]
    size, tests = operator.shape[1] // 2, len(operator)
    draws = rng.normal(size=(models, members, size)) @ np.linalg.cholesky(nngp.joint()).T
    fitted = operator[:, size + tests :] @ labels  # a target that is 0 at the test points
    return draws @ operator[:, :size].T + fitted
