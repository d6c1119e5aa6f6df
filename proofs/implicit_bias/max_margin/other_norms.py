"""Steepest descent in a norm maximises the margin in that norm: coordinate descent for l1, sign descent for l_inf."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from flint import arb, fmpq, fmpq_mat
from jaxtyping import Float

from ....numerics.claims import Enclosures, Formula, Inequality
from ....numerics.implicit_bias.steepest import Norm, dual_norm_of, norm_of, steepest_max_margin
from ....numerics.store import Rows
from ....numerics.training.steepest import descend_steepest
from ....theory.axioms import CAUCHY_SCHWARZ, DESCENT_LEMMA, MINIMAX
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.implicit_bias.max_margin import STEEPEST
from ...result import ByBudget, Check, Control, Result, Run
from ..problems import rational
from ..separable_problems import separable_design
from . import direction
from .direction import ROUNDING, SeparableSetting, step_gains, telescoped


@dataclass(frozen=True, eq=False)
class SteepestSetting(SeparableSetting):
    """Labelled rows, w_0, the step eta, the numbers of steps to look at, and the norm."""

    norm: Literal["l1", "linf"]


@dataclass(frozen=True, eq=False)
class SteepestPrediction:
    """gamma; and for each time the least relative margin and the largest loss that the theorem allows."""

    margin: float
    relative_margin: Float[np.ndarray, " times"]
    loss: Float[np.ndarray, " times"]


# --- derivation ---------------------------------------------------------------------------------------------------


def unit_moves() -> list[tuple[Any, Any]]:
    """-grad . move for one coordinate and for the signs, in the plane with |g_1| = a + b >= |g_2| = a; curvature of exp."""
    import sympy

    a, b, h, u, loss = sympy.symbols("a b h u L", positive=True)
    g = sympy.Matrix([a + b, -a])
    coordinate, signs = sympy.Matrix([1, 0]), sympy.Matrix([1, -1])
    return [
        (g.dot(coordinate), a + b),  # the l_inf norm of g, along a vector of l1 norm 1
        (g.dot(signs), (a + b) + a),  # the l1 norm of g, along a vector of l_inf norm 1
        (sympy.diff(loss * sympy.exp(-h * u), h, 2).subs(h, 0), loss * u**2),
    ]


DERIVATION = (
    Axiom(MINIMAX, "gamma = max over |v| <= 1 of min over the simplex of lambda^T X v = min over the simplex of |X^T lambda|_*"),
    Axiom(CAUCHY_SCHWARZ, "its form for dual norms: u.v <= |u|_* |v|; with -grad L = X^T l, l/L on the simplex: |grad L|_* >= gamma L"),
    Algebra("the move of length |grad L|_* lowers L at the rate |grad L|_*^2, for one coordinate and for the signs", unit_moves),
    Axiom(DESCENT_LEMMA, "along a move of norm r the curvature of L is at most r^2 B^2 L: L falls by eta (1 - eta B^2 L/2) |grad L|_*^2"),
    Uses(direction.RESULT, "the rest is as there, with g = |grad L|_* and lengths of moves in |.|"),
    Algebra("the gains of a step", step_gains),
    Algebra("summed, min margin >= -log L >= gamma (|w| - |w_0|) - log L(w_0) - eta B^2 L(w_0)", telescoped),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: SteepestSetting) -> SteepestPrediction:
    gamma = steepest_max_margin(s.design, norm=s.norm).margin
    loss = float(np.exp(-(s.design @ s.initial)).sum())
    longest = max(dual_norm_of(row, norm=s.norm) for row in s.design)
    inverse = 1 / loss + s.step * gamma**2 * np.array(s.times) / 2
    constant = gamma * norm_of(s.initial, norm=s.norm) + math.log(loss) + s.step * longest**2 * loss
    logs = np.log(inverse)
    relative = np.where(logs > 0, 1 - constant / np.where(logs > 0, logs, 1.0), -np.inf)
    return SteepestPrediction(gamma, np.maximum(relative, -longest / gamma), 1 / inverse)


# --- checks -------------------------------------------------------------------------------------------------------


def random_setting(seed: int) -> SteepestSetting:
    rng = np.random.default_rng(seed)
    norm: Norm = "l1" if seed % 2 else "linf"
    design = separable_design(rng, examples=int(rng.integers(2, 7)), parameters=int(rng.integers(2, 6)), distance=0.5)
    initial = 0.1 * rng.normal(size=(design.shape[1],)) * rng.choice([0.0, 1.0])
    longest = max(dual_norm_of(row, norm=norm) for row in design)
    step = rng.uniform(0.5, 1) / (longest**2 * float(np.exp(-(design @ initial)).sum()))
    return SteepestSetting(design, initial, step, (1, 10, 100, 1000, 6000), norm)


SETTINGS = ByBudget(quick=tuple(map(random_setting, range(6))), standard=tuple(map(random_setting, range(60))))


def descend(setting: SteepestSetting, run: Run) -> dict[str, Any]:
    s = setting
    weights, losses = descend_steepest(s.design, s.initial, norm=s.norm, step=s.step, record=s.times)
    return {"weights": weights, "loss": losses}


def descend_in(norm: Literal["l1", "l2", "linf"]) -> Mapping[str, Any]:
    """Descent in another norm than the setting's, from the same start, with a step that is safe for it too."""

    def experiment(setting: SteepestSetting, run: Run) -> dict[str, Any]:
        s = setting
        weights, losses = descend_steepest(
            s.design, s.initial, norm=norm, step=s.step / s.design.shape[1] ** 2, record=s.times
        )
        return {"weights": weights, "loss": losses}

    return {"experiment": experiment}


