"""Mini-batch descent with a fixed step on separable data: the constant term of descent, with time scaled by b/N."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from flint import arb
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.implicit_bias.max_margin import max_margin
from ....numerics.implicit_bias.separable_limits import constant_term, limit_remainder
from ....numerics.store import Rows
from ....numerics.training.separable_sgd import descend_mini_batches
from ....theory.axioms import ROBBINS_MONRO
from ....theory.derivation import Algebra, Axiom, Cited, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.implicit_bias.max_margin import LOGIT_SGD
from ....theory.validation import finite
from ...result import ByBudget, Check, Control, Result, Run
from ..separable_problems import (
    SeparatorFloats,
    constant_balls,
    distance_to_constant,
    exact_separator,
    random_separable,
)
from . import residual


@dataclass(frozen=True, eq=False)
class MiniBatchSetting:
    """Labelled rows (examples, parameters), w_0 (parameters,), the step, the batch, how it is drawn, and the number of steps."""

    design: Float[np.ndarray, "examples parameters"]
    initial: Float[np.ndarray, " parameters"]
    step: float
    batch: int
    steps: int
    loss: Literal["exponential", "logistic"]
    replacement: bool

    def __post_init__(self) -> None:
        x, start = finite("design", self.design, ndim=2), finite("initial", self.initial, ndim=1)
        if not x.size or start.shape != x.shape[1:] or not 1 <= self.batch <= len(x):
            raise InvalidInput(
                f"design has shape {x.shape}, initial {start.shape}, batch is {self.batch}.",
                "Pass a batch of 1 to N rows.",
            )
        if not (finite("step", self.step, ndim=0) > 0 and self.steps >= 1):
            raise InvalidInput("step or steps are not positive.", "Pass a positive step and a whole number of steps.")

    @property
    def effective_step(self) -> float:
        """eta b/N, the mean step on the sum over all rows."""
        return self.step * self.batch / len(self.design)


@dataclass(frozen=True, eq=False)
class MiniBatchPrediction:
    """w_hat, w_tilde + P w_0 (parameters,), and the loss of every row times t, N alpha_n/(eta b)."""

    weights: Float[np.ndarray, " parameters"]
    remainder: Float[np.ndarray, " parameters"]
    losses: Float[np.ndarray, " examples"]


# --- derivation ---------------------------------------------------------------------------------------------------


def mean_drift() -> list[tuple[Any, Any]]:
    """Batches of 1 and of 2 from three rows: the mean of the summed batch gradient is b/N times the sum over all rows."""
    import itertools

    import sympy

    forces = sympy.symbols("f1:4", real=True)
    total = sum(forces)
    pairs = [(sum(forces) / 3, total / 3)]
    pairs.append((sum(a + b for a, b in itertools.product(forces, repeat=2)) / 9, sympy.Rational(2, 3) * total))
    pairs.append((sum(a + b for a, b in itertools.combinations(forces, 2)) / 3, sympy.Rational(2, 3) * total))
    eta, batch, count, alpha, time = sympy.symbols("eta b N alpha t", positive=True)
    constant = sympy.log(eta * batch / (count * alpha))
    pairs.append((sympy.exp(-(sympy.log(time) + constant)) * eta * batch / count * time, alpha))
    return pairs


def scaled_recursion() -> list[tuple[Any, Any]]:
    """r = w - w_hat log t: what a step of size t^-1 e^(-x.r) makes of it, and log(1 + 1/t) - 1/t = O(t^-2)."""
    import sympy

    time, eta = sympy.symbols("t eta", positive=True)
    r, u = sympy.symbols("r u", real=True)  # a support row has margin log t + u, u = x_n^T r
    force = eta * sympy.exp(-(sympy.log(time) + u))
    gap = sympy.series(sympy.log(1 + 1 / time), time, sympy.oo, 3).removeO()
    return [
        (force, eta * sympy.exp(-u) / time),
        (r + force - r, eta * sympy.exp(-u) / time),
        (gap - 1 / time, -1 / (2 * time**2)),
    ]


DERIVATION = (
    Cited("nacson2019", "with a small fixed step the loss is O(1/t) and the direction tends to w_hat, at the rate 1/log t"),
    Algebra("a batch of b rows moves w on average as a step eta b/N on the whole sum, drawn with or without replacement", mean_drift),
    Algebra("r = w - w_hat log t moves by 1/t times (eta times the batch sum of e^(-x_n^T r) x_n, less w_hat), up to O(t^-2)", scaled_recursion),
    Uses(residual.RESULT, "the mean of that is -grad F(r), F convex with the unique minimiser w_tilde of the step eta b/N on span(SV)"),
    Axiom(ROBBINS_MONRO, "so a bounded r tends to w_tilde (without replacement: epoch by epoch, where the noise is itself O(t^-2))"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: MiniBatchSetting) -> MiniBatchPrediction:
    solution = max_margin(s.design)
    remainder = limit_remainder(s.design, s.initial, step=s.effective_step)
    return MiniBatchPrediction(solution.weights, remainder, solution.dual / s.effective_step)


# --- checks -------------------------------------------------------------------------------------------------------

RUNS = 16
UNIT_ROUNDOFF = 2.0**-53


def setting(seed: int) -> MiniBatchSetting:
    """Two or three rows, all of them support vectors, that a step of a fifth of 1/B^2 leaves far behind within the run."""
    rng = np.random.default_rng(seed)
    examples = 2 + seed % 2
    design = random_separable(rng, examples=examples, parameters=3, spanning=True, exponent=0.7, distance=1.2)
    step = 0.2 / float((design**2).sum(axis=1).max())
    loss: Literal["exponential", "logistic"] = "logistic" if seed % 4 > 1 else "exponential"
    return MiniBatchSetting(
        design, 0.1 * rng.normal(size=(3,)), step, 1 if seed % 3 else examples - 1, 12000, loss, True
    )


SETTINGS = ByBudget(
    quick=lambda: (setting(1), replace(setting(2), replacement=False, batch=1)),
    standard=lambda: (*map(setting, range(6)), *(replace(setting(k), replacement=False, batch=1) for k in range(4))),
)


def descend(setting: MiniBatchSetting, run: Run) -> dict[str, Any]:
    """Mini-batch descent, step by step, in independent runs."""
    s = setting
    path = descend_mini_batches(
        s.design,
        s.initial,
        step=s.step,
        batch=s.batch,
        record=(s.steps,),
        runs=RUNS,
        seed=run.seed,
        loss=s.loss,
        replacement=s.replacement,
    )
    return {"weights": path[0]}


def distances(s: MiniBatchSetting, rows: Rows) -> np.ndarray:
    """How far each run's end is from the claimed point, from its state alone, and what rounding adds over the steps."""
    found = SeparatorFloats.of(s.design)
    assert found is not None
    shown = np.array([distance_to_constant(found, w, math.log(s.effective_step * s.steps)) for w in rows["weights"]])
    return np.asarray(shown + 8 * UNIT_ROUNDOFF * s.steps * np.linalg.norm(rows["weights"], axis=1))


