"""Diagonal linear networks p*p - n*n: gradient flow ends at the solution of least Q_alpha, alpha the scale of the start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import mpmath
import numpy as np
from flint import arb
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Enclosures, Formula, Inequality
from ....numerics.implicit_bias.mirror import diagonal_network_limit, diagonal_network_potential
from ....numerics.store import Rows
from ....theory.derivation import Algebra, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.implicit_bias.geometry import DIAG_LINEAR
from ....theory.validation import finite
from ...result import ByBudget, Check, Control, Result, Run
from . import mirror
from .mirror_evidence import distance_to_limit


@dataclass(frozen=True, eq=False)
class DiagonalSetting:
    """X (examples, parameters), y (examples,), the scale alpha of the start, and the time to which the flow is followed."""

    design: Float[np.ndarray, "examples parameters"]
    targets: Float[np.ndarray, " examples"]
    alpha: float
    time: float

    def __post_init__(self) -> None:
        x, y = finite("design", self.design, ndim=2), finite("targets", self.targets, ndim=1)
        if y.shape != x.shape[:1] or not x.size or not finite("alpha", self.alpha, ndim=0) > 0:
            raise InvalidInput(
                f"design has shape {x.shape}, targets {y.shape}.", "Pass a target per row and alpha > 0."
            )


@dataclass(frozen=True, eq=False)
class DiagonalPrediction:
    """The limit beta (parameters,), and Q_alpha there."""

    limit: Float[np.ndarray, " parameters"]
    potential: float


# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def conserved_products() -> Equations:
    """p' = -2 p g, n' = 2 n g for g = X^T (gradient of the loss in X beta): p n is constant; beta' and asinh(beta/(2 a^2))."""
    import sympy

    p, n, a = sympy.symbols("p n a", positive=True)
    g, w, s = sympy.symbols("g w s", real=True)
    down, up = -2 * p * g, 2 * n * g
    beta = p**2 - n**2
    start = a * sympy.exp(-2 * s), a * sympy.exp(2 * s)
    return [
        (down * n + p * up, 0),
        (2 * p * down - 2 * n * up, -4 * (p**2 + n**2) * g),
        # asinh(w/b)' = (b^2 + w^2)^(-1/2), and with b = 2 p n = 2 a^2 that root is p^2 + n^2: theta' = -4 g
        (sympy.diff(sympy.asinh(w / a), w) ** 2, 1 / (a**2 + w**2)),
        ((p**2 + n**2) ** 2, (2 * p * n) ** 2 + beta**2),
        (start[0] ** 2 - start[1] ** 2, (-2 * a**2 * sympy.sinh(4 * s)).rewrite(sympy.exp)),
    ]


def potential_of_the_flow() -> Equations:
    """q' = asinh(z/2), so the gradient of Q_alpha at beta is asinh(beta/(2 alpha^2)), 0 at the start beta = 0; q'' > 0."""
    import sympy

    z = sympy.Symbol("z", real=True)
    q = 2 - sympy.sqrt(4 + z**2) + z * sympy.asinh(z / 2)
    return [(sympy.diff(q, z), sympy.asinh(z / 2)), (q.subs(z, 0), 0), (sympy.diff(q, z, 2) ** 2, 1 / (4 + z**2))]


DERIVATION = (
    Algebra("gradient flow keeps p n = alpha^2, and theta = asinh(beta/(2 alpha^2)) moves by -4 X^T (gradient of the loss): beta = 2 alpha^2 sinh(X^T nu)", conserved_products),
    Algebra("theta is the gradient of Q_alpha, which is strictly convex and has gradient 0 at the start beta = 0", potential_of_the_flow),
    Uses(mirror.RESULT, "grad Q_alpha(beta) in the row space and X beta = y: the limit minimises Q_alpha(beta), the Bregman divergence from 0"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: DiagonalSetting) -> DiagonalPrediction:
    limit = diagonal_network_limit(s.design, s.targets, alpha=s.alpha)
    return DiagonalPrediction(limit, diagonal_network_potential(limit, alpha=s.alpha))


# --- checks -------------------------------------------------------------------------------------------------------


def random_setting(seed: int) -> DiagonalSetting:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 4))
    p = n + int(rng.integers(1, 5))
    design = np.linalg.qr(rng.normal(size=(p, n)))[0].T * rng.uniform(0.7, 1.4, (n, 1))
    alpha = (0.05, 0.3, 1.0, 3.0)[seed % 4]
    # theta moves by 4 X^T r and beta by up to sqrt(4 alpha^4 + beta^2) times that
    return DiagonalSetting(design, design @ rng.normal(size=(p,)), alpha, 30.0 if alpha >= 0.3 else 60.0)


