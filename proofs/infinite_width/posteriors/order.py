"""NNGP posterior <= ensemble <= tangent-kernel posterior: the two gaps, and what one more training point does to each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import sympy
from flint import arb, arb_mat, ctx
from jaxtyping import Float

from ....numerics.claims import Enclosures, Formula, Inequality
from ....numerics.store import Rows
from ....numerics.wide_networks.gram import GramBlocks
from ....numerics.wide_networks.posterior import excess_decomposition
from ....theory.axioms import SPECTRAL
from ....theory.balls.linear_training import conditional_covariance, law, pivots, regression_map
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.posteriors import EXCESS_DECOMPOSITION, LOEWNER_CHAIN
from ...result import ByBudget, Check, Control, Result
from ..dynamics import ensemble_law, flow
from ..dynamics.descent import enclose
from ..kernels import ntk
from ..linear_models import DIGITS, EPS, LinearModel, exact_kernels, kernels, random_model, relative
from ..settings import EnsembleSetting, blocks
from . import gaussian

FIVE = ("nngp", "ensemble", "ntkgp", "over_nngp", "below_ntkgp")


@dataclass(frozen=True)
class ExcessPrediction:
    """The three covariances (S,S) and the gaps between them."""

    nngp: Float[np.ndarray, "test test"]
    ensemble: Float[np.ndarray, "test test"]
    ntkgp: Float[np.ndarray, "test test"]
    over_nngp: Float[np.ndarray, "test test"]
    below_ntkgp: Float[np.ndarray, "test test"]


# --- derivations --------------------------------------------------------------------------------------------------


def _joint(name: str, smoother: Any) -> Any:
    """A joint matrix of one test and two training points whose regression map is the given one."""
    v, a, b, d = sympy.symbols(f"{name}0:4", real=True)
    train = sympy.Matrix([[a, b], [b, d]])
    cross = smoother * train
    return sympy.Matrix(sympy.BlockMatrix([[sympy.Matrix([[v]]), cross], [cross.T, train]]))


def projection() -> list[tuple[Any, Any]]:
    """With K_*X = H K_XX, M K M^T for a free G is the NNGP posterior plus (G - H) K_XX (G - H)^T."""
    g, h = (sympy.Matrix([sympy.symbols(f"{name}1 {name}2", real=True)]) for name in "gh")
    k = _joint("k", h)
    residual = sympy.Matrix.hstack(sympy.eye(1), -g)
    bayes = k[0, 0] - (h * k[1:, :1])[0]
    return [((residual * k * residual.T)[0], bayes + ((g - h) * k[1:, 1:] * (g - h).T)[0])]


def congruence() -> list[tuple[Any, Any]]:
    """With T_*X = G T_XX: M T M^T = T_** - G T_X*, which is M K M^T + M (T - K) M^T."""
    g = sympy.Matrix([sympy.symbols("g1 g2", real=True)])
    k = _joint("k", sympy.Matrix([sympy.symbols("h1 h2", real=True)]))
    t = _joint("t", g)
    residual = sympy.Matrix.hstack(sympy.eye(1), -g)
    tangent = (residual * t * residual.T)[0]
    parts = (residual * k * residual.T)[0] + (residual * (t - k) * residual.T)[0]
    return [(tangent, t[0, 0] - (g * t[1:, :1])[0]), (parts, tangent)]


# --- excess_decomposition -----------------------------------------------------------------------------------------


def predict_excess(s: LinearModel) -> ExcessPrediction:
    return ExcessPrediction(**vars(excess_decomposition(*kernels(s))))


def five(k: arb_mat, t: arb_mat, tests: int) -> list[arb_mat]:
    """Posteriors from joint precision matrices, the ensemble's four terms, and the gaps as differences."""
    none = [arb(0)] * (k.nrows() - tests)
    bayes, tangent = conditional_covariance(k, tests, none), conditional_covariance(t, tests, none)
    entries = law(k, regression_map(t, tests), [0] * len(none))[tests:]
    ensemble = arb_mat(tests, tests, entries)
    return [bayes, ensemble, tangent, ensemble - bayes, tangent - ensemble]


