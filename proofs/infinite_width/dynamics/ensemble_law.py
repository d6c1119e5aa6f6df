"""The law of an infinitely wide deep ensemble: mean G y, covariance M K M^T with G = T_*X T_XX^{-1}, M = [I, -G]."""

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
from ....numerics.wide_networks.ensemble import ensemble_covariance, ensemble_mean, smoother
from ....theory.axioms import GAUSSIAN_AFFINE, PROKHOROV
from ....theory.balls.dual_activations import fully_connected_pair
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.dynamics import LIN_COV_INF
from ...result import ByBudget, Check, Control, Result
from ..finite_networks import converged_ensemble, table
from ..kernels import nngp, ntk
from ..settings import EnsembleSetting, blocks
from . import flow, linearisation

HALF_ULP = 2.0**-53
DIGITS = 50


@dataclass(frozen=True)
class EnsemblePrediction:
    """Mean (S,) and covariance (S, S) over members of the trained output at the test points."""

    mean: Float[np.ndarray, " test"]
    covariance: Float[np.ndarray, "test test"]


# --- derivation ---------------------------------------------------------------------------------------------------


def covariance_expands() -> list[tuple[Any, Any]]:
    """[I, -G] K [I, -G]^T for two training points and one test point, G free."""
    g = sympy.Matrix([sympy.symbols("g1 g2", real=True)])
    v, k1, k2, a, b, c = sympy.symbols("v k1 k2 a b c", real=True)
    cross, train = sympy.Matrix([[k1, k2]]), sympy.Matrix([[a, b], [b, c]])
    joint = sympy.Matrix([[v, k1, k2], [k1, a, b], [k2, b, c]])
    residual = sympy.Matrix.hstack(sympy.eye(1), -g)
    four_terms = sympy.Matrix([[v]]) + g * train * g.T - g * cross.T - cross * g.T
    return [((residual * joint * residual.T)[0], four_terms[0])]


flow_of_one_mode = flow.flow_of_one_mode  # used by results of this name

DERIVATION = (
    Uses(nngp.RESULT, "the initial outputs f0 at test and training points are jointly N(0, K)"),
    Uses(ntk.RESULT, "the tangent kernel at initialisation converges to T"),
    Uses(linearisation.RESULT, "during training the network stays within o(1) of its linearisation, uniformly in time, if T_XX > 0"),
    Uses(flow.FLOW, "linearised, f_t(*) = f0(*) + T_*X A_t (y - f0(X)), which tends to M f0 + G y"),
    Axiom(PROKHOROV, "a continuous image of f0"),
    Axiom(GAUSSIAN_AFFINE, "so it is Gaussian with mean G y and covariance M K M^T"),
    Algebra("whose four terms carry a plus on the quadratic one", covariance_expands),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: EnsembleSetting) -> EnsemblePrediction:
    k, t = blocks(s)
    return EnsemblePrediction(ensemble_mean(t, s.labels), ensemble_covariance(k, t))


# --- wrong variants -----------------------------------------------------------------------------------------------


def four_terms(s: EnsembleSetting, *, sign: int = 1, jitter: float = 0.0) -> EnsemblePrediction:
    """The expanded formula in float64; `sign` of the quadratic term, `jitter` relative to the mean of T's diagonal."""
    k, t = blocks(s)
    train = t.train + jitter * np.trace(t.train) / len(t.train) * np.eye(len(t.train))
    g = np.linalg.solve(train, t.cross.T).T
    return EnsemblePrediction(g @ s.labels, k.test + sign * g @ k.train @ g.T - g @ k.cross.T - k.cross @ g.T)


def posterior(s: EnsembleSetting, *, kernel: int) -> EnsemblePrediction:
    """The Gaussian-process posterior of the NNGP (0) or of the tangent kernel (1) in place of the ensemble."""
    k = blocks(s)[kernel]
    g = np.linalg.solve(k.train, k.cross.T).T
    return EnsemblePrediction(g @ s.labels, k.test - g @ k.cross.T)


def wrong_sign_of_the_flow(s: EnsembleSetting) -> EnsemblePrediction:
    """f0 - G (y - f0(X)): mean and cross terms change sign."""
    k, t = blocks(s)
    g = smoother(t)
    return EnsemblePrediction(-g @ s.labels, k.test + g @ k.train @ g.T + g @ k.cross.T + k.cross @ g.T)


