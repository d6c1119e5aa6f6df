"""The tangent target J(x; theta0) psi*: a Gaussian process with the hidden layers' share T - K of the tangent kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import sympy
from flint import arb, ctx
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Formula, Ladder, LimitWithRate
from ....numerics.intervals import multiplier
from ....numerics.store import Rows
from ....numerics.wide_networks.bayesian_distillation import brnd_target_covariance
from ....theory.axioms import BOUNDED_CONVERGENCE, CONDITIONING, GAUSSIAN_AFFINE, LEVY, PROKHOROV
from ....theory.balls.dual_activations import fully_connected_pair
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.bayesian_distillation import BRND_TARGET
from ...result import ByBudget, Check, Control, Result, Run
from ..distillation.setting import DIGITS, HALF_ULP, sample_one
from ..dynamics import ensemble_law
from ..finite_bayesian import tangent_products
from ..finite_networks import gram, initial_kernels, readout_shares
from ..kernels import nngp, ntk
from ..settings import EnsembleSetting, KernelSetting, Trained, blocks


@dataclass(frozen=True)
class TargetPrediction:
    """Covariance (S+N, S+N) of the target over (test, train)."""

    covariance: Float[np.ndarray, "points points"]


# --- derivation ---------------------------------------------------------------------------------------------------


def shares() -> list[tuple[Any, Any]]:
    """Jacobian products over two blocks of parameters add up; zeroing psi's readout block leaves the other one."""
    j = sympy.symbols("j1:5", real=True)  # (hidden, readout) parts at two points, one parameter each
    p, q = sympy.symbols("p q", positive=True)  # variances of the two parts of psi
    left, right = sympy.Matrix([[j[0], j[1]]]), sympy.Matrix([[j[2], j[3]]])
    product = (left * sympy.diag(p, q) * right.T)[0]
    return [
        (product.subs({p: 1, q: 1}), j[0] * j[2] + j[1] * j[3]),
        (product.subs({p: 1, q: 0}), j[0] * j[2]),
    ]


