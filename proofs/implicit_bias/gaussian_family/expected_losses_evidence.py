"""What expected losses are held to: 50-digit integrals, the loss differentiated on a grid of noise, and real descent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from flint import acb, arb, fmpq
from jaxtyping import Float

from ....numerics.claims import Comparison, Enclosures
from ....numerics.implicit_bias.expected_losses import Loss, expected_loss
from ....numerics.implicit_bias.gaussian_law import GaussianLaw
from ....numerics.store import Rows
from ....theory.errors import InvalidInput
from ...result import Run
from ..problems import rational

UNIT_ROUNDOFF = 2.0**-53


@dataclass(frozen=True, eq=False)
class ExpectedLossSetting:
    """X (examples, parameters), the law's mean and factor, the loss; targets (examples,), zeros unless it is squared."""

    design: Float[np.ndarray, "examples parameters"]
    mean: Float[np.ndarray, " parameters"]
    factor: Float[np.ndarray, "parameters rank"]
    loss: Literal["squared", "exponential", "logistic"]
    targets: Float[np.ndarray, " examples"]

    def __post_init__(self) -> None:
        if self.loss != "squared" and np.any(self.targets):
            raise InvalidInput(f"targets is nonzero for the {self.loss} loss.", "Absorb labels into the rows.")
        expected_loss(self.design, self.law, loss=self.loss, targets=self.given)

    @property
    def law(self) -> GaussianLaw:
        return GaussianLaw(self.mean, self.factor)

    @property
    def given(self) -> np.ndarray | None:
        return self.targets if self.loss == "squared" else None


@dataclass(frozen=True, eq=False)
class ExpectedLossPrediction:
    """L, dL/dmu (parameters,), dL/dS (parameters, rank), E Hess l (parameters, parameters)."""

    value: float
    mean_gradient: Float[np.ndarray, " parameters"]
    factor_gradient: Float[np.ndarray, "parameters rank"]
    hessian: Float[np.ndarray, "parameters parameters"]


def flat(p: ExpectedLossPrediction) -> np.ndarray:
    return np.concatenate([[p.value], p.mean_gradient, p.factor_gradient.ravel(), p.hessian.ravel()])


def random_setting(rng: np.random.Generator, loss: Loss, *, rank: int, widest: float) -> ExpectedLossSetting:
    n, p = (int(v) for v in rng.integers(1, 4, size=2))
    design, factor = rng.normal(size=(n, p)), rng.normal(size=(p, rank))
    factor *= rng.uniform(0.1, widest) / float(np.linalg.norm(design @ factor, axis=1).max())
    targets = rng.normal(size=n) if loss == "squared" else np.zeros(n)
    return ExpectedLossSetting(design, rng.normal(size=p), factor, loss, targets)


# --- 50 digits ------------------------------------------------------------------------------------------------------


def _average(function: Any, deviation: arb) -> arb:
    """E function(z), z ~ N(0, 1), for |function(z)| <= (1 + |z| + s)^2 e^{s |z|}: what lies beyond |z| = 17 + s is below e^-120."""
    edge = 17 + deviation

    def integrand(z: acb, analytic: bool) -> acb:
        return function(z, analytic) * (-z * z / 2).exp()

    inside = acb.integral(integrand, -edge, edge).real / (2 * arb.pi()).sqrt()
    return inside + arb(0, arb("1e-52"))


def exact(s: ExpectedLossSetting) -> list[arb]:
    """Values from the definition, gradients by the chain rule under the expectation: no Price, no second derivative."""
    x, mean, factor = rational(s.design), rational(s.mean), rational(s.factor)
    margins, spread, targets = (x * mean).entries(), x * factor, rational(s.targets).entries()
    p, rank = factor.nrows(), factor.ncols()
    value, slopes, twisted, curved = arb(0), [], [], []
    for n, m in enumerate(map(arb, margins)):
        v = arb(sum((spread[n, r] * spread[n, r] for r in range(rank)), fmpq(0)))
        deviation, y = v.sqrt(), arb(targets[n])
        phi, slope = _integrands(s.loss, m, deviation, y)
        value += _average(phi, deviation)
        slopes.append(_average(slope, deviation))
        # E[phi'(u) z_r] = (spread_nr / s) E[phi'(m + s z) z]
        tilt = _average(lambda z, a, slope=slope: slope(z, a) * z, deviation) / deviation
        twisted.append([tilt * arb(spread[n, r]) for r in range(rank)])
        curved.append(tilt)
    rows = range(x.nrows())
    first = [sum((arb(x[n, i]) * slopes[n] for n in rows), arb(0)) for i in range(p)]
    second = [sum((arb(x[n, i]) * twisted[n][r] for n in rows), arb(0)) for i in range(p) for r in range(rank)]
    third = [sum((arb(x[n, i] * x[n, j]) * curved[n] for n in rows), arb(0)) for i in range(p) for j in range(p)]
    return [value, *first, *second, *third]


