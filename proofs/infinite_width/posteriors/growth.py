"""One more training point: both posteriors shrink by a rank-one term, the ensemble may grow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import sympy
from flint import arb, arb_mat, ctx
from jaxtyping import Float

from ....numerics.claims import Enclosures, Formula, Inequality
from ....numerics.store import Rows
from ....numerics.wide_networks.ensemble import ensemble_covariance
from ....numerics.wide_networks.posterior import excess_decomposition, nngp_posterior, ntkgp_posterior
from ....theory.balls.linear_training import conditional_covariance, law, regression_map
from ....theory.derivation import Algebra, Uses
from ....theory.statements.infinite_width.posteriors import ADDING_A_POINT
from ...result import ByBudget, Check, Control, Result
from ..dynamics import ensemble_law, flow
from ..dynamics.descent import enclose
from ..linear_models import DIGITS, EPS, relative
from ..settings import EnsembleSetting, blocks
from . import gaussian
from .order import NETWORKS, excess_width, read


def downdate() -> list[tuple[Any, Any]]:
    """One test point s and one training point of noisy variance a; g and h regress s and the new point z on it.

    With c = sz - g h a and v = z - h^2 a + noise, the weights (g - h c/v, c/v) solve the normal equations of both points, and
    the explained variance is that of the old point plus c^2/v.
    """
    z, g, h, sz = sympy.symbols("z g h sz", real=True)
    a, noise = sympy.symbols("a noise", positive=True)
    c, v = sz - g * h * a, z - h**2 * a + noise
    w1, w2 = g - h * c / v, c / v
    return [
        (w1 * a + w2 * h * a, g * a),
        (w1 * h * a + w2 * (z + noise), sz),
        (w1 * g * a + w2 * sz, g**2 * a + c**2 / v),
    ]


# --- prediction ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AddedPoint:
    """Variances (S,) before and after the last training point is added."""

    nngp: Float[np.ndarray, "2 test"]
    ntkgp: Float[np.ndarray, "2 test"]
    ensemble: Float[np.ndarray, "2 test"]


def fewer(s: EnsembleSetting) -> EnsembleSetting:
    return replace(s, train=s.train[:-1], labels=s.labels[:-1])


def predict_added(s: EnsembleSetting) -> AddedPoint:
    found = []
    for case in (fewer(s), s):
        k, t = blocks(case)
        matrices = (
            nngp_posterior(k, case.labels).covariance,
            ntkgp_posterior(t, case.labels).covariance,
            ensemble_covariance(k, t),
        )
        found.append([np.diag(m) for m in matrices])
    both = np.array(found)
    return AddedPoint(both[:, 0], both[:, 1], both[:, 2])


def read_added(p: AddedPoint) -> np.ndarray:
    return np.concatenate([p.nngp.ravel(), p.ntkgp.ravel(), p.ensemble.ravel()])


def _without_last(m: arb_mat) -> arb_mat:
    return arb_mat([[m[i, j] for j in range(m.ncols() - 1)] for i in range(m.nrows() - 1)])


def exact_added(s: EnsembleSetting) -> list[arb]:
    """Before: joint precision. After, for the posteriors: the rank-one downdate c c^T/v; for the ensemble: four terms."""
    with ctx.workdps(DIGITS + 20):
        k, t = ensemble_law.exact_grams(s)
        tests, values = len(s.test), []
        for full in (k, t):
            small = _without_last(full)
            before = conditional_covariance(small, tests, [arb(0)] * (small.nrows() - tests))
            # the new point as one more test point of the smaller problem
            order = [*range(tests), full.nrows() - 1, *range(tests, full.nrows() - 1)]
            moved = arb_mat([[full[i, j] for j in order] for i in order])
            joint = conditional_covariance(moved, tests + 1, [arb(0)] * (small.nrows() - tests))
            values += [before[i, i] for i in range(tests)]
            values += [before[i, i] - joint[i, tests] ** 2 / joint[tests, tests] for i in range(tests)]
        for kk, tt in ((_without_last(k), _without_last(t)), (k, t)):
            covariance = law(kk, regression_map(tt, tests), [0] * (kk.nrows() - tests))[tests:]
            values += [covariance[i * (tests + 1)] for i in range(tests)]
        return values


def added_width(s: EnsembleSetting) -> np.ndarray:
    k, t = blocks(s)
    widest = excess_width(k, t, excess_decomposition(k, t), 400 * EPS) * np.abs(read(excess_decomposition(k, t)))
    return relative(np.full(6 * len(s.test), float(widest.max())), read_added(predict_added(s)))


ADDED_FORMULA = Formula(exact_added, lambda s: read_added(predict_added(s)), read_added, ensemble_law.sample, added_width, count=15)  # fmt: skip


def compare_added(s: EnsembleSetting, p: Any, rows: Rows, *, kernel: str = "both", sign: int = 1) -> Enclosures:
    """d^T (Sig - Sig') d over fixed directions d, for the posteriors of both kernels or for the ensemble."""
    with ctx.workdps(DIGITS + 20):
        k, t = ensemble_law.exact_grams(s)
        tests, margins = len(s.test), []
        for name, prior, tangent in (("nngp", k, k), ("ntkgp", t, t), ("ensemble", k, t)):
            if name == kernel or (kernel == "both" and name != "ensemble"):
                covariances = []
                for kk, tt in ((_without_last(prior), _without_last(tangent)), (prior, tangent)):
                    entries = law(kk, regression_map(tt, tests), [0] * (kk.nrows() - tests))[tests:]
                    covariances.append(arb_mat(tests, tests, entries))
                decrease = (covariances[0] - covariances[1]) * sign
                for turn in range(4):
                    d = arb_mat([[float(np.cos(turn + i))] for i in range(tests)])
                    margins.append((d.transpose() * decrease * d)[0, 0])
        return enclose(margins)


RISING = EnsembleSetting(
    np.array([(-0.1, 0.5), (-1.0, 0.2), (0.1, -0.8), (-1.0, 1.1)]),
    np.array([(-0.7, 0.2)]),
    np.zeros(4),
    "relu",
    (1.5, 1.5, 1.5),
    (0.3, 0.3, 0.3),
)

ADDED = Result(
    ADDING_A_POINT,
    predict_added,
    RISING,
    (
        Check(
            "shipped variances before and after",
            ADDED_FORMULA,
            controls=(
                Control("no change", flow.mutant(ADDED_FORMULA, lambda s: replace(predict_added(s), ntkgp=predict_added(s).ntkgp[[0, 0]]))),
                Control("ensemble for the NNGP posterior", flow.mutant(ADDED_FORMULA, lambda s: replace(predict_added(s), nngp=predict_added(s).ensemble))),
            ),
        ),
        Check(
            "posteriors never grow",
            Inequality(),
            settings=ByBudget(quick=(*NETWORKS.quick, RISING)),
            compare=compare_added,
            controls=(
                Control("neither does the ensemble", {"compare": partial(compare_added, kernel="ensemble")}),
                Control("they never shrink", {"compare": partial(compare_added, sign=-1)}),
            ),
        ),
        Check(
            "the ensemble's variance grows in the counter-example",
            Inequality(),
            settings=ByBudget(quick=(RISING,)),
            compare=partial(compare_added, kernel="ensemble", sign=-1),
            controls=(
                Control("the NNGP posterior's", {"compare": partial(compare_added, kernel="nngp", sign=-1)}),
                Control("the tangent-kernel posterior's", {"compare": partial(compare_added, kernel="ntkgp", sign=-1)}),
            ),
        ),
    ),
    uses=(gaussian.POSTERIOR, ensemble_law.RESULT),
    derivation=(
        Uses(gaussian.POSTERIOR, "a posterior covariance is a Schur complement of the noisy joint Gram matrix"),
        Algebra("complements compose: conditioning on z after X subtracts c^2/v, with c and v of the posterior given X, noise in v", downdate),
        Uses(ensemble_law.RESULT, "the ensemble's covariance M K M^T is no Schur complement: the counter-example is evaluated"),
    ),
)  # fmt: skip

RESULTS = (ADDED,)