def compare_mean(setting: MiniBatchSetting, prediction: MiniBatchPrediction, rows: Rows) -> Comparison:
    """Every run against w_hat log t + w_tilde + P w_0."""
    bound = distances(setting, rows)
    predicted = prediction.weights * math.log(setting.steps) + prediction.remainder
    size = np.linalg.norm(rows["weights"], axis=1)
    return Comparison(rows["weights"], np.tile(predicted, (RUNS, 1)), bound[:, None], size[:, None])


def compare_losses(setting: MiniBatchSetting, prediction: MiniBatchPrediction, rows: Rows) -> Comparison:
    """log(t exp(-x_n^T w)) of every row and run against log(N alpha_n/(eta b)): the loss is of order 1/t, with this constant."""
    observed = math.log(setting.steps) - rows["weights"] @ setting.design.T
    bound = distances(setting, rows)[:, None] * np.linalg.norm(setting.design, axis=1)
    return Comparison(observed, np.tile(np.log(prediction.losses), (RUNS, 1)), bound, math.log(setting.steps))


def by(change: Callable[[MiniBatchSetting, MiniBatchPrediction], Mapping[str, Any]]) -> Mapping[str, Any]:
    def wrong(s: MiniBatchSetting) -> MiniBatchPrediction:
        right = predict(s)
        return replace(right, **change(s, right))

    return {"predict": wrong}


