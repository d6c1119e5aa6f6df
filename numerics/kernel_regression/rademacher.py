"""Generalisation of a kernel interpolant from its norm, with explicit constants and a paid union over norms (iw.arora2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...theory.errors import InvalidInput
from ...theory.statements.infinite_width.neighbours import ARORA2019
from ...theory.validation import finite, non_negative, sample_size, unit_interval
from ..bounds.certificate import Certificate
from ..bounds.issue import issue, scalar, spend
from ..bounds.rules.kernel_ball import EVENT, QUANTITY
from ..certified.outward import add_up, div_up, log_up, mul_up, sqrt_up
from ..wide_networks.policy import SingularGram
from .enclosures import gamma, norm_up, residual_norms, spectrum_error

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class InterpolantNorm:
    """sqrt(y^T T^{-1} y), the norm of the minimum-norm interpolant; `upper` is never below the exact one."""

    value: float
    upper: float


@dataclass(frozen=True)
class LeadingTerm:
    """sqrt(2 y^T H^{-1} y / n): the leading term of the printed bound. Not a bound: its other terms have no usable constants."""

    value: float

    def __str__(self) -> str:
        return f"leading term {self.value:.4g} (not a bound: the remaining terms have no explicit constants)"


def kernel_ball_bound(
    *,
    norm: float,
    unit_norm: float,
    trace: float,
    n: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
    risk: float = 0.0,
) -> Certificate:
    """Certificate for the risk of any predictor of a kernel's function space, by its norm.

    `value = risk + 2 k B0 sqrt(tr T)/n + 3 sqrt( ln(2 k(k+1)/delta) / (2n) )`, k = max(1, ceil(norm/B0)).

    Parameters
    ----------
    norm: the predictor's norm in the function space, or more: it may depend on the sample.
    unit_norm: B0 > 0, fixed before the sample; radii k B0 share delta as delta/(k(k+1)).
    trace: tr T over the n inputs of the sample.
    n: examples; loss in [0, 1] and 1-Lipschitz in the prediction.
    delta, log_inv_delta: probability that this event fails, or ln of its inverse; exactly one.
    risk: mean loss of the predictor on the sample, 0 for an interpolant.

    Rounded upward. Raises InvalidInput. Source: Bartlett and Mendelson 2002; the union is derived in iw.arora2019.
    """
    size = sample_size("n", n)
    length, total = (
        float(non_negative(name, finite(name, scalar(name, value))))
        for name, value in (("norm", norm), ("trace", trace))
    )
    unit = float(finite("unit_norm", scalar("unit_norm", unit_norm)))
    if unit <= 0:
        raise InvalidInput(f"unit_norm is {unit:g}.", "Fix a positive unit before seeing the sample.")
    empirical = float(unit_interval("risk", scalar("risk", risk)))
    spent = spend(EVENT, delta, log_inv_delta)
    ratio = Fraction(length) / Fraction(unit)
    k = max(1, -(-ratio.numerator // ratio.denominator))
    if k > 2**26:
        raise InvalidInput(f"The norm is {float(k):.3g} units.", "Choose a unit of the order of the norm you expect.")
    complexity = div_up(mul_up(2.0 * k, mul_up(unit, sqrt_up(total))), float(size))
    confidence = sqrt_up(div_up(add_up(log_up(2.0 * k * (k + 1)), spent.log_inv_delta), 2.0 * size))
    return issue(
        ARORA2019,
        add_up(empirical, complexity, mul_up(3.0, confidence)),
        quantity=QUANTITY,
        spent=(spent,),
        inputs={
            "risk": empirical,
            "norm": length,
            "unit_norm": unit,
            "trace": total,
            "n": size,
            "log_inv_delta": spent.log_inv_delta,
        },
    )


def interpolant_norm(*, gram: Any, labels: Any) -> InterpolantNorm:
    """sqrt(y^T T^{-1} y) of the centred (zero-output) interpolant, and an upper value from residuals.

    With a^ near T^{-1} y and r = y - T a^: `y^T T^{-1} y = y.a^ + a^.r + r^T T^{-1} r`, the last at most |r|^2/lmin.
    `gram` (N, N) is taken as exact. Raises SingularGram.
    """
    k, y = finite("gram", gram, ndim=2), finite("labels", labels, ndim=1)
    if k.shape != (len(y), len(y)) or not len(y):
        raise InvalidInput(f"gram has shape {k.shape} for {len(y)} labels.", "Pass the Gram matrix of the same inputs.")
    if not (k == k.T).all():
        raise InvalidInput("gram is not symmetric.", "Symmetrise it: (K + K^T)/2.")
    found, vectors = np.linalg.eigh(k)
    lowest = float(found[0]) - spectrum_error(k, found, vectors)
    if lowest <= 0 or found[0] < 1e-12 * found[-1]:
        raise SingularGram("gram", found.astype(np.float64))
    weights = vectors @ ((vectors.T @ y) / found)
    inner = float(y @ weights)
    high = abs(inner) + gamma(len(y) + 2) * float(np.abs(y) @ np.abs(weights)) * (1 + gamma(len(y) + 2))
    residual = float(residual_norms(k, 0.0, weights[:, None], y[:, None])[0])
    square = add_up(high, mul_up(norm_up(weights), residual), div_up(mul_up(residual, residual), lowest))
    return InterpolantNorm(math.sqrt(max(inner, 0.0)), sqrt_up(square))


def arora2019_bound(
    *,
    gram: Any,
    labels: Any,
    unit_norm: float,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """`kernel_ball_bound` of the minimum-norm interpolant of labels y (N,) under a kernel with Gram matrix `gram` (N, N).

    With `gram` = `arora2019_kernel(x)` this is the limit of a two-layer ReLU network whose first layer is trained from a
    small start. Kernel and `unit_norm` must not depend on the sample. Labels with |y| <= 1.
    """
    if np.abs(finite("labels", labels)).max(initial=0.0) > 1:
        raise InvalidInput("A label is above 1 in absolute value.", "Rescale labels to [-1, 1].")
    norm = interpolant_norm(gram=gram, labels=labels)
    trace = add_up(*np.diag(np.asarray(gram, dtype=np.float64)).tolist())
    return kernel_ball_bound(
        norm=norm.upper, unit_norm=unit_norm, trace=trace, n=len(labels), delta=delta, log_inv_delta=log_inv_delta
    )


def arora2019_kernel(x: Any) -> Matrix:
    """H_ij = x_i.x_j (pi - angle)/(2 pi) for unit rows of x (n, d): the share of the first layer of the tangent kernel.

    Angles by 2 atan2(|x - y|, |x + y|), so that nearly equal inputs lose nothing. Source: Arora et al. 2019.
    """
    rows = finite("x", x, ndim=2)
    if np.abs(np.linalg.norm(rows, axis=1) - 1).max(initial=0.0) > 1e-12:
        raise InvalidInput("A row of x does not have norm 1.", "Divide each input by its norm.")
    angle = 2 * np.arctan2(*(np.linalg.norm(rows[:, None] + s * rows[None], axis=2) for s in (-1.0, 1.0)))
    return np.asarray(np.cos(angle) * (np.pi - angle) / (2 * np.pi), dtype=np.float64)


def arora2019_leading_term(*, gram: Any, labels: Any) -> LeadingTerm:
    """sqrt(2 y^T H^{-1} y / n) as printed; the rest of that bound is of unspecified size, so nothing is certified."""
    return LeadingTerm(interpolant_norm(gram=gram, labels=labels).value * math.sqrt(2 / len(labels)))
