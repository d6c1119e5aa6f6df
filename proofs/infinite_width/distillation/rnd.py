"""Random network distillation: the error of a predictor trained on a random target has twice the ensemble's covariance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import scipy.linalg
import sympy
from flint import arb, arb_mat, ctx
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Formula, Ladder, LimitWithRate
from ....numerics.store import Rows
from ....numerics.wide_networks.ensemble import ensemble_covariance, rnd_error_covariance
from ....theory.axioms import CONDITIONING, GAUSSIAN_AFFINE, INDEPENDENCE
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.distillation import RND_EQUALS_ENSEMBLE
from ...result import ByBudget, Check, Control, Result
from ..dynamics import ensemble_law
from ..dynamics.ensemble_law import DIGITS, EXAMPLE, HALF_ULP, exact_grams, exact_residual_map, posterior
from ..finite_networks import distil, table
from ..kernels import nngp
from ..settings import EnsembleSetting, blocks


@dataclass(frozen=True)
class RNDPrediction:
    """Covariance (S, S) of the converged error u - g at the test points, and of the ensemble there: half of it."""

    error_covariance: Float[np.ndarray, "test test"]
    ensemble_covariance: Float[np.ndarray, "test test"]


# --- derivation ---------------------------------------------------------------------------------------------------


def error_is_a_smoothed_difference() -> list[tuple[Any, Any]]:
    """u0 + G (g(X) - u0(X)) - g = M (u0 - g) for any row G; two training points."""
    u, g, u1, u2, g1, g2, s1, s2 = sympy.symbols("u g u1 u2 g1 g2 s1 s2", real=True)
    trained = u + s1 * (g1 - u1) + s2 * (g2 - u2)
    return [(trained - g, (u - g) - s1 * (u1 - g1) - s2 * (u2 - g2))]


def covariances_add_up() -> list[tuple[Any, Any]]:
    """Cov of M (u0 - g) is M (K_u + K_g) M^T, which is 2 M K M^T for K_u = K_g = K and (1 + c^2) M K M^T for a target c g."""
    smoother = sympy.Matrix([[1, *(-s for s in sympy.symbols("s1 s2", real=True))]])
    c = sympy.symbols("c", real=True)
    entries = sympy.symbols("k0:6", real=True)
    k = sympy.Matrix(
        [
            [entries[0], entries[1], entries[2]],
            [entries[1], entries[3], entries[4]],
            [entries[2], entries[4], entries[5]],
        ]
    )
    one = (smoother * k * smoother.T)[0]
    both = sympy.Matrix.hstack(smoother, -c * smoother)
    joint = sympy.diag(k, k)  # independent predictor and target
    error = (both * joint * both.T)[0]
    return [(error, (1 + c**2) * one), (error.subs(c, 1), 2 * one)]


def one_smoother_per_mode() -> list[tuple[Any, Any]]:
    """In an eigenvector of T_XX: k steps of descent from r0 leave r0 (1 - eta h)^k, with or without a ridge the same map of r0."""
    h, eta, lam, r0 = sympy.symbols("h eta lam r0", positive=True)
    moved, equations = sympy.Integer(0), []
    for k in range(1, 5):
        moved = moved - eta * ((h + lam) * moved - r0)  # minimise (h moved - r0)^2/(2h) + lam moved^2/2
        equations.append((moved, r0 * (1 - (1 - eta * (h + lam)) ** k) / (h + lam)))
    return equations


DERIVATION = (
    Axiom(CONDITIONING, "u0 is independent of g; given g its values on X are constant labels"),
    Uses(ensemble_law.RESULT, "so u is a member trained on them: u_t = u0 + G_t (g(X) - u0(X)), with G_t = T_*X A_t and no draw in it"),
    Algebra("flow, steps of descent or a ridge towards u0: each moves a mode of u0(X) - g(X) by a factor that no draw enters", one_smoother_per_mode),
    Algebra("so the error is u_t - g = M_t (u0 - g), whatever the smoother G_t", error_is_a_smoothed_difference),
    Uses(nngp.RESULT, "u0 and g are each N(0, K) in the limit"),
    Axiom(INDEPENDENCE, "and independent, so the covariance of u0 - g is K + K"),
    Axiom(GAUSSIAN_AFFINE, "and u_t - g is Gaussian with covariance M_t (K + K) M_t^T"),
    Algebra("the constant is 2; 1 + c^2 for a target c g, so 1 for a centred predictor (u0 subtracted)", covariances_add_up),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: EnsembleSetting) -> RNDPrediction:
    k, t = blocks(s)
    return RNDPrediction(rnd_error_covariance(k, t), ensemble_covariance(k, t))


# --- checks: the formula ------------------------------------------------------------------------------------------


def last_step(s: EnsembleSetting) -> list[arb]:
    """[M, -M] applied to independent u0 and g, both with covariance K."""
    with ctx.workdps(DIGITS + 20):
        k, t = exact_grams(s)
        residual = exact_residual_map(s, t)
        size = k.nrows()
        both = arb_mat(
            [[residual[i, j % size] * (-1) ** (j // size) for j in range(2 * size)] for i in range(len(s.test))]
        )
        joint = arb_mat(
            [
                [k[i % size, j % size] if i // size == j // size else arb(0) for j in range(2 * size)]
                for i in range(2 * size)
            ]
        )
        return (both * joint * both.transpose()).entries()


def shipped(s: EnsembleSetting) -> np.ndarray:
    return rnd_error_covariance(*blocks(s)).ravel()


FORMULA = Formula(
    expression=last_step,
    shipped=shipped,
    read=lambda p: p.error_covariance,
    sample=ensemble_law.sample,
    width=lambda s: ensemble_law.width(s)[len(s.test) :],
    count=30,
)


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=function)}


# --- checks: every time ---------------------------------------------------------------------------------------------


def compare_times(
    s: EnsembleSetting, p: RNDPrediction, rows: Rows, *, factor: float = 2.0, ensemble_time: float | None = None
) -> Comparison:
    """The matrix exponential of the joint flow of (u(*), u(X), g(*), g(X)), against twice the ensemble at the same time."""
    k, t = blocks(s)
    tests, train = t.cross.shape
    size, kernel = tests + train, np.vstack([t.cross, t.train])
    generator = np.zeros((2 * size, 2 * size))
    generator[:size, tests:size], generator[:size, size + tests :] = -kernel, kernel  # u' = -T (u(X) - g(X)), g' = 0
    joint = np.kron(np.eye(2), k.joint())
    parts = []
    for time in (0.2, 1.0, 5.0, 30.0):
        flow = scipy.linalg.expm(time * generator)
        error = flow[:tests] - flow[size : size + tests]
        predicted = factor * ensemble_covariance(k, t, time_sum_loss=ensemble_time or time)
        scale = np.linalg.norm(error, 2) ** 2 * np.linalg.norm(k.joint(), 2)
        # the exponential of a matrix of norm h is backward stable to h eps
        bound = 20 * size * HALF_ULP * np.linalg.cond(t.train) * (1 + time * np.linalg.norm(generator, 2)) * scale
        parts.append(
            (error @ joint @ error.T, predicted, np.full_like(predicted, bound), np.full_like(predicted, scale))
        )
    return Comparison(*(np.concatenate([column.ravel() for column in columns]) for columns in zip(*parts, strict=True)))


# --- checks: finite networks --------------------------------------------------------------------------------------


def compare_networks(s: EnsembleSetting, p: RNDPrediction, rows: Rows) -> Ladder:
    """E e^2 / 2 over the ensemble variance, less 1, averaged over the test points; the correction is its nonlinear part."""
    tests = len(s.test)
    half = np.diag(p.error_covariance)
    linearised, correction = ((table(rows, name, tests) / half).mean(axis=1) for name in ("linearised", "correction"))
    return nngp.ladder(rows["width"], linearised + correction - 1, correction)


def _covariance(function: Any) -> dict[str, Any]:
    def wrong(s: EnsembleSetting) -> RNDPrediction:
        return RNDPrediction(function(s), predict(s).ensemble_covariance)

    return {"predict": wrong}


SIZES = ((32, 3_000), (64, 3_000), (128, 5_000), (256, 4_000), (512, 4_000))
PLAN = ByBudget(
    quick=tuple({"width": n, "members": 1_000, "part": part} for n, r in SIZES for part in range(r // 1_000)),
    standard=tuple(
        {"width": n, "members": r, "part": part}
        for n, r in ((32, 4_000), (64, 4_000), (128, 4_000), (256, 3_000), (512, 2_000), (1024, 1_000), (2048, 500))
        for part in range(8)
    ),
    full=tuple(
        {"width": n, "members": r, "part": part}
        for n, r in ((64, 16_000), (256, 16_000), (1024, 8_000), (4096, 4_000), (16384, 1_000))
        for part in range(8)
    ),
)
FEW = ByBudget(quick=tuple({"width": n, "members": 800} for n in (32, 128, 512)))
NARROW = ByBudget(quick=tuple({"width": n, "members": 1_500} for n in (16, 32, 64)))  # its kernel grows with the width

CHECKS = (
    Check(
        "shipped covariance",
        FORMULA,
        controls=(
            Control("factor 2 dropped", _mutant(lambda s: shipped(s) / 2)),
            Control("1e-8 off", _mutant(lambda s: (1 + 1e-8) * shipped(s))),
            Control("twice the NNGP posterior", _mutant(lambda s: 2 * posterior(s, kernel=0).covariance.ravel())),
            Control("tangent-kernel posterior", _mutant(lambda s: posterior(s, kernel=1).covariance.ravel())),
        ),
    ),
    Check(
        "every time: the joint flow of predictor and target",
        Agreement("rounding"),
        settings=ensemble_law.BOTH,
        compare=compare_times,
        controls=(
            Control("factor 2 dropped", {"compare": partial(compare_times, factor=1.0)}),
            Control("stopped distillation against the converged ensemble", {"compare": partial(compare_times, ensemble_time=np.inf)}),
        ),
    ),
    Check(
        "trained finite networks: variances",
        LimitWithRate(rate=(-1.2, -0.6)),
        settings=ByBudget(quick=(EXAMPLE,)),
        experiment=distil,
        plan=PLAN,
        compare=compare_networks,
        controls=(
            Control("factor 2 dropped", _covariance(lambda s: ensemble_covariance(*blocks(s)))),
            Control("twice the NNGP posterior", _covariance(lambda s: 2 * posterior(s, kernel=0).covariance)),
            Control("twice the tangent-kernel posterior", _covariance(lambda s: 2 * posterior(s, kernel=1).covariance)),
            Control("stopped distillation against the converged ensemble", {"experiment": partial(distil, relative_residual=0.3), "plan": FEW}),
            Control("centred predictor with the factor 2", {"experiment": partial(distil, centred=True), "plan": FEW}),
            Control("standard parametrisation", {"experiment": partial(distil, parametrisation="standard"), "plan": NARROW}),
            Control("a correction that stays", {"claim": LimitWithRate(rate=(-0.2, 0.2))}),
            Control("rate n^-2", {"claim": LimitWithRate(rate=(-2.2, -1.8))}),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    RND_EQUALS_ENSEMBLE,
    predict,
    EXAMPLE,
    CHECKS,
    uses=(nngp.RESULT, ensemble_law.RESULT),
    derivation=DERIVATION,
)
