"""What the flow of Gaussian laws is held to: the covariance integrated on its own, and laws drawn around a given one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....numerics.claims import Comparison, Enclosures
from ....numerics.implicit_bias.gaussian_law import GaussianLaw, covariance
from ....numerics.implicit_bias.wasserstein import wasserstein2
from ....numerics.store import Rows
from ...result import Run
from .expected_losses_evidence import UNIT_ROUNDOFF, ExpectedLossSetting, noise_grid, stiffness

LATE = (0.3, 1.0)  # times at which the flow is compared

LINE = np.arange(-60, 61) * 0.2
WEIGHTS = 0.2 * np.exp(-(LINE**2) / 2) / np.sqrt(2 * np.pi)


def derivatives(loss: str, u: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """phi' and phi'' at margins u (examples, points)."""
    if loss == "squared":
        return u - y[:, None], np.ones_like(u)
    if loss == "exponential":
        return -np.exp(-u), np.exp(-u)
    p = 1 / (1 + np.exp(u))
    return -p, p * (1 - p)


def velocity(
    s: ExpectedLossSetting, mean: np.ndarray, sigma: np.ndarray, entropy: float
) -> tuple[np.ndarray, np.ndarray]:
    """-E grad l and -(G Sigma + Sigma G) + 2 entropy I from mean and covariance alone, by the trapezoidal rule."""
    x = s.design
    deviation = np.sqrt(np.maximum(np.einsum("ni,ij,nj->n", x, sigma, x), 0))
    first, second = derivatives(s.loss, (x @ mean)[:, None] + deviation[:, None] * LINE, s.targets)
    hessian = (x * (second @ WEIGHTS)[:, None]).T @ x
    return -(x.T @ (first @ WEIGHTS)), -(hessian @ sigma + sigma @ hessian) + 2 * entropy * np.eye(len(mean))


def integrate(s: ExpectedLossSetting, run: Run, *, entropy: float = 0.0, triangular: bool = False) -> dict[str, Any]:
    """Mean and covariance by the classical Runge-Kutta method with at least `steps` steps per unit of time, and with twice as many.

    `triangular` moves a Cholesky factor of the covariance along its own gradient in place of the square factor.
    """
    found = []
    # a multiple of ten, so that the times are met, and enough to resolve the fastest direction
    least = max(run.block["steps"], 10 * int(np.ceil(1.2 * stiffness(s))))
    for count in (least, 2 * least):
        mean, sigma, h = s.mean.copy(), s.factor @ s.factor.T, 1.0 / count
        lower = np.linalg.cholesky(sigma + 1e-12 * np.eye(len(mean))) if triangular else None
        kept = []

        def slope(m: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            if not triangular:
                return velocity(s, m, c, entropy)
            drift, move = velocity(s, m, c @ c.T, 0.0)[0], None
            x = s.design
            deviation = np.linalg.norm(x @ c, axis=1)
            second = derivatives(s.loss, (x @ m)[:, None] + deviation[:, None] * LINE, s.targets)[1] @ WEIGHTS
            move = -np.tril((x * second[:, None]).T @ x @ c)
            return drift, move

        state = sigma if lower is None else lower
        for k in range(1, count + 1):
            a = slope(mean, state)
            b = slope(mean + h / 2 * a[0], state + h / 2 * a[1])
            c = slope(mean + h / 2 * b[0], state + h / 2 * b[1])
            d = slope(mean + h * c[0], state + h * c[1])
            mean = mean + h / 6 * (a[0] + 2 * b[0] + 2 * c[0] + d[0])
            state = state + h / 6 * (a[1] + 2 * b[1] + 2 * c[1] + d[1])
            if any(abs(k * h - t) < 1e-9 for t in LATE):
                kept.append(np.append(mean, (state @ state.T if triangular else state).ravel()))
        found.append(np.stack(kept))
    return {"coarse": found[0], "fine": found[1]}


def compare_paths(s: ExpectedLossSetting, laws: tuple[GaussianLaw, ...], rows: Rows) -> Comparison:
    """Halving the step divides a fourth-order method's error by about 16, so the change bounds what is left; and the shipped
    integrator's local errors, 1e-11 each and contracted by a convex loss, add up over at most a thousand steps."""
    predicted = np.stack([np.append(law.mean, covariance(law).ravel()) for law in laws])
    size = float(np.linalg.norm(s.mean) + np.linalg.norm(s.factor))
    scale = np.append(np.full(len(s.mean), size), np.full(s.mean.size**2, size**2))
    bound = np.abs(rows["fine"] - rows["coarse"]).max() + 2e-8 * scale
    return Comparison(rows["fine"], predicted, bound, scale)


def draw_laws(s: ExpectedLossSetting, run: Run) -> dict[str, Any]:
    """L(q') and W2(q, q') for Gaussian laws around the setting's: in random directions, and along the reparametrised gradient."""
    rng = np.random.default_rng(run.seed)
    points, weights = noise_grid(0.25, 12)
    noise = np.vstack([np.ones(points.shape[1]), points])

    def loss(state: np.ndarray) -> float:
        u = s.design @ (state @ noise)
        if s.loss == "squared":
            values = (s.targets[:, None] - u) ** 2 / 2
        else:
            values = np.exp(-u) if s.loss == "exponential" else np.logaddexp(0, -u)
        return float((values @ weights).sum())

    start = np.column_stack([s.mean, s.factor])
    slope = derivatives(s.loss, s.design @ (start @ noise), s.targets)[0]
    gradient = s.design.T @ ((slope * weights) @ noise.T)
    here, law = loss(start), GaussianLaw(s.mean, s.factor)
    falls, distances = [], []
    for k in range(run.block["laws"]):
        size = 10 ** rng.uniform(-4, 0)
        move = -gradient / np.linalg.norm(gradient) if k % 2 == 0 else rng.normal(size=start.shape)
        other = start + size * move
        falls.append(here - loss(other))
        distances.append(wasserstein2(GaussianLaw(other[:, 0], other[:, 1:]), law))
    return {"fall": np.array(falls), "distance": np.array(distances), "loss": np.full(len(falls), here)}


def compare_slopes(s: ExpectedLossSetting, speed: float, rows: Rows) -> Enclosures:
    """|grad L| W2 - [L(q) - L(q')] >= 0, and within 1% of 0 for the nearest law along the gradient; relative to |grad L| W2.

    Losses are sums of 9409 terms, so their difference errs by that many roundings of them; W2 by ten of the law's size.
    """
    price = speed * rows["distance"]
    slack = (price - rows["fall"]) / price
    size = float(np.linalg.norm(s.mean) + np.linalg.norm(s.factor))
    error = (1e4 * UNIT_ROUNDOFF * (2 * rows["loss"] + speed * size) + 50 * UNIT_ROUNDOFF * size * speed) / price
    tight = 1e-2 - float(np.min(slack[::2] + error[::2]))
    return Enclosures(np.append(slack - error, tight), np.append(slack + error, tight), width=1e-2)