def exact_excess(s: LinearModel) -> list[arb]:
    with ctx.workdps(DIGITS + 60):
        return [entry for matrix in five(*exact_kernels(s), s.tests) for entry in matrix.entries()]


def read(p: Any) -> np.ndarray:
    return np.concatenate([getattr(p, name).ravel() for name in FIVE])


def excess_width(k: GramBlocks, t: GramBlocks, values: Any, kernel_error: float = EPS) -> np.ndarray:
    """Smoothers G and H err by 40 N eps cond, and kernels by `kernel_error`, amplified by cond again; all else is factors."""
    n, tests = len(k.train), len(k.test)
    gains = [float(np.linalg.norm(np.linalg.solve(m.train, m.cross.T))) for m in (k, t)]
    conditions = [float(np.linalg.cond(m.train)) for m in (k, t)]
    rate = (40 * n * EPS + kernel_error) * max(conditions)
    size = float(np.linalg.norm(t.joint())) * (1 + max(gains)) ** 2
    return relative(np.full(5 * tests**2, 10 * (rate + (n + tests) * EPS) * size), read(values))


EXCESS_FORMULA = Formula(
    exact_excess,
    lambda s: read(predict_excess(s)),
    read,
    random_model,
    lambda s: excess_width(*kernels(s), predict_excess(s)),
    count=50,
)


def changed_excess(**changes: Callable[[ExcessPrediction], np.ndarray]) -> Callable[[LinearModel], ExcessPrediction]:
    def wrong(s: LinearModel) -> ExcessPrediction:
        p = predict_excess(s)
        return replace(p, **{name: change(p) for name, change in changes.items()})

    return wrong


EXCESS = Result(
    EXCESS_DECOMPOSITION,
    predict_excess,
    random_model(np.random.default_rng(31)),
    (
        Check(
            "shipped gaps are the differences",
            EXCESS_FORMULA,
            controls=(
                Control("first gap doubled", flow.mutant(EXCESS_FORMULA, changed_excess(over_nngp=lambda p: 2 * p.over_nngp))),
                Control("second gap M T M^T", flow.mutant(EXCESS_FORMULA, changed_excess(below_ntkgp=lambda p: p.ntkgp))),
                Control("gaps exchanged", flow.mutant(EXCESS_FORMULA, changed_excess(over_nngp=lambda p: p.below_ntkgp, below_ntkgp=lambda p: p.over_nngp))),
                Control("ensemble = NNGP posterior", flow.mutant(EXCESS_FORMULA, changed_excess(ensemble=lambda p: p.nngp))),
                Control("1e-8 of the second gap missing", flow.mutant(EXCESS_FORMULA, changed_excess(below_ntkgp=lambda p: (1 - 1e-8) * p.below_ntkgp))),
            ),
        ),
    ),
    uses=(flow.LAW, gaussian.POSTERIOR),
    derivation=(
        Uses(flow.LAW, "Sig_ens = M K M^T at t = inf"),
        Uses(gaussian.POSTERIOR, "without noise Sig_ntkgp = M T M^T, and the same with K is Sig_nngp"),
        Algebra("M K M^T exceeds the posterior of K by (G - H) K_XX (G - H)^T, for any G", projection),
        Algebra("and M T M^T = M K M^T + M (T - K) M^T", congruence),
    ),
)  # fmt: skip

# --- loewner_chain ------------------------------------------------------------------------------------------------


def predict_chain(s: EnsembleSetting) -> ExcessPrediction:
    return ExcessPrediction(**vars(excess_decomposition(*blocks(s))))


def exact_chain(s: EnsembleSetting) -> list[arb]:
    with ctx.workdps(DIGITS + 20):
        found = five(*ensemble_law.exact_grams(s), len(s.test))
        return [entry for matrix in found for entry in matrix.entries()]