def without_readout_bias(s: EnsembleSetting) -> EnsemblePrediction:
    k, t = blocks(s, bias_scale=(*s.bias_scale[:-1], 0.0))
    return EnsemblePrediction(ensemble_mean(t, s.labels), ensemble_covariance(k, t))


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> EnsembleSetting:
    layers = int(rng.integers(2, 4))
    return EnsembleSetting(
        rng.normal(size=(3, 3)),
        rng.normal(size=(2, 3)),
        rng.normal(size=3),
        "relu" if rng.integers(2) else "erf",
        tuple(rng.uniform(0.8, 1.8, layers).tolist()),
        tuple(rng.uniform(0.1, 1, layers).tolist()),
    )


def exact_grams(s: EnsembleSetting) -> tuple[arb_mat, arb_mat]:
    """Enclosures of K and T over (test, train)."""
    points = np.concatenate([s.test, s.train]).tolist()
    scales = {"weight_scale": s.weight_scale, "bias_scale": s.bias_scale}
    pairs = {
        (i, j): fully_connected_pair(points[i], points[j], activation=s.activation, digits=DIGITS + 20, **scales)
        for i in range(len(points))
        for j in range(i + 1)
    }
    entries = [[pairs[max(i, j), min(i, j)] for j in range(len(points))] for i in range(len(points))]
    return arb_mat([[e.nngp for e in row] for row in entries]), arb_mat([[e.ntk for e in row] for row in entries])


def part(matrix: arb_mat, rows: range, columns: range) -> arb_mat:
    return arb_mat([[matrix[i, j] for j in columns] for i in rows])


def exact_residual_map(s: EnsembleSetting, ntk_joint: arb_mat) -> arb_mat:
    """[I, -G] by Gaussian elimination in ball arithmetic."""
    tests, every = range(len(s.test)), range(len(s.test), ntk_joint.nrows())
    g = part(ntk_joint, every, every).solve(part(ntk_joint, every, tests)).transpose()
    return arb_mat([[arb(int(i == j)) for j in tests] + [-g[i, j] for j in range(len(every))] for i in tests])


def last_step(s: EnsembleSetting) -> list[arb]:
    with ctx.workdps(DIGITS + 20):
        k, t = exact_grams(s)
        residual = exact_residual_map(s, t)
        covariance = residual * k * residual.transpose()
        labels = arb_mat([[arb(0)] for _ in s.test] + [[arb(-value)] for value in s.labels.tolist()])
        mean = residual * labels
        return [mean[i, 0] for i in range(len(s.test))] + covariance.entries()


def flatten(p: EnsemblePrediction) -> np.ndarray:
    return np.concatenate([p.mean, p.covariance.ravel()])


def width(s: EnsembleSetting) -> np.ndarray:
    """Perturbed kernels: |dG| <= cond(T) |G| times the kernels' relative error, which is below 200 half-ulps here."""
    k, t = blocks(s)
    p, g = predict(s), smoother(t)
    relative = (200 + 20 * len(s.train)) * HALF_ULP * float(np.linalg.cond(t.train)) * (1 + float(np.linalg.norm(g, 2)))
    mean = relative * float(np.linalg.norm(g, 2)) * float(np.linalg.norm(s.labels))
    covariance = relative * (1 + float(np.linalg.norm(g, 2))) * float(np.linalg.norm(k.joint(), 2))
    size = len(s.test)
    return np.concatenate([np.full(size, mean), np.full(size * size, covariance)]) / np.abs(flatten(p))


FORMULA = Formula(
    expression=last_step,
    shipped=lambda s: flatten(predict(s)),
    read=flatten,
    sample=sample,
    width=width,
    count=40,
)


def _mutant(function: Any, **options: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=lambda s: flatten(function(s, **options)))}


# --- checks: gradient flow and finite networks --------------------------------------------------------------------


def compare_flow(s: EnsembleSetting, p: EnsemblePrediction, rows: Rows) -> Comparison:
    """The block matrix exponential of the flow (f_t(*), f_t(X) - y) at a late time, applied to the law of f0."""
    k, t = blocks(s)
    tests, train = t.cross.shape
    time = 30 / float(np.linalg.eigvalsh(t.train)[0])
    generator = np.block([[np.zeros((tests, tests)), -t.cross], [np.zeros((train, tests)), -t.train]])
    operator = scipy.linalg.expm(time * generator)[:tests]
    observed = np.concatenate([-operator[:, tests:] @ s.labels, (operator @ k.joint() @ operator.T).ravel()])
    # e^{-30} of the start is left in every mode; the exponential of a matrix of norm h is backward stable to h eps
    rounding = 10 * (tests + train) * HALF_ULP * time * np.linalg.norm(generator, 2)
    rate = np.linalg.cond(t.train) * (np.exp(-30.0) + rounding)
    size = np.linalg.norm(operator, 2)
    scales = size * np.linalg.norm(s.labels), size**2 * np.linalg.norm(k.joint(), 2)
    scale = np.repeat(scales, (tests, tests**2))
    return Comparison(observed, flatten(p), 2 * rate * scale, scale)