def _integrands(loss: str, m: arb, s: arb, y: arb) -> tuple[Any, Any]:
    if loss == "squared":
        return (lambda z, a: (y - m - s * z) ** 2 / 2), (lambda z, a: m + s * z - y)
    if loss == "exponential":
        return (lambda z, a: (-m - s * z).exp()), (lambda z, a: -(-m - s * z).exp())
    return (lambda z, a: (1 + (-m - s * z).exp()).log(analytic=a)), (lambda z, a: -1 / (1 + (m + s * z).exp()))


def rounding(s: ExpectedLossSetting) -> np.ndarray:
    """Absolute rounding errors, in the order of `flat`.

    Margins err by (P + 2) u |x|^T |mu| and variances by 2 (P + R + 2) u |x|^2 |S|^2. The logarithms of exp(-u) and of
    the three logistic expectations move by at most as much, and the quadrature sums err by (300 + 2 |m|) u relative,
    plus 1e-15 beyond a deviation of 2. The squared loss is a polynomial. Sums over examples add N + 2 roundings.
    """
    u, (n, p), rank = UNIT_ROUNDOFF, s.design.shape, s.factor.shape[1]
    found = expected_loss(s.design, s.law, loss=s.loss, targets=s.given)
    x, size = np.abs(s.design), np.linalg.norm(s.factor)
    margin = (p + 2) * u * (x @ np.abs(s.mean) + np.abs(s.targets))
    variance = 2 * (p + rank + 2) * u * np.sum(x**2, axis=1) * size**2
    deviation = np.linalg.norm(s.design @ s.factor, axis=1)
    if s.loss == "squared":
        residual = np.abs(found.slope)
        values, slope, curvature = (
            residual * margin + variance + 4 * u * (residual**2 + deviation**2),
            margin,
            0 * margin,
        )
    else:
        quadrature = (300 + 2 * np.abs(s.design @ s.mean)) * u
        relative = 2 * (margin + variance + quadrature)
        wide = 1e-15 * (deviation > 2)
        single = np.array([expected_loss(row[None], s.law, loss=s.loss).value for row in s.design])
        values, slope = single * relative + wide, np.abs(found.slope) * relative + wide
        curvature = found.curvature * relative + wide
    total = (n + 2) * u
    spread, spread_error = np.abs(s.design @ s.factor), (p + 2) * u * x @ np.abs(s.factor)
    carried = curvature[:, None] * spread + found.curvature[:, None] * spread_error
    parts = (
        [values.sum() + total * found.value],
        x.T @ (slope + total * np.abs(found.slope)),
        x.T @ (carried + total * found.curvature[:, None] * spread),
        (x * (curvature + total * found.curvature)[:, None]).T @ x,
    )
    return np.concatenate([np.ravel(part) for part in parts])  # fmt: skip


# --- the loss itself, differentiated --------------------------------------------------------------------------------


def _phi(loss: str, u: np.ndarray, y: np.ndarray) -> np.ndarray:
    if loss == "squared":
        return (y[:, None] - u) ** 2 / 2
    return np.exp(-u) if loss == "exponential" else np.log(1 + np.exp(-u))


