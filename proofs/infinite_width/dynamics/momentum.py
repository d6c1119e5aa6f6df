"""Heavy ball: its law after k steps, and its stability limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import sympy
from flint import arb, arb_mat, ctx
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Enclosures, Formula, Inequality
from ....numerics.store import Rows
from ....numerics.wide_networks.ensemble import ensemble_law
from ....numerics.wide_networks.step_sizes import largest_step_size_sum_loss
from ....theory.axioms import SPECTRAL
from ....theory.balls.context import exact_fraction, to_ball
from ....theory.balls.linear_training import power, split
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.dynamics import MOMENTUM
from ...result import ByBudget, Check, Control, Result
from ..linear_models import (
    DIGITS,
    EPS,
    LinearModel,
    exact_kernels,
    exact_law,
    flatten,
    gain_error,
    kernels,
    law_width,
    parameter_law,
    random_model,
    stable_step,
)
from .descent import GD, enclose
from .flow import FLOW


@dataclass(frozen=True)
class HeavyBallPrediction:
    """The law after k steps, and the stability limit of the step size."""

    mean: Float[np.ndarray, " test"]
    covariance: Float[np.ndarray, "test test"]
    largest: float


def predict(s: LinearModel) -> HeavyBallPrediction:
    k, t = kernels(s)
    law = ensemble_law(k, t, s.labels, training=s.training)
    return HeavyBallPrediction(law.mean, law.covariance, largest_step_size_sum_loss(t.train, momentum=s.momentum))


# --- derivation ---------------------------------------------------------------------------------------------------


def one_mode() -> list[tuple[Any, Any]]:
    """r_{k+1} = r_k - eta h r_k + beta (r_k - r_{k-1}) from r_0 = r_{-1} is r0 (1 - h a_k) with the recursion of a_k."""
    h, eta, beta, r0 = sympy.symbols("h eta beta r0", positive=True)
    before, now, last, moved, equations = r0, r0, sympy.Integer(0), sympy.Integer(0), []
    for _ in range(4):
        before, now = now, now - eta * h * now + beta * (now - before)
        last, moved = moved, moved + eta * (1 - h * moved) + beta * (moved - last)
        equations.append((now, r0 * (1 - h * moved)))
    return equations


def roots() -> list[tuple[Any, Any]]:
    """p(z) = z^2 - (1 + beta - x) z + beta: product and sum of its roots, p(1) = x, p(-1) = 2 (1 + beta) - x."""
    x, beta, a, b, z = sympy.symbols("x beta a b z", real=True)
    p = z**2 - (1 + beta - x) * z + beta
    vieta = sympy.expand((z - a) * (z - b))
    return [
        (p.subs(z, 1), x),
        (p.subs(z, -1), 2 * (1 + beta) - x),
        (vieta.coeff(z, 0), a * b),
        (p.coeff(z, 0) if p.is_Add else p.subs(z, 0), beta),
        (sympy.expand((1 - a) * (1 - b)), vieta.subs(z, 1)),
    ]


# --- checks -------------------------------------------------------------------------------------------------------


def random_heavy_ball(rng: np.random.Generator) -> LinearModel:
    s, beta = random_model(rng), float(rng.integers(1, 15)) / 16
    step = stable_step(s, float(rng.uniform(0.05, 0.95)), beta)
    return replace(s, steps=int(rng.integers(1, 120)), step_size_sum_loss=step, momentum=beta)


def exact(s: LinearModel) -> list[arb]:
    with ctx.workdps(DIGITS + 60):
        _, _, train = split(exact_kernels(s)[1], s.tests)
        top = arb(0)
        for root in train.eig():
            top = top.max(root.real)
        return [*exact_law(s), 2 * (1 + to_ball(exact_fraction("momentum", s.momentum))) / top]


def read(p: HeavyBallPrediction) -> np.ndarray:
    return np.append(flatten(p), p.largest)


def widths(s: LinearModel) -> np.ndarray:
    return np.append(law_width(s, *kernels(s), predict(s)), 20 * len(s.labels) * EPS)


FORMULA = Formula(exact, lambda s: read(predict(s)), read, random_heavy_ball, widths, count=40)


def roll(s: LinearModel, *, nesterov: bool = False) -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """theta <- theta - eta J^T (J theta - y) + beta (theta - previous), column by column, from rest."""

    def train(j: np.ndarray, goals: np.ndarray, start: np.ndarray) -> np.ndarray:
        theta, previous = start.copy(), start.copy()
        for _ in range(s.steps):
            push = s.momentum * (theta - previous)
            at = theta + push if nesterov else theta
            theta, previous = theta + push - s.step_size_sum_loss * (j.T @ (j @ at - goals)), theta
        return theta

    return train


def compare_parameters(s: LinearModel, p: HeavyBallPrediction, rows: Rows, *, nesterov: bool = False) -> Comparison:
    """Each of k steps rounds (p+N) eps of the parameters; what a stable map makes of it grows at most like 1/(1 - beta)."""
    observed = parameter_law(s, roll(s, nesterov=nesterov))
    gain, error = gain_error(s, kernels(s)[1])
    size = float(np.linalg.norm(s.jacobian))
    step = s.step_size_sum_loss * size**2
    total = error + 10 * s.steps * sum(s.jacobian.shape) * EPS * (1 + gain) * size * (1 + step) / (1 - s.momentum)
    joint, label = float(np.linalg.norm(s.readout) ** 2), float(np.linalg.norm(s.labels))
    split_up = [s.tests, s.tests**2]
    return Comparison(
        flatten(observed),
        flatten(p),
        np.repeat([2 * total * label, 4 * total * (1 + gain) * joint], split_up),
        np.repeat([(1 + gain) * label, (1 + gain) ** 2 * joint], split_up),
    )


def compare_stability(s: LinearModel, p: HeavyBallPrediction, rows: Rows) -> Enclosures:
    """The companion map to the power 2^26, at steps 1e-6 below and above the limit: to 0, and beyond 1."""
    with ctx.workdps(400):
        _, _, train = split(exact_kernels(s)[1], s.tests)
        n, beta, margins = train.nrows(), to_ball(exact_fraction("momentum", s.momentum)), []
        for change, sign in ((-1e-6, 1), (1e-6, -1)):
            eta = to_ball(exact_fraction("step", p.largest * (1 + change)))
            rows_ = [
                [(1 + beta) * int(i == j) - eta * train[i, j] for j in range(n)]
                + [-beta * int(i == j) for j in range(n)]
                for i in range(n)
            ]
            rows_ += [[arb(int(i == j)) for j in range(n)] + [arb(0)] * n for i in range(n)]
            moved = power(arb_mat(rows_), 1 << 26)
            margins.append(sign * (1 - sum((entry**2 for entry in moved.entries()), arb(0))))
        return enclose([value.min(arb(1)).max(arb(-1)) for value in margins])


def changed(**changes: Callable[[LinearModel], Any]) -> Callable[[LinearModel], HeavyBallPrediction]:
    return lambda s: predict(replace(s, **{name: change(s) for name, change in changes.items()}))


def limit(factor: Callable[[LinearModel], float]) -> Callable[[LinearModel], HeavyBallPrediction]:
    return lambda s: replace(predict(s), largest=predict(s).largest * factor(s))


def mutant(function: Callable[[LinearModel], HeavyBallPrediction]) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=lambda s: read(function(s)))}


_rng = np.random.default_rng(22)
EXAMPLE = random_heavy_ball(_rng)
SETTINGS = ByBudget(quick=tuple(random_heavy_ball(_rng) for _ in range(4)))
NO_MOMENTUM = changed(momentum=lambda s: 0.0, step_size_sum_loss=lambda s: s.step_size_sum_loss / 2)


def plain_limit(s: LinearModel) -> float:
    return largest_step_size_sum_loss(kernels(s)[1].train)


AS_LARGER_STEP = changed(
    momentum=lambda s: 0.0,
    step_size_sum_loss=lambda s: min(s.step_size_sum_loss / (1 - s.momentum), 0.99 * plain_limit(s)),
)

RESULT = Result(
    MOMENTUM,
    predict,
    EXAMPLE,
    (
        Check(
            "shipped law and limit",
            FORMULA,
            controls=(
                Control("momentum forgotten, half the step", mutant(NO_MOMENTUM)),
                Control("momentum as a larger step", mutant(AS_LARGER_STEP)),
                Control("one step more", mutant(changed(steps=lambda s: s.steps + 1))),
                Control("limit 2/lambda_max", mutant(limit(lambda s: 1 / (1 + s.momentum)))),
                Control("limit 2 (1 - beta)/lambda_max", mutant(limit(lambda s: (1 - s.momentum) / (1 + s.momentum)))),
            ),
        ),
        Check(
            "heavy ball on the parameters, step by step",
            Agreement("rounding"),
            settings=SETTINGS,
            compare=compare_parameters,
            controls=(
                Control("momentum forgotten, half the step", {"predict": NO_MOMENTUM}),
                Control("Nesterov's gradient at the extrapolated point", {"compare": partial(compare_parameters, nesterov=True)}),
                Control("one step more", {"predict": changed(steps=lambda s: s.steps + 1)}),
            ),
        ),
        Check(
            "powers of the companion map decay just below the limit and grow just above it",
            Inequality(),
            settings=SETTINGS,
            compare=compare_stability,
            controls=(
                Control("limit 2/lambda_max", {"predict": limit(lambda s: 1 / (1 + s.momentum))}),
                Control("limit 2/((1 - beta) lambda_max)", {"predict": limit(lambda s: 1 / (1 - s.momentum**2))}),
                Control("limit of the mean loss", {"predict": limit(lambda s: float(len(s.labels)))}),
            ),
        ),
    ),
    uses=(FLOW, GD),
    derivation=(
        Uses(FLOW, "the gradient moves the outputs by -T_*X (f(X) - y)"),
        Axiom(SPECTRAL, "T_XX is diagonal in an orthonormal basis, with positive eigenvalues h"),
        Algebra("each mode of the residual is r0 (1 - h a_k), with a_k of the second-order recursion", one_mode),
        Algebra("its roots a, b have ab = beta and (1-a)(1-b) = x = eta h > 0, (1+a)(1+b) = 2 (1+beta) - x. Complex ones have modulus sqrt(beta) < 1. Real ones: at x = 2 (1+beta) one is -1 and beyond it one is below -1; for 0 < x < 2 (1+beta) both products are positive and |ab| < 1, so both lie inside (-1, 1)", roots),
        Uses(GD, "with beta = 0 it is gradient descent"),
    ),
)  # fmt: skip

RESULTS = (RESULT,)