def chain_width(s: EnsembleSetting) -> np.ndarray:
    return excess_width(*blocks(s), predict_chain(s), 400 * EPS)


CHAIN_FORMULA = Formula(exact_chain, lambda s: read(predict_chain(s)), read, ensemble_law.sample, chain_width, count=15)


def compare_order(
    s: EnsembleSetting, p: Any, rows: Rows, *, which: tuple[int, int, int] = (0, 1, 2), frozen_bias: bool = False
) -> Enclosures:
    """Pivots of both gaps of the networks' kernels in ball arithmetic, relative to the largest variance."""
    with ctx.workdps(DIGITS + 20):
        k, t = ensemble_law.exact_grams(s)
        if frozen_bias:  # the readout's bias is drawn but not trained
            shift = arb(s.bias_scale[-1]) ** 2
            t = arb_mat([[t[i, j] - shift for j in range(t.ncols())] for i in range(t.nrows())])
        low, middle, high = (five(k, t, len(s.test))[i] for i in which)
        scale = max(float(high[i, i]) for i in range(high.nrows()))
        return enclose([value / scale for gap in (middle - low, high - middle) for value in pivots(gap)])


def random_network(rng: np.random.Generator, activation: str, layers: int) -> EnsembleSetting:
    train = rng.normal(size=(4, 3))
    scales = tuple(rng.uniform(0.9, 1.6, layers).tolist()), tuple(rng.uniform(0.1, 0.6, layers).tolist())
    return EnsembleSetting(train, rng.normal(size=(3, 3)), rng.normal(size=4), activation, *scales)  # type: ignore[arg-type]


_rng = np.random.default_rng(32)
NETWORKS = ByBudget(quick=tuple(random_network(_rng, a, n) for a in ("relu", "erf") for n in (2, 3, 4)))


def _wide_bias(rng: np.random.Generator) -> EnsembleSetting:
    s = random_network(rng, "relu", 2)
    return replace(s, bias_scale=(0.1, 3.0))


FROZEN = ByBudget(quick=tuple(_wide_bias(_rng) for _ in range(3)))

CHAIN = Result(
    LOEWNER_CHAIN,
    predict_chain,
    NETWORKS.quick[0],
    (
        Check(
            "shipped covariances of networks",
            CHAIN_FORMULA,
            controls=(
                Control("ensemble = NNGP posterior", flow.mutant(CHAIN_FORMULA, lambda s: replace(predict_chain(s), ensemble=predict_chain(s).nngp))),
                Control("second gap doubled", flow.mutant(CHAIN_FORMULA, lambda s: replace(predict_chain(s), below_ntkgp=2 * predict_chain(s).below_ntkgp))),
            ),
        ),
        Check(
            "both gaps are positive definite",
            Inequality(),
            settings=NETWORKS,
            compare=compare_order,
            controls=(
                Control("ensemble below the NNGP posterior", {"compare": partial(compare_order, which=(1, 0, 2))}),
                Control("ensemble above the tangent-kernel posterior", {"compare": partial(compare_order, which=(0, 2, 1))}),
                Control("readout bias not trained", {"compare": partial(compare_order, frozen_bias=True), "settings": FROZEN}),
            ),
        ),
    ),
    uses=(ntk.RESULT, ensemble_law.RESULT, EXCESS),
    derivation=(
        Uses(ensemble_law.RESULT, "the converged ensemble has the covariance M K M^T"),
        Uses(EXCESS, "so the gaps are (G - H) K_XX (G - H)^T and M (T - K) M^T"),
        Uses(ntk.RESULT, "T - K is the hidden layers' share of T, a limit of Gram matrices of gradients: positive semi-definite"),
        Axiom(SPECTRAL, "B C B^T is positive semi-definite for positive semi-definite C: it is a sum of squares"),
    ),
)  # fmt: skip

RESULTS = (EXCESS, CHAIN)