def compare_networks(s: EnsembleSetting, p: EnsemblePrediction, rows: Rows) -> Ladder:
    """Second moment about the predicted mean over the predicted variance, less 1, averaged over the test points.

    E (f - m)^2 is the expectation of spread + (centre - m)^2 for linearised members, and nonlinear ones add
    square - 2 m shift.
    """
    tests = len(s.test)
    centre, spread, shift, square = (table(rows, name, tests) for name in ("centre", "spread", "shift", "square"))
    variance = np.diag(p.covariance)
    linearised = ((spread + (centre - p.mean) ** 2) / variance).mean(axis=1)
    correction = ((square - 2 * p.mean * shift) / variance).mean(axis=1)
    return nngp.ladder(rows["width"], linearised + correction - 1, correction)


TRAIN = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, -1.0, -1.0]])
TEST = np.array([[0.5, 0.5, 0.0], [-0.7, 0.4, 0.2], [0.3, -0.8, -0.6]])
EXAMPLE = EnsembleSetting(TRAIN, TEST, np.array([0.5, -0.3, 0.2, -0.4]), "erf", (1.5, 1.5), (0.3, 0.3))
BOTH = ByBudget(
    quick=(EXAMPLE, replace(EXAMPLE, activation="relu", weight_scale=(1.4, 1.4, 1.4), bias_scale=(0.2, 0.2, 0.2)))
)
SIZES = ((16, 3_000), (32, 3_000), (64, 2_500), (128, 2_500), (256, 2_000))


def _large(widths: tuple[tuple[int, int], ...], parts: int) -> tuple[dict[str, int], ...]:
    return tuple({"width": n, "members": r, "part": p} for n, r in widths for p in range(parts))


PLAN = ByBudget(
    quick=tuple({"width": n, "members": r} for n, r in SIZES),
    standard=_large(((32, 4_000), (64, 4_000), (128, 3_000), (256, 2_000), (512, 1_000), (1024, 500)), 8),
    full=_large(((64, 8_000), (256, 8_000), (1024, 4_000), (4096, 2_000), (16384, 500)), 8),
)
FEW = ByBudget(quick=tuple({"width": n, "members": 1_000} for n in (16, 64, 256)))

CHECKS = (
    Check(
        "shipped law",
        FORMULA,
        controls=(
            Control("minus on the quadratic term", _mutant(four_terms, sign=-1)),
            Control("f0 - G (y - f0(X))", _mutant(wrong_sign_of_the_flow)),
            Control("NNGP posterior", _mutant(posterior, kernel=0)),
            Control("tangent-kernel posterior", _mutant(posterior, kernel=1)),
            Control("silent jitter of 1e-8", _mutant(four_terms, jitter=1e-8)),
            Control("readout bias forgotten", _mutant(without_readout_bias)),
        ),
    ),
    Check(
        "gradient flow from the law at initialisation ends there",
        Agreement("convergence"),
        settings=BOTH,
        compare=compare_flow,
        controls=(
            Control("minus on the quadratic term", {"predict": partial(four_terms, sign=-1)}),
            Control("f0 - G (y - f0(X))", {"predict": wrong_sign_of_the_flow}),
            Control("NNGP posterior", {"predict": partial(posterior, kernel=0)}),
            Control("silent jitter of 1e-3", {"predict": partial(four_terms, jitter=1e-3)}),
        ),
    ),
    Check(
        "trained finite networks: mean and variances",
        LimitWithRate(rate=(-1.2, -0.6)),
        settings=ByBudget(quick=(EXAMPLE,)),
        experiment=converged_ensemble,
        plan=PLAN,
        compare=compare_networks,
        controls=(
            Control("minus on the quadratic term", {"predict": partial(four_terms, sign=-1)}),
            Control("f0 - G (y - f0(X))", {"predict": wrong_sign_of_the_flow}),
            Control("NNGP posterior", {"predict": partial(posterior, kernel=0)}),
            Control("tangent-kernel posterior", {"predict": partial(posterior, kernel=1)}),
            Control(
                "training stopped at half the residual",
                {"experiment": partial(converged_ensemble, relative_residual=0.5), "plan": FEW},
            ),
            Control("rate n^-2", {"claim": LimitWithRate(rate=(-2.2, -1.8))}),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    LIN_COV_INF,
    predict,
    EXAMPLE,
    CHECKS,
    uses=(nngp.RESULT, ntk.RESULT, linearisation.RESULT, flow.FLOW),
    derivation=DERIVATION,
)