SETTINGS = ByBudget(quick=tuple(map(random_setting, range(4))), standard=tuple(map(random_setting, range(24))))
FLOW_ERROR = 1e-9  # relative, of either integrator in p and n


def flow(setting: DiagonalSetting, run: Run) -> dict[str, Any]:
    """Gradient flow on p and n themselves, for half the squared error of X (p*p - n*n), by one of two integrators."""
    from scipy.integrate import solve_ivp

    s, size = setting, setting.design.shape[1]

    def velocity(_: float, state: np.ndarray) -> np.ndarray:
        p, n = state[:size], state[size:]
        force = 2 * (s.design.T @ (s.design @ (p * p - n * n) - s.targets))
        return np.concatenate([-p * force, n * force])

    start = np.full(2 * size, s.alpha)
    end = solve_ivp(velocity, (0, s.time), start, method=run.block["method"], rtol=1e-12, atol=1e-14).y[:, -1]
    return {"beta": (end[:size] ** 2 - end[size:] ** 2)[None], "product": (end[:size] * end[size:])[None]}


def compare_limit(setting: DiagonalSetting, prediction: DiagonalPrediction, rows: Rows) -> Comparison:
    """Where the flow ended against the limit, and p n against alpha^2; the state's residual bounds what is left."""
    s, parts = setting, []
    for beta, product in zip(rows["beta"], rows["product"], strict=True):
        slope = np.sqrt(4 * s.alpha**4 + beta**2)
        left = distance_to_limit(s.design, s.targets, beta, slope) + FLOW_ERROR * float(slope.sum())
        parts.append((beta, prediction.limit, left, float(np.linalg.norm(beta))))
        parts.append((product, np.full_like(product, s.alpha**2), FLOW_ERROR * s.alpha**2, s.alpha**2))
    observed, predicted = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    bound, scale = (np.concatenate([np.full(part[0].shape, part[k]) for part in parts]) for k in (2, 3))
    return Comparison(observed, predicted, bound, scale)


def draw_solutions(setting: DiagonalSetting, run: Run) -> dict[str, Any]:
    """Q_alpha at random solutions of X beta = y, from far to near, written out here."""
    rng, s = np.random.default_rng(run.seed), setting
    end = flow(setting, replace(run, block={"method": "LSODA"}))["beta"][0]
    inverse = np.linalg.pinv(s.design)
    values = []
    for _ in range(200):
        move = 10 ** rng.uniform(-3, 1) * rng.normal(size=end.shape)
        z = (end + move - inverse @ (s.design @ (end + move) - s.targets)) / s.alpha**2
        values.append(s.alpha**2 * float((2 - np.sqrt(4 + z * z) + z * np.arcsinh(z / 2)).sum()))
    return {"potential": np.array(values)}


def compare_potential(setting: DiagonalSetting, prediction: DiagonalPrediction, rows: Rows) -> Enclosures:
    slack = rows["potential"] / prediction.potential - 1
    return Enclosures(slack - 1e-9, slack + 1e-9, width=2.01e-9)


def by(change: Callable[[DiagonalSetting, DiagonalPrediction], Mapping[str, Any]]) -> Mapping[str, Any]:
    def wrong(s: DiagonalSetting) -> DiagonalPrediction:
        right = predict(s)
        return replace(right, **change(s, right))

    return {"predict": wrong}


def sample(rng: np.random.Generator) -> DiagonalSetting:
    p = int(rng.integers(1, 5))
    design = rng.choice([-1, 1], size=(1, p)) * rng.integers(2, 9, size=(1, p)) / 8
    alpha = float(2.0 ** rng.integers(-8, 4))
    return DiagonalSetting(design, (rng.choice([-1, 1], size=1) * rng.integers(1, 33, size=1)) / 16, alpha, 1.0)