def compare_margin(setting: SteepestSetting, prediction: SteepestPrediction, rows: Rows) -> Enclosures:
    """1 - ratio, ratio - its lower bound, and the relative slack of the loss, all at least 0."""
    norm = np.array([norm_of(w, norm=setting.norm) for w in rows["weights"]])
    ratio = (rows["weights"] @ setting.design.T).min(axis=1) / (prediction.margin * norm)
    slack = np.concatenate([1 - ratio, ratio - prediction.relative_margin, prediction.loss / rows["loss"] - 1])
    return Enclosures(slack - ROUNDING, slack + ROUNDING, width=2 * ROUNDING * (1 + 1e-3))


def by(change: Callable[[SteepestSetting, SteepestPrediction], Mapping[str, Any]]) -> Mapping[str, Any]:
    def wrong(s: SteepestSetting) -> SteepestPrediction:
        right = predict(s)
        return replace(right, **change(s, right))

    return {"predict": wrong}


def other_margin(s: SteepestSetting, p: SteepestPrediction) -> Mapping[str, Any]:
    return {"margin": steepest_max_margin(s.design, norm="linf" if s.norm == "l1" else "l1").margin}


def sample(rng: np.random.Generator) -> SteepestSetting:
    design = separable_design(rng, examples=int(rng.integers(1, 4)), parameters=int(rng.integers(1, 4)))
    return SteepestSetting(design, np.zeros(design.shape[1]), 0.1, (1,), "l1" if rng.random() < 0.5 else "linf")


def last_steps(s: SteepestSetting) -> arb:
    """min over the simplex of |X^T lambda|_*, exactly: it is attained where N - 1 of the kinks and walls meet.

    Kinks of |a|_1 are a_i = 0, those of |a|_inf are a_i = a_j and a_i = -a_j (and a_i = 0); walls are lambda_n = 0.
    """
    x = rational(s.design)
    n, p = x.nrows(), x.ncols()
    lines = [[fmpq(int(i == k)) for i in range(n)] for k in range(n)] + [[x[i, j] for i in range(n)] for j in range(p)]
    if s.norm == "l1":
        for i, j in itertools.combinations(range(p), 2):
            lines += [[x[k, i] - x[k, j] for k in range(n)], [x[k, i] + x[k, j] for k in range(n)]]
    best: fmpq | None = None
    for chosen in itertools.combinations(lines, n - 1):
        system = fmpq_mat(n, n, [1] * n + [entry for line in chosen for entry in line])
        if system.det() == 0:
            continue
        weights = system.solve(fmpq_mat(n, 1, [1] + [0] * (n - 1)))
        if all(entry >= 0 for entry in weights.entries()):
            image = [abs(entry) for entry in (x.transpose() * weights).entries()]
            value = max(image) if s.norm == "l1" else sum(image, fmpq(0))
            best = value if best is None or value < best else best
    assert best is not None
    return arb(best)


def shipped(s: SteepestSetting) -> float:
    return steepest_max_margin(s.design, norm=s.norm).margin


def width(s: SteepestSetting) -> float:
    """The certified duality gap, 1e-10 relative at most, and the rounding of the two values it compares."""
    found = steepest_max_margin(s.design, norm=s.norm)
    rounding = 8 * sum(s.design.shape) * 2.0**-53 * float(np.abs(s.design).sum()) / found.margin
    return abs(found.gap) + rounding


FORMULA = Formula(expression=last_steps, shipped=shipped, read=lambda p: p.margin, sample=sample, width=width, count=40)
EXAMPLE = SteepestSetting(np.array([[1.0, 0.2], [0.3, 1.0]]), np.zeros(2), 0.2, (10, 1000), "l1")

CHECKS = (
    Check(
        "margin and loss of real steepest descent",
        Inequality(),
        settings=SETTINGS,
        experiment=descend,
        compare=compare_margin,
        controls=(
            Control("margin of the dual norm", by(other_margin)),
            Control("gamma doubled", by(lambda s, p: {"margin": 2 * p.margin})),
            Control("rate 1/t", by(lambda s, p: {"relative_margin": 1 - 3 / (1 + np.array(s.times))})),
            Control("loss five times smaller", by(lambda s, p: {"loss": p.loss / 5})),
        ),
    ),
    Check(
        "shipped margin",
        FORMULA,
        controls=(
            Control("off by 1e-8", {"claim": replace(FORMULA, shipped=lambda s: (1 + 1e-8) * shipped(s))}),
            Control("dual norm", {"claim": replace(FORMULA, shipped=lambda s: shipped(replace(s, norm="linf" if s.norm == "l1" else "l1")))}),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    STEEPEST, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(direction.RESULT,), derivation=DERIVATION
)
