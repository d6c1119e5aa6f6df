"""Exact moments of the kernels of finite ReLU networks at initialisation, and the depth-to-width ratio to watch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...theory.errors import InvalidInput
from ...theory.validation import finite, sample_size


def tangent_kernel_variance(*, tangent_kernel: float, width: int) -> float:
    """Var T_0(x,x) = 3 T(x,x)^2 / n of one hidden ReLU layer of n units without biases, exactly (iw.fw_relu_var).

    `tangent_kernel` is T(x,x) of the infinite width, which is also the mean.
    """
    value = float(finite("tangent_kernel", tangent_kernel, ndim=0))
    if value < 0:
        raise InvalidInput(f"tangent_kernel is {value:g}.", "A kernel is not negative at coincident inputs.")
    return 3 * value * value / sample_size("width", width)


def kernel_moment_ratio(*, widths: int | Sequence[int]) -> float:
    """E K_0(x,x)^2 / K(x,x)^2 = prod_l (1 + 5/n_l) of a ReLU network without biases, exactly (iw.fw_kappa_var).

    `widths` of the hidden layers; K_0 is the covariance of the output given the hidden layers. Less 1 it is also the
    covariance of the squares of two heads, over K(x,x)^2.
    """
    return math.prod(1 + 5 / n for n in _widths(widths))


@dataclass(frozen=True)
class DepthToWidth:
    """`beta` = sum of 1/n_l over hidden layers. `ratio` = 5 beta must be far below 1 for the infinite-width answer to be trusted.

    `kernel_moment` is prod (1 + 5/n_l), at most exp(ratio): the mean square of the output's covariance at one input over
    its squared mean, exactly, for ReLU without biases. That of the tangent kernel grows like exp(ratio) too (Hanin and
    Nica 2020, read in excerpt, not derived here).
    """

    beta: float
    ratio: float
    kernel_moment: float

    def __str__(self) -> str:
        return (
            f"5 sum_l 1/n_l = {self.ratio:.3g} (must be far below 1): at one input the squared covariance of the output is "
            f"{self.kernel_moment:.4g} times that of infinite width on average, and the tangent kernel fluctuates likewise"
        )


def depth_to_width(*, widths: int | Sequence[int], depth: int | None = None) -> DepthToWidth:
    """How far a ReLU network is from its infinite width: 5 H/n for H hidden layers of n units, 5 sum 1/n_l in general.

    `widths`: one per hidden layer, or one number with `depth`. Source: Hanin and Nica 2020.
    """
    given = _widths(widths)
    if depth is not None:
        if len(given) != 1:
            raise InvalidInput(
                f"There are {len(given)} widths and a depth.", "Give one width with a depth, or all widths."
            )
        given = given * sample_size("depth", depth)
    beta = math.fsum(1 / n for n in given)
    return DepthToWidth(beta, 5 * beta, math.prod(1 + 5 / n for n in given))


def _widths(widths: Any) -> tuple[int, ...]:
    given = tuple(widths) if isinstance(widths, Sequence) else (widths,)
    if not given:
        raise InvalidInput("There are no hidden layers.", "Pass the width of each.")
    return tuple(sample_size("width", n) for n in given)
