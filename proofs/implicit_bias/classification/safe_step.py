"""Below 1/(L(0) max ||x||^2 (2 + ||x||^2 ||S_0||^2)) descent on the expected exponential loss lowers it at every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb
from jaxtyping import Float

from ....numerics.claims import Enclosures, Formula, Inequality
from ....numerics.implicit_bias.classification import guaranteed_law_step, heuristic_law_step
from ....numerics.implicit_bias.gaussian_law import GaussianLaw
from ....numerics.store import Rows
from ....theory.axioms import CAUCHY_SCHWARZ, DESCENT_LEMMA
from ....theory.derivation import Algebra, Axiom
from ....theory.errors import InvalidInput
from ....theory.statements.implicit_bias.classification import CLASS_STEP
from ....theory.validation import finite
from ...result import ByBudget, Check, Control, Result, Run
from ..problems import rational


@dataclass(frozen=True, eq=False)
class StepSetting:
    """Labelled rows (examples, parameters) and the prior's mean and factor."""

    design: Float[np.ndarray, "examples parameters"]
    prior_mean: Float[np.ndarray, " parameters"]
    prior_factor: Float[np.ndarray, "parameters rank"]

    def __post_init__(self) -> None:
        if finite("design", self.design, ndim=2).shape[1:] != self.prior.mean.shape or not self.design.any():
            raise InvalidInput(f"design has shape {self.design.shape} or is zero.", "Pass one column per parameter.")

    @property
    def prior(self) -> GaussianLaw:
        return GaussianLaw(self.prior_mean, self.prior_factor)


@dataclass(frozen=True)
class StepPrediction:
    """The guaranteed step, and the curvature's inverse at the start, which guarantees nothing."""

    guaranteed: float
    heuristic: float


# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def curvature() -> Equations:
    """l(h) = exp(-(m + h x.d) + ||S^T x + h E^T x||^2/2) for one row in the plane and rank 2: its second derivative at 0."""
    import sympy

    h = sympy.Symbol("h", real=True)
    x, d, s, t, e, g = (sympy.Matrix(sympy.symbols(f"{name}1:3", real=True)) for name in ("x", "d", "s", "t", "e", "g"))
    m, force = sympy.Symbol("m", real=True), sympy.Symbol("l", positive=True)
    c, moved = sympy.Matrix([x.dot(s), x.dot(t)]), sympy.Matrix([x.dot(e), x.dot(g)])
    inner = -(m + h * x.dot(d)) + (c + h * moved).dot(c + h * moved) / 2
    first, second = (sympy.diff(inner, h, k).subs(h, 0) for k in (1, 2))
    return [(force * (first**2 + second), force * ((-x.dot(d) + c.dot(moved)) ** 2 + moved.dot(moved)))]


def largest_curvature() -> Equations:
    """(|d| + sqrt(v) |E|)^2 + |E|^2 against (2 + v)(|d|^2 + |E|^2), and the slack of Cauchy-Schwarz; H S for one row."""
    import sympy

    d, e, root = sympy.symbols("d e rootv", positive=True)
    left = (d + root * e) ** 2 + e**2
    return [((2 + root**2) * (d**2 + e**2) - left, (root * d - e) ** 2 + d**2)]


def factor_shrinks() -> Equations:
    """(1 - eta h)^2 <= 1 for 0 <= eta h <= 2, and what the guaranteed step leaves of eta h <= 1/2."""
    import sympy

    eta, h, loss, spread, length = sympy.symbols("eta h L spread B", positive=True)
    step = 1 / (loss * length * (2 + spread))
    return [
        (1 - (1 - eta * h) ** 2, eta * h * (2 - eta * h)),
        (sympy.Rational(1, 2) - step * loss * length, spread / (2 * (2 + spread))),
    ]