def noise_grid(step: float, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Points (2, points) and weights of the trapezoidal rule for two independent standard normal numbers."""
    line = np.arange(-round(reach / step), round(reach / step) + 1) * step
    weight = step * np.exp(-(line**2) / 2) / np.sqrt(2 * np.pi)
    return np.stack([np.repeat(line, len(line)), np.tile(line, len(line))]), np.outer(weight, weight).ravel()


def differentiate(setting: ExpectedLossSetting, run: Run) -> dict[str, Any]:
    """E l(mu + S z) on a grid of z, and its derivative in every coordinate of (mu, S) by a complex step of 1e-100.

    With the step 1/4 of the grid and deviations of at most 1 the rule's error is below exp(9/2 - 24 pi) = 1e-31.
    """
    points, weights = noise_grid(0.25, 12)
    start = np.concatenate([setting.mean[:, None], setting.factor], axis=1)
    slopes = np.zeros(start.shape)
    value = 0.0
    for index in np.ndindex(start.shape):
        moved = start.astype(np.complex128)
        moved[index] += 1e-100j
        margin = setting.design @ (moved[:, :1] + moved[:, 1:] @ points)
        total = (_phi(setting.loss, margin, setting.targets) @ weights).sum()
        value, slopes[index] = float(total.real), total.imag / 1e-100
    return {"number": np.concatenate([[value], slopes[:, 0], slopes[:, 1:].ravel()])}


def compare_gradients(s: ExpectedLossSetting, p: ExpectedLossPrediction, rows: Rows) -> Comparison:
    predicted = np.concatenate([[p.value], p.mean_gradient, p.factor_gradient.ravel()])
    # The grid's 9409 terms are summed by a dot product; each carries the rounding of its margin, weight and loss. Their
    # absolute sum is at most E |phi'| (1 + |z|) |x| <= (1 + s)(|slope| + curvature) |x| for all three losses.
    found = expected_loss(s.design, s.law, loss=s.loss, targets=s.given)
    deviation = np.linalg.norm(s.design @ s.factor, axis=1)
    terms = (1 + deviation) * (np.abs(found.slope) + found.curvature * np.maximum(1, deviation))
    width, rank = len(s.mean), s.factor.shape[1]
    each = np.abs(s.design).T @ terms
    absolute = np.concatenate([[found.value], each, np.repeat(each, rank)])
    relative = (9409 + 300 + 2 * float(np.abs(s.design @ s.mean).max())) * UNIT_ROUNDOFF
    bound = relative * absolute + rounding(s)[: 1 + width + width * rank]
    return Comparison(rows["number"], predicted, bound, absolute)


# --- real descent -------------------------------------------------------------------------------------------------


def _slope(loss: str, u: np.ndarray, y: np.ndarray) -> np.ndarray:
    if loss == "squared":
        return u - y[:, None]
    if loss == "exponential":
        return -np.exp(-u)
    if loss == "logistic":
        return -1 / (1 + np.exp(u))
    return -1 / (2 + np.exp(u) + np.exp(-u))  # "sigmoid": phi = 1/(1 + e^u), which is not convex


STEPS = 60


def descend(
    setting: ExpectedLossSetting, run: Run, *, loss: str | None = None, entropy: float = 0.0, decay: float = 0.0
) -> dict[str, Any]:
    """Descent on (mu, S) by the reparametrised gradient E[phi'(u) x (1, z)^T] on a grid of noise.

    Per step: the least eigenvalue of S_t^T S_t - S_{t+1}^T S_{t+1} and how far (mu, S) has left its start outside the
    span of the rows. `entropy` adds the gradient -S^{-T} of the entropy term, `decay` weight decay.
    """
    points, weights = noise_grid(0.5, 9)
    chosen = setting.loss if loss is None else loss
    w = np.concatenate([setting.mean[:, None], setting.factor], axis=1)
    start, shrink, left = w, [], []
    null = np.eye(len(w)) - np.linalg.pinv(setting.design) @ setting.design
    noise = np.vstack([np.ones(points.shape[1]), points])
    step = 0.5 / stiffness(setting)
    for _ in range(STEPS):
        slope = _slope(chosen, setting.design @ (w @ noise), setting.targets)
        gradient = setting.design.T @ ((slope * weights) @ noise.T) + decay * w
        gradient[:, 1:] -= entropy * np.linalg.pinv(w[:, 1:]).T
        before, w = w, w - step * gradient
        change = before[:, 1:].T @ before[:, 1:] - w[:, 1:].T @ w[:, 1:]
        shrink.append(float(np.linalg.eigvalsh(change)[0]))
        left.append(float(np.linalg.norm(null @ (w - start))))
    return {"shrinkage": np.array(shrink), "left": np.array(left)}


def stiffness(s: ExpectedLossSetting) -> float:
    """Bound on the largest eigenvalue of E Hess l along the run: phi'' <= 1, 1/4, or twice its start for exp(-u)."""
    curvature = {"squared": 1.0, "logistic": 0.25}.get(s.loss)
    if curvature is None:
        curvature = 2 * float(expected_loss(s.design, s.law, loss="exponential").curvature.sum())
    return curvature * float(np.linalg.norm(s.design, 2)) ** 2


def compare_spread(s: ExpectedLossSetting, p: ExpectedLossPrediction, rows: Rows) -> Enclosures:
    """S^T S never grows in any direction, and nothing moves outside the rows; both relative to the squared start."""
    size = float(np.linalg.norm(s.factor))
    # A step rounds each entry of S by u |S| plus step * (1369 + N + 4) u |x| sum |phi'| (1 + |z|), with step |x|^2 phi'' <= 1/2.
    found = expected_loss(s.design, s.law, loss=s.loss, targets=s.given)
    gradient = float(np.linalg.norm(s.design) * np.linalg.norm(np.abs(found.slope) + found.curvature))
    per_step = UNIT_ROUNDOFF * (size + np.linalg.norm(s.mean) + 1400 * 0.5 / stiffness(s) * gradient) * s.factor.size
    steps = 1 + np.arange(len(rows["left"]))
    slack = np.concatenate([rows["shrinkage"] / size**2, -rows["left"] / size])
    error = np.concatenate([np.full(len(steps), 4 * per_step / size), steps * per_step / size])
    return Enclosures(slack - error, slack + error, width=float(2 * error.max()))