def with_step(step: Callable[[MiniBatchSetting], float]) -> Mapping[str, Any]:
    return by(
        lambda s, p: {
            "remainder": limit_remainder(s.design, s.initial, step=step(s)),
            "losses": max_margin(s.design).dual / step(s),
        }
    )


def sample(rng: np.random.Generator) -> MiniBatchSetting:
    design = random_separable(rng, examples=int(rng.integers(1, 4)), parameters=4, spanning=True)
    batch = int(rng.integers(1, len(design) + 1))
    return MiniBatchSetting(design, np.zeros(4), float(10 ** rng.uniform(-3, 0)), batch, 1, "exponential", True)


def last_steps(s: MiniBatchSetting) -> list[arb]:
    exact = exact_separator(s.design)
    assert exact is not None
    # constant_balls takes a float step, so the exact b/N enters as a logarithm along w_hat: x_n^T w_hat = 1
    constant = constant_balls(s.design, exact, s.step)
    share = (arb(s.batch) / arb(len(s.design))).log()
    return [constant[i, 0] + share * arb(exact.weights[i, 0]) for i in range(constant.nrows())]


def shipped(s: MiniBatchSetting) -> np.ndarray:
    return constant_term(s.design, step=s.effective_step)


def width(s: MiniBatchSetting) -> np.ndarray:
    """20 (P + |SV|) u of the solve, as for the constant term of descent, and of one more logarithm."""
    found, values = SeparatorFloats.of(s.design), shipped(s)
    assert found is not None
    inverse, condition = float(np.linalg.norm(np.linalg.pinv(found.rows), 2)), float(np.linalg.cond(found.rows))
    solve = condition * float(np.linalg.norm(values)) + 2 * inverse * math.sqrt(len(found.alpha))
    return 20 * sum(found.rows.shape) * UNIT_ROUNDOFF * solve / np.abs(values)


FORMULA = Formula(
    expression=last_steps, shipped=shipped, read=lambda p: p.remainder, sample=sample, width=width, count=40
)
EXAMPLE = MiniBatchSetting(np.array([[1.0, 0.0, 1.0], [1.0, 2.0, 0.0]]), np.zeros(3), 0.05, 1, 1000, "logistic", True)

CHECKS = (
    Check(
        "constant term of every run",
        Agreement("convergence", relative=5e-2),
        settings=SETTINGS,
        experiment=descend,
        compare=compare_mean,
        controls=(
            Control("time not scaled by b/N", with_step(lambda s: s.step)),
            Control("step forgotten", with_step(lambda s: s.batch / len(s.design))),
            Control("log alpha in place of -log alpha", by(lambda s, p: {"remainder": np.linalg.pinv(s.design) @ np.log(s.effective_step * max_margin(s.design).dual)})),
        ),
    ),
    Check(
        "loss of every row",
        Agreement("convergence", relative=5e-2),
        settings=SETTINGS,
        experiment=descend,
        compare=compare_losses,
        controls=(
            Control("time not scaled by b/N", with_step(lambda s: s.step)),
            Control("equal losses", by(lambda s, p: {"losses": np.full_like(p.losses, 10 * p.losses.mean())})),
        ),
    ),
    Check(
        "shipped constant",
        FORMULA,
        controls=(
            Control("off by 1e-9", {"claim": replace(FORMULA, shipped=lambda s: (1 + 1e-9) * shipped(s))}),
            Control("batch forgotten", {"claim": replace(FORMULA, shipped=lambda s: constant_term(s.design, step=s.step / len(s.design)))}),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    LOGIT_SGD, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(residual.RESULT,), derivation=DERIVATION
)