DERIVATION = (
    Algebra("along a direction (d, E) the curvature of l is l ((-x.d + S^T x . E^T x)^2 + ||E^T x||^2)", curvature),
    Axiom(CAUCHY_SCHWARZ, "|x.d| <= ||x|| ||d|| and ||E^T x|| <= ||x|| ||E||: at most l ||x||^2 ((|d| + sqrt(v) |E|)^2 + |E|^2)"),
    Algebra("so at most l ||x||^2 (2 + v) for a direction of length 1", largest_curvature),
    Algebra("S <- (I - eta H) S with H = sum l x x^T <= L max ||x||^2 and eta H <= 1/2: no singular value of S grows, v_n <= ||x_n||^2 ||S_0||^2", factor_shrinks),
    Axiom(DESCENT_LEMMA, "so on the sublevel set, which no step leaves, the curvature is at most M = 1/eta and L falls by eta/2 ||grad L||^2"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: StepSetting) -> StepPrediction:
    return StepPrediction(guaranteed_law_step(s.design, s.prior), heuristic_law_step(s.design, s.prior))


# --- checks -------------------------------------------------------------------------------------------------------

TRAP = StepSetting(np.array([[1.0, 0.0], [-100.0, 1000.0]]), np.array([0.0, 0.03]), np.zeros((2, 1)))


def random_setting(seed: int) -> StepSetting:
    rng = np.random.default_rng(seed)
    n, p, rank = (int(k) for k in rng.integers(1, 6, size=3))
    design = rng.normal(size=(n, p)) * 10 ** rng.uniform(-1, 0.7)  # separable or not: the bound does not ask
    return StepSetting(design, rng.normal(size=p), 10 ** rng.uniform(-1.5, 0) * rng.normal(size=(p, rank)))


LONG = StepSetting(np.array([[6.0, 3.0], [1.0, -4.0]]), np.zeros(2), np.array([[0.8, 0.0], [0.0, 0.7]]))
SETTINGS = ByBudget(
    quick=(TRAP, LONG, *map(random_setting, range(10))), standard=(TRAP, LONG, *map(random_setting, range(300)))
)
STEPS = 30
OVERFLOW = 1e300


def descent_with(step: Callable[[StepSetting], float]) -> Callable[[StepSetting, Run], dict[str, Any]]:
    """Descent written out here: loss, squared gradient and the largest singular value of the factor at every step."""

    def descend(setting: StepSetting, run: Run) -> dict[str, Any]:
        x, m, s, eta = setting.design, setting.prior_mean.copy(), setting.prior_factor.copy(), step(setting)
        losses, gradients, spreads = [], [], []
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(STEPS + 1):
                c = x @ s
                # a run whose exponents overflow, or meet as inf - inf, is lost: its loss is the largest number there is here
                exponent = np.nan_to_num(-(x @ m) + (c**2).sum(axis=1) / 2, nan=600.0, posinf=600.0)
                force = np.exp(np.minimum(exponent, 600.0))
                down, inward = x.T @ force, x.T @ (force[:, None] * c)
                losses.append(min(force.sum(), OVERFLOW))
                squared = float((down**2).sum() + (inward**2).sum())
                gradients.append(squared if losses[-1] < 1e100 and squared < OVERFLOW else OVERFLOW)
                spreads.append(np.linalg.norm(s, 2) if losses[-1] < 1e100 else OVERFLOW)
                if losses[-1] < 1e100:
                    m, s = m + eta * down, s - eta * inward
        return {
            "loss": np.array(losses),
            "gradient": np.array(gradients),
            "spread": np.array(spreads),
            "step": np.full(STEPS + 1, eta),
        }

    return descend


def compare_decrease(setting: StepSetting, prediction: StepPrediction, rows: Rows) -> Enclosures:
    """(L_t - L_{t+1} - eta/2 ||grad||^2)/L_t and the relative fall of the largest singular value, for every step."""
    loss, spread = rows["loss"], rows["spread"]
    least = rows["step"][:-1] / 2 * rows["gradient"][:-1]
    start = max(float(spread[0]), 1e-300)
    with np.errstate(over="ignore"):
        slack = np.concatenate([(loss[:-1] - loss[1:] - least) / loss[:-1], (spread[:-1] - spread[1:]) / start])
    slack = np.clip(slack, -OVERFLOW, OVERFLOW)
    # a loss is a sum of exponentials whose exponents are off by a few roundings of their own size
    scale = (
        1
        + np.abs(setting.design @ setting.prior_mean).max()
        + float((setting.design**2).sum(axis=1).max()) * spread[0] ** 2
    )
    error = 64 * 2.0**-53 * scale * (1 + setting.design.shape[1])
    return Enclosures(slack - error, slack + error, width=2.01 * float(error))


def sample(rng: np.random.Generator) -> StepSetting:
    n, p, rank = int(rng.integers(1, 5)), int(rng.integers(1, 4)), int(rng.integers(1, 3))
    design = rng.integers(1, 12, size=(n, p)) * rng.choice([-1, 1], size=(n, p)) / 8
    return StepSetting(design, rng.integers(-9, 10, size=p) / 8, rng.integers(-9, 10, size=(p, rank)) / 8)


def last_steps(s: StepSetting) -> list[arb]:
    x, m, f = rational(s.design), rational(s.prior_mean), rational(s.prior_factor)
    margins, columns = x * m, x * f
    squares = [sum((x[n, j] ** 2 for j in range(x.ncols())), x[0, 0] * 0) for n in range(x.nrows())]
    losses = [
        (-arb(margins[n, 0]) + arb(sum((columns[n, k] ** 2 for k in range(f.ncols())), x[0, 0] * 0)) / 2).exp()
        for n in range(x.nrows())
    ]
    gram = f.transpose() * f
    frobenius = sum((gram[k, k] for k in range(f.ncols())), x[0, 0] * 0)
    top = arb(frobenius)
    if f.ncols() == 2:
        top = arb(frobenius) / 2 + (arb(frobenius) ** 2 / 4 - arb(gram.det())).sqrt()
    worst = max((arb(q) * (2 + arb(q) * top) for q in squares), key=float)
    curvature_at_start = sum(
        (loss * arb(q) * (2 + arb(q) * arb(frobenius)) for loss, q in zip(losses, squares, strict=True)), arb(0)
    )
    return [1 / (sum(losses, arb(0)) * worst), 1 / curvature_at_start]


def read(p: StepPrediction) -> np.ndarray:
    return np.array([p.guaranteed, p.heuristic])


def shipped(s: StepSetting) -> np.ndarray:
    return np.array([guaranteed_law_step(s.design, s.prior), heuristic_law_step(s.design, s.prior)])


def width(s: StepSetting) -> float:
    """Exponents off by two roundings of their parts, a few products and sums, and the singular value by 20 u twice."""
    exponent = np.abs(s.design) @ np.abs(s.prior_mean) + (np.abs(s.design @ s.prior_factor) ** 2).sum(axis=1)
    return float((4 * exponent.max() + len(s.design) + 60) * 2.0**-53)


FORMULA = Formula(expression=last_steps, shipped=shipped, read=read, sample=sample, width=width, count=60)


def mutated(change: Callable[[StepSetting], np.ndarray]) -> Mapping[str, Any]:
    return {"claim": replace(FORMULA, shipped=change)}


def without_spread(s: StepSetting) -> float:
    return guaranteed_law_step(s.design, GaussianLaw(s.prior_mean, 0 * s.prior_factor))


CHECKS = (
    Check(
        "decrease at every step",
        Inequality(),
        settings=SETTINGS,
        experiment=descent_with(lambda s: guaranteed_law_step(s.design, s.prior)),
        compare=compare_decrease,
        controls=(
            Control("curvature at the start", {"experiment": descent_with(lambda s: heuristic_law_step(s.design, s.prior))}),
            Control("factor's spread forgotten", {"experiment": descent_with(without_spread)}),
            Control("twelve times the step", {"experiment": descent_with(lambda s: 12 * guaranteed_law_step(s.design, s.prior))}),
        ),
    ),
    Check(
        "shipped functions",
        FORMULA,
        controls=(
            Control("off by 1e-11", mutated(lambda s: (1 + 1e-11) * shipped(s))),
            Control("factor 1e-7 too wide", mutated(lambda s: shipped(replace(s, prior_factor=s.prior_factor * (1 + 1e-7))))),
            Control("spread forgotten", mutated(lambda s: shipped(replace(s, prior_factor=0 * s.prior_factor)))),
        ),
    ),
)  # fmt: skip

RESULT = Result(CLASS_STEP, predict=predict, example=TRAP, checks=CHECKS, derivation=DERIVATION)