def last_steps(s: DiagonalSetting) -> list[arb]:
    """One row: sum x_i 2 alpha^2 sinh(x_i nu) = y by bisection at 60 digits; Q_alpha from its definition."""
    with mpmath.workdps(60):
        row, y, scale = [mpmath.mpf(v) for v in s.design[0]], mpmath.mpf(s.targets[0]), mpmath.mpf(s.alpha) ** 2

        def weights(nu: Any) -> list[Any]:
            return [2 * scale * mpmath.sinh(x * nu) for x in row]

        low, high = mpmath.mpf(-1), mpmath.mpf(1)
        while sum(x * w for x, w in zip(row, weights(high), strict=True)) < abs(y):
            low, high = 2 * low, 2 * high
        for _ in range(230):
            middle = (low + high) / 2
            above = sum(x * w for x, w in zip(row, weights(middle), strict=True)) > y
            low, high = (low, middle) if above else (middle, high)
        beta = weights((low + high) / 2)
        z = [b / scale for b in beta]
        value = scale * sum(2 - mpmath.sqrt(4 + v * v) + v * mpmath.asinh(v / 2) for v in z)
        return [arb(mpmath.nstr(v, 50)) for v in (*beta, value)]


def read(p: DiagonalPrediction) -> np.ndarray:
    return np.append(p.limit, p.potential)


def shipped(s: DiagonalSetting) -> np.ndarray:
    limit = diagonal_network_limit(s.design, s.targets, alpha=s.alpha)
    return np.append(limit, diagonal_network_potential(limit, alpha=s.alpha))


def width(s: DiagonalSetting) -> np.ndarray:
    """The contract's residual through the curvature of the dual; Q_alpha cancels from terms of size alpha^2 (2 + |z| (1 + log))."""
    limit = shipped(s)[:-1]
    slope, x = np.sqrt(4 * s.alpha**4 + limit**2), s.design[0]
    size = float(np.abs(x) @ np.abs(limit) + np.abs(s.targets[0]))
    theta = 1 + np.abs(np.arcsinh(limit / (2 * s.alpha**2)))
    moved = slope * (np.abs(x) * 2e-12 * size / float(x * x @ slope) + 8 * 2.0**-53 * theta)
    terms = s.alpha**2 * (4 + np.abs(limit) / s.alpha**2 * (2 + theta))
    value = float((moved * theta).sum()) + 16 * 2.0**-53 * float(terms.sum())
    return np.append(moved, value) / np.abs(shipped(s))


FORMULA = Formula(expression=last_steps, shipped=shipped, read=read, sample=sample, width=width, count=20)
EXAMPLE = DiagonalSetting(np.array([[1.0, 2.0, 0.5]]), np.array([1.0]), 0.1, 50.0)


def wrong_alpha(factor: float) -> Mapping[str, Any]:
    return by(lambda s, p: {"limit": diagonal_network_limit(s.design, s.targets, alpha=factor * s.alpha)})


CHECKS = (
    Check(
        "limit of the flow on p and n",
        Agreement("convergence"),
        settings=SETTINGS,
        experiment=flow,
        plan=ByBudget(quick=({"method": "DOP853"}, {"method": "LSODA"})),
        compare=compare_limit,
        controls=(
            Control("least l2 norm", by(lambda s, p: {"limit": np.linalg.pinv(s.design) @ s.targets})),
            Control("alpha^2 in place of 2 alpha^2", wrong_alpha(2**-0.5)),
            Control("alpha in place of alpha^2", by(lambda s, p: {"limit": diagonal_network_limit(s.design, s.targets, alpha=s.alpha**0.5)})),
        ),
    ),
    Check(
        "no solution has a smaller potential",
        Inequality(),
        settings=SETTINGS,
        experiment=draw_solutions,
        compare=compare_potential,
        controls=(
            Control("potential 1e-3 too large", by(lambda s, p: {"potential": 1.001 * p.potential})),
            Control("potential of the least l2 norm", by(lambda s, p: {"potential": diagonal_network_potential(np.linalg.pinv(s.design) @ s.targets, alpha=s.alpha)})),
        ),
    ),
    Check(
        "shipped functions",
        FORMULA,
        controls=(
            Control("off by 1e-8", {"claim": replace(FORMULA, shipped=lambda s: (1 + 1e-8) * shipped(s))}),
            Control("alpha^2 in place of 2 alpha^2", {"claim": replace(FORMULA, shipped=lambda s: shipped(replace(s, alpha=s.alpha * 2**-0.5)))}),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    DIAG_LINEAR, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(mirror.RESULT,), derivation=DERIVATION
)
