"""Expected losses of a linear model under a Gaussian law of its weights, with their exact gradients.

The margin u_n = x_n^T w of example n is Gaussian with mean m_n = x_n^T mean and variance v_n = ||factor^T x_n||^2. For
the loss sum_n phi_n(x_n^T w) Price's identity gives, for every phi with two derivatives of at most exponential growth,

    dL/dmean = sum_n E[phi_n'(u_n)] x_n,        dL/dfactor = sum_n E[phi_n''(u_n)] x_n x_n^T factor,

so only three one-dimensional expectations per example are needed. Losses: "squared", 1/2 (y - u)^2; "exponential",
exp(-u); "logistic", log(1 + exp(-u)); the last two with the labels absorbed into the rows, x_n := y_n x_n.

The logistic expectations have no closed form. Up to a standard deviation of 2 they are the trapezoidal rule on the
whole line, whose error falls geometrically: with the step h = 1/5 and the strip |Im z| <= 3/2, in which s z stays away
from the poles at i pi, it is below 2 K exp(9/8 - 15 pi) = K 2e-20, where K <= 200 bounds |phi(u + i b)| / phi(u) for
|b| <= 3. Beyond, the margin itself is cut into panels of length 4 between -40 and 40 with 20 Gauss-Legendre nodes each
(Bernstein ellipse of parameter 3.3, so an error below 3000 * 3.3^-40 < 1e-17 of the largest value nearby); left of them
phi is -u up to e^-40, right of them 0. Derived here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float
from scipy.special import expit, ndtr

from ...theory.errors import InvalidInput, NumericalFailure
from ...theory.validation import finite
from .gaussian_law import GaussianLaw
from .least_squares import design_matrix

Loss = Literal["squared", "exponential", "logistic"]

_STEP = 0.2
# Left of -13 and right of 10 a Gaussian weight, times exp(2 |z|) on the left, is below 1e-22 of the total.
_POINTS = np.arange(-65, 51) * _STEP
_WEIGHTS = _STEP * np.exp(-(_POINTS**2) / 2) / np.sqrt(2 * np.pi)
_WIDEST = 2.0  # standard deviations up to which the trapezoidal rule keeps its promise
_FAR, _PANELS, _NODES = 40.0, 20, 20


@dataclass(frozen=True, eq=False)
class ExpectedLoss:
    """E sum_n phi_n(x_n^T w), its gradients, and the expectations they are made of.

    value in units of the loss; slope = E phi_n' and curvature = E phi_n'' have shape (examples,), mean_gradient
    (parameters,), factor_gradient (parameters, rank).
    """

    value: float
    slope: Float[np.ndarray, " examples"]
    curvature: Float[np.ndarray, " examples"]
    mean_gradient: Float[np.ndarray, " parameters"]
    factor_gradient: Float[np.ndarray, "parameters rank"]


def expected_loss(design: Any, law: GaussianLaw, *, loss: Loss, targets: Any = None) -> ExpectedLoss:
    """E sum_n phi_n(x_n^T w) for w ~ `law`, exactly where a closed form exists and to rounding for the logistic loss.

    design (examples, parameters), labels absorbed for the two classification losses; targets (examples,) belong to the
    squared loss alone. Logistic expectations are accurate to a few hundred roundings, relative up to a margin
    deviation of 2 and absolute beyond. Raises `InvalidInput` on arrays that do not belong together and
    `NumericalFailure` where exp(-m + v/2) overflows.
    """
    x, law = _checked(design, law)
    mean, spread = x @ law.mean, x @ law.factor
    variance = np.sum(spread**2, axis=1)
    if loss not in get_args(Loss):
        raise InvalidInput(f"loss is {loss!r}.", f"Pass one of {', '.join(get_args(Loss))}.")
    if (targets is None) == (loss == "squared"):
        raise InvalidInput(
            f"targets is {'missing' if targets is None else 'given'} for the {loss} loss.",
            "The squared loss needs targets; for the others multiply each row by its label, +1 or -1.",
        )
    if loss == "squared":
        y = finite("targets", targets, ndim=1)
        if y.shape != mean.shape:
            raise InvalidInput(f"targets has shape {y.shape}, design {x.shape}.", "Pass one target per row.")
        values = ((y - mean) ** 2 + variance) / 2
        slope, curvature = mean - y, np.ones_like(mean)
    elif loss == "exponential":
        with np.errstate(over="ignore"):
            values = np.exp(variance / 2 - mean)
        slope, curvature = -values, values
    else:
        values, slope, curvature = logistic_expectations(mean, np.sqrt(variance))
    if not (np.isfinite(values).all() and np.isfinite(values.sum())):
        raise NumericalFailure(
            f"The expected {loss} loss overflows.", "Scale the factor or the data down: the loss carries exp(v/2)."
        )
    gradient = (curvature[:, None] * spread).T @ x
    return ExpectedLoss(float(values.sum()), slope, curvature, x.T @ slope, gradient.T)


def expected_hessian(
    design: Any, law: GaussianLaw, *, loss: Loss, targets: Any = None
) -> Float[np.ndarray, "parameters parameters"]:
    """G = E Hess l = sum_n E[phi_n''(u_n)] x_n x_n^T: dL/dfactor = G factor, and G >= 0 for every convex loss."""
    x, law = _checked(design, law)
    curvature = expected_loss(x, law, loss=loss, targets=targets).curvature
    return (curvature[:, None] * x).T @ x


def logistic_expectations(mean: Any, deviation: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """E log(1 + e^-u), E of its first and of its second derivative, for u ~ N(mean, deviation^2), elementwise.

    mean and deviation have shape (examples,). Error: about (300 + |mean|) roundings, relative where the deviation is at
    most 2, else absolute (relative where the value exceeds 1). Raises `InvalidInput` on a negative deviation.
    """
    m, s = finite("mean", mean, ndim=1), finite("deviation", deviation, ndim=1)
    if m.shape != s.shape or (s < 0).any():
        raise InvalidInput(
            f"mean has shape {m.shape}, deviation {s.shape}.", "Pass one deviation, at least 0, per mean."
        )
    found = np.empty((3, len(m)))
    narrow = s <= _WIDEST
    margins = m[narrow, None] + s[narrow, None] * _POINTS
    found[:, narrow] = _logistic(margins) @ _WEIGHTS
    found[:, ~narrow] = _wide(m[~narrow], s[~narrow])
    return found[0], found[1], found[2]


def _logistic(margin: np.ndarray) -> np.ndarray:
    # np.logaddexp keeps relative accuracy on both sides; the second derivative is a product, never a difference.
    return np.stack([np.logaddexp(0.0, -margin), -expit(-margin), expit(margin) * expit(-margin)])


def _wide(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    half = _FAR / _PANELS
    centres = -_FAR + half * (2 * np.arange(_PANELS) + 1)
    margin = (centres[:, None] + half * nodes).ravel()
    z = (margin - mean[:, None]) / deviation[:, None]
    density = np.exp(-(z**2) / 2) / (np.sqrt(2 * np.pi) * deviation[:, None]) * np.tile(half * weights, _PANELS)
    inside = _logistic(margin)[:, None, :] * density
    left = (-_FAR - mean) / deviation
    tail = ndtr(left)
    beyond = deviation * np.exp(-(left**2) / 2) / np.sqrt(2 * np.pi) - mean * tail
    return inside.sum(axis=2) + np.stack([beyond, -tail, np.zeros_like(tail)])


def _checked(design: Any, law: GaussianLaw) -> tuple[np.ndarray, GaussianLaw]:
    if not isinstance(law, GaussianLaw):
        raise InvalidInput(f"law is a {type(law).__name__}.", "Pass GaussianLaw(mean, factor).")
    x = design_matrix(design)
    if x.shape[1:] != law.mean.shape:
        raise InvalidInput(f"design has shape {x.shape}, the mean {law.mean.shape}.", "Pass one weight per column.")
    return x, law