DERIVATION = (
    Algebra("psi* has unit variance in the hidden layers and none in the readout, so Cov(J psi* | theta0) is the share T_0 - K_0 of the empirical kernel", shares),
    Axiom(CONDITIONING, "psi* is independent of theta0"),
    Axiom(GAUSSIAN_AFFINE, "given theta0 the target is exactly N(0, T_0 - K_0), at every width"),
    Uses(ntk.RESULT, "T_0 converges to T in probability"),
    Uses(nngp.RESULT, "the readout's share K_0 (weights and bias) converges to K"),
    Axiom(PROKHOROV, "so exp(-s^T (T_0 - K_0) s/2) converges in probability to exp(-s^T (T - K) s/2)"),
    Axiom(BOUNDED_CONVERGENCE, "and, being at most 1, so does its expectation: the characteristic function of the target"),
    Axiom(LEVY, "hence the target converges in law to N(0, T - K)"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: EnsembleSetting) -> TargetPrediction:
    return TargetPrediction(brnd_target_covariance(*blocks(s)).joint())


# --- checks -------------------------------------------------------------------------------------------------------


def slope_dual(activation: str, a: arb, b: arb, c: arb, discriminant: arb) -> arb:
    """E phi'(u) phi'(v) for max(z,0) and erf, discriminant = ab - c^2."""
    if activation == "erf":
        return 4 / (arb.pi() * (1 + 2 * (a + b) + 4 * discriminant).sqrt())
    return (arb.pi() - arb.atan2(discriminant.sqrt(), c)) / (2 * arb.pi())


def hidden_share(s: EnsembleSetting) -> list[arb]:
    """sw^2 E phi'(u) phi'(v) T^{L-1}, from the recursion stopped one layer earlier: T - K is not formed."""
    points = np.concatenate([s.test, s.train]).tolist()
    depth = len(s.weight_scale) - 1
    with ctx.workdps(DIGITS + 20):
        found = []
        for x in points:
            for y in points:
                if depth == 1:
                    scale, bias = arb(s.weight_scale[0]) ** 2 / len(x), arb(s.bias_scale[0]) ** 2
                    products = [sum((arb(p) * arb(q) for p, q in zip(u, v, strict=True)), arb(0)) for u, v in ((x, x), (y, y), (x, y))]  # fmt: skip
                    a, b, c = (scale * value + bias for value in products)
                    tangent = c
                else:
                    pair = fully_connected_pair(
                        x,
                        y,
                        activation=s.activation,
                        weight_scale=s.weight_scale[:-1],
                        bias_scale=s.bias_scale[:-1],
                        digits=DIGITS + 20,
                    )
                    a, b, c, tangent = pair.nngp_xx, pair.nngp_yy, pair.nngp, pair.ntk
                discriminant = arb(0) if x == y else (a * b - c * c).nonnegative_part()
                found.append(arb(s.weight_scale[-1]) ** 2 * slope_dual(s.activation, a, b, c, discriminant) * tangent)
        return found


def width(s: EnsembleSetting) -> np.ndarray:
    """Both kernels are right to 200 half-ulps of the larger diagonal entries."""
    scale = float(np.abs(blocks(s)[1].joint()).max())
    return 400 * HALF_ULP * scale / np.abs(predict(s).covariance.ravel())


FORMULA = Formula(
    expression=hidden_share,
    shipped=lambda s: predict(s).covariance.ravel(),
    read=lambda p: p.covariance,
    sample=sample_one,
    width=width,
    count=20,
)


def _joint(kernel: Callable[[Any, Any], np.ndarray]) -> Callable[[EnsembleSetting], TargetPrediction]:
    return lambda s: TargetPrediction(kernel(*(m.joint() for m in blocks(s))))


def _bias_kept(s: EnsembleSetting) -> TargetPrediction:
    return TargetPrediction(predict(s).covariance + s.bias_scale[-1] ** 2)


WRONG: tuple[tuple[str, Callable[[EnsembleSetting], TargetPrediction]], ...] = (
    ("the whole tangent kernel", _joint(lambda k, t: t)),
    ("the readout's share", _joint(lambda k, t: k)),
    ("readout bias not set to 0", _bias_kept),
    ("T - 2K", _joint(lambda k, t: t - 2 * k)),
)


def _of_points(function: Callable[[EnsembleSetting], TargetPrediction]) -> Callable[[KernelSetting], TargetPrediction]:
    """The same for the points x of a kernel setting: the first as training input, which the joint matrix has last."""

    def on_points(s: KernelSetting) -> TargetPrediction:
        activation: Trained = "relu" if s.activation == "relu" else "erf"
        joint = function(EnsembleSetting(s.x[:1], s.x[1:], np.zeros(1), activation, s.weight_scale, s.bias_scale))
        order = [len(s.x) - 1, *range(len(s.x) - 1)]
        return TargetPrediction(joint.covariance[np.ix_(order, order)])

    return on_points


def compare_products(s: KernelSetting, p: TargetPrediction, rows: Rows) -> Comparison:
    """Means of products of the target at two points, over networks and directions."""
    products = gram(rows, len(s.x))
    upper = np.triu_indices(len(s.x))
    error = products.std(axis=0, ddof=1) / np.sqrt(len(products))
    bound = multiplier(len(upper[0]), degrees=len(products) - 1) * error
    scale = np.sqrt(np.outer(np.diag(p.covariance), np.diag(p.covariance)))
    return Comparison(products.mean(axis=0)[upper], p.covariance[upper], bound[upper], scale[upper])


def hidden_shares(s: KernelSetting, run: Run) -> Mapping[str, Any]:
    """T_0 - K_0 of finite networks: the target's covariance given theta0."""
    every, readout = initial_kernels(s, run), readout_shares(s, run)
    return {name: every[name] - readout[name] for name in every}


def compare_fourth_moment(s: KernelSetting, p: TargetPrediction, rows: Rows) -> Ladder:
    """E h^4 / (3 (r^T (T-K) r)^2) - 1 for a combination h of targets, and its fourth cumulant: Var r^T (T_0 - K_0) r."""
    direction = np.cos(np.arange(len(s.x)))
    form = np.einsum("i,rij,j->r", direction, gram(rows, len(s.x)), direction) / (direction @ p.covariance @ direction)
    size = rows["width"]
    means = {n: form[size == n].mean() for n in np.unique(size)}
    return nngp.ladder(size, form**2 - 1, (form - np.vectorize(means.get)(size)) ** 2)


MANY = ByBudget(quick=({"width": 16, "members": 50_000, "group": 100},))
CHECKS = (
    Check(
        "shipped covariance",
        FORMULA,
        controls=tuple(
            Control(name, {"claim": replace(FORMULA, shipped=partial(lambda f, s: f(s).covariance.ravel(), function))})
            for name, function in WRONG
        ),
    ),
    Check(
        "one hidden layer of 16 units: products of derivatives along psi*",
        Agreement("Monte Carlo", relative=0.15),
        settings=ByBudget(quick=nngp.ONE_HIDDEN),
        experiment=tangent_products,
        plan=MANY,
        predict=_of_points(predict),
        compare=compare_products,
        controls=(
            *(Control(name, {"predict": _of_points(function)}) for name, function in WRONG),
            Control("psi not zeroed in the readout", {"experiment": partial(tangent_products, zeroed=False)}),
        ),
    ),
    Check(
        "two hidden layers: fourth moments become Gaussian at rate 1/n",
        LimitWithRate(rate=(-1.2, -0.8)),
        settings=ByBudget(quick=nngp.TWO_HIDDEN),
        experiment=hidden_shares,
        plan=ByBudget(quick=tuple({"width": n, "members": 2_000} for n in (8, 16, 32, 64, 128))),
        predict=_of_points(predict),
        compare=compare_fourth_moment,
        controls=(
            *(Control(name, {"predict": _of_points(function)}) for name, function in WRONG[:3]),
            Control("rate n^(-1/2)", {"claim": LimitWithRate(rate=(-0.6, -0.4))}),
            Control("rate n^-2", {"claim": LimitWithRate(rate=(-2.2, -1.8))}),
        ),
    ),
)

RESULT = Result(
    BRND_TARGET, predict, ensemble_law.EXAMPLE, CHECKS, uses=(nngp.RESULT, ntk.RESULT), derivation=DERIVATION
)
