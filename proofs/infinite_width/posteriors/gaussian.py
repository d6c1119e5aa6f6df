"""The two Gaussian-process posteriors: of readout training (NNGP), and of the tangent kernel with noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.linalg
import sympy
from flint import arb, ctx

from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.store import Rows
from ....numerics.wide_networks.ensemble import ensemble_law
from ....numerics.wide_networks.posterior import ntkgp_posterior, posterior, readout_ensemble
from ....theory.axioms import GAUSSIAN_AFFINE, INDEPENDENCE, LINEARITY, SPECTRAL
from ....theory.balls.linear_training import conditional_covariance, exact_matrix, regression_map, split
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.posteriors import NNGP_TOP_LAYER, NTKGP_POSTERIOR
from ...result import ByBudget, Check, Control, Result
from ..dynamics import flow
from ..linear_models import (
    DIGITS,
    EPS,
    Law,
    LinearModel,
    exact_gain,
    exact_kernels,
    exact_noise,
    flatten,
    gain_error,
    kernels,
    law_width,
    random_model,
)

# --- derivations --------------------------------------------------------------------------------------------------


def twice_the_time() -> list[tuple[Any, Any]]:
    """In an eigenvector of K_XX, 2 a - h a^2 with a = (1 - e)/h: the two cross terms less the quadratic one."""
    h, t = sympy.symbols("h t", positive=True)
    a = (1 - sympy.exp(-t * h)) / h
    return [(2 * a - h * a**2, (1 - sympy.exp(-2 * t * h)) / h), (sympy.limit(2 * a - h * a**2, t, sympy.oo), 1 / h)]


def residual_is_uncorrelated() -> list[tuple[Any, Any]]:
    """For T_*X = G (T_XX + s2): Cov(f(*) - G y, y) = 0, and the residual's variance is both forms of the covariance."""
    v, g1, g2, a, b, d = sympy.symbols("v g1 g2 a b d", real=True)
    s2 = sympy.symbols("s2", positive=True)
    gain, train = sympy.Matrix([[g1, g2]]), sympy.Matrix([[a, b], [b, d]])
    noisy = train + s2 * sympy.eye(2)
    cross = gain * noisy
    joint = sympy.Matrix(sympy.BlockMatrix([[sympy.Matrix([[v]]), cross], [cross.T, train]]))
    residual = sympy.Matrix.hstack(sympy.eye(1), -gain)
    covariance_with_labels = residual * joint[:, 1:] - s2 * gain
    squares = (residual * joint * residual.T)[0] + s2 * (gain * gain.T)[0]
    return [
        *((entry, sympy.Integer(0)) for entry in covariance_with_labels),
        (squares, v - (gain * cross.T)[0]),
    ]


# --- nngp_top_layer -----------------------------------------------------------------------------------------------


def predict_readout(s: LinearModel) -> Law:
    found = readout_ensemble(kernels(s)[0], s.labels, time_sum_loss=s.time_sum_loss)
    return Law(found.mean, found.covariance)


def exact_readout(s: LinearModel) -> list[arb]:
    """The closed forms: mean from time t, covariance from time 2t."""
    with ctx.workdps(DIGITS + 60):
        k, _ = exact_kernels(s)
        test, cross, _ = split(k, s.tests)
        labels = exact_matrix([[v] for v in s.labels.tolist()])
        later = exact_gain(replace(s, time_sum_loss=2 * s.time_sum_loss), k)
        return (exact_gain(s, k) * labels).entries() + (test - later * cross.transpose()).entries()


def readout_width(s: LinearModel) -> np.ndarray:
    k, _ = kernels(s)
    return law_width(s, k, k, predict_readout(s))


READOUT_FORMULA = Formula(exact_readout, lambda s: flatten(predict_readout(s)), flatten, flow.at_any_time, readout_width, count=60)  # fmt: skip


def compare_readout(s: LinearModel, p: Law, rows: Rows) -> Comparison:
    """Gradient flow on the readout's parameters alone, from all unit starts, by the exponential of its affine generator."""
    frozen = replace(s, hidden=np.zeros_like(s.hidden))
    return flow.compare_law(frozen, p, rows)


def readout_gain(change: Callable[[LinearModel], float]) -> Callable[[LinearModel], Law]:
    """The closed covariance with another multiple of the time than 2."""

    def wrong(s: LinearModel) -> Law:
        k, _ = kernels(s)
        later = ensemble_law(k, k, s.labels, training=replace(s, time_sum_loss=change(s) * s.time_sum_loss).training)
        return Law(predict_readout(s).mean, k.test - later.smoother.matrix @ k.cross.T)

    return wrong


def everything_trained(s: LinearModel) -> Law:
    return flow.predict_law(s)


READOUT = Result(
    NNGP_TOP_LAYER,
    predict_readout,
    flow.EXAMPLE,
    (
        Check(
            "shipped law against the closed form with twice the time",
            READOUT_FORMULA,
            controls=(
                Control("e^{-tK} in the covariance", flow.mutant(READOUT_FORMULA, readout_gain(lambda s: 1.0))),
                Control("all parameters trained", flow.mutant(READOUT_FORMULA, everything_trained)),
                Control("time of the mean loss", flow.mutant(READOUT_FORMULA, lambda s: predict_readout(replace(s, time_sum_loss=s.time_sum_loss / len(s.labels))))),
            ),
        ),
        Check(
            "the flow of the readout's parameters",
            Agreement("rounding"),
            settings=flow.POSITIVE_TIMES,
            compare=compare_readout,
            controls=(
                Control("e^{-tK} in the covariance", {"predict": readout_gain(lambda s: 1.0)}),
                Control("all parameters trained", {"predict": everything_trained}),
                Control("converged", {"predict": lambda s: predict_readout(replace(s, time_sum_loss=math.inf))}),
            ),
        ),
    ),
    uses=(flow.LAW,),
    derivation=(
        Uses(flow.LAW, "J holds only the readout's features, so the tangent kernel is K: the law is that of T = K"),
        Axiom(SPECTRAL, "K_XX is diagonal in an orthonormal basis"),
        Algebra("2 (1-e) - (1-e)^2 = 1 - e^2 in every mode, so the three correction terms are one at twice the time; t = inf gives K_XX^{-1}", twice_the_time),
    ),
)  # fmt: skip

# --- ntkgp_posterior ----------------------------------------------------------------------------------------------


def random_noisy(rng: np.random.Generator) -> LinearModel:
    return random_model(rng, noise=float(rng.integers(0, 5)) / 4)


def predict_posterior(s: LinearModel) -> Law:
    found = ntkgp_posterior(kernels(s)[1], s.labels, noise=s.noise)
    return Law(found.mean, found.covariance)


def exact_posterior(s: LinearModel) -> list[arb]:
    """The covariance from the joint precision matrix."""
    with ctx.workdps(DIGITS + 60):
        _, t = exact_kernels(s)
        labels = exact_matrix([[v] for v in s.labels.tolist()])
        mean = regression_map(t, s.tests, exact_noise(s)) * labels
        return mean.entries() + conditional_covariance(t, s.tests, exact_noise(s)).entries()


def posterior_width(s: LinearModel) -> np.ndarray:
    _, t = kernels(s)
    return law_width(s, t, t, predict_posterior(s))


POSTERIOR_FORMULA = Formula(exact_posterior, lambda s: flatten(predict_posterior(s)), flatten, random_noisy, posterior_width, count=60)  # fmt: skip


def compare_weights(s: LinearModel, p: Law, rows: Rows) -> Comparison:
    """The posterior of the weights: covariance (I + J^T J/s2)^{-1}, by Cholesky; rounding (p+q) eps cond."""
    j, n = s.jacobian, s.tests
    precision = np.eye(j.shape[1]) + j[n:].T @ j[n:] / s.noise
    right = np.concatenate([j[:n].T, (j[n:].T @ s.labels / s.noise)[:, None]], axis=1)
    solved = scipy.linalg.cho_solve(scipy.linalg.cho_factor(precision), right)
    observed = Law(j[:n] @ solved[:, n], j[:n] @ solved[:, :n])
    gain, error = gain_error(s, kernels(s)[1])
    rate = error / gain + 40 * j.shape[1] * EPS * float(np.linalg.cond(precision))
    joint, label = (
        float(np.linalg.norm(j) ** 2),
        float(np.linalg.norm(s.labels)) * (1 + float(np.linalg.norm(j)) / s.noise),
    )
    scale = np.repeat([(1 + gain) * label, (1 + gain) ** 2 * joint], [n, n**2])
    return Comparison(flatten(observed), flatten(p), 4 * rate * scale, scale)


def with_noise(change: Callable[[float], float]) -> Callable[[LinearModel], Law]:
    return lambda s: predict_posterior(replace(s, noise=change(s.noise)))


def predictive(s: LinearModel) -> Law:
    """The variance of a new label in place of that of the function."""
    p = predict_posterior(s)
    return Law(p.mean, p.covariance + s.noise * np.eye(s.tests))


def nngp_in_its_place(s: LinearModel) -> Law:
    found = posterior(kernels(s)[0], s.labels, noise=s.noise)
    return Law(found.mean, found.covariance)


def without_label_noise(s: LinearModel) -> Law:
    """M T M^T alone."""
    p = predict_posterior(s)
    gain = ntkgp_posterior(kernels(s)[1], s.labels, noise=s.noise).smoother
    return Law(p.mean, p.covariance - s.noise * gain @ gain.T)


_rng = np.random.default_rng(30)
NOISY = ByBudget(quick=tuple(random_model(_rng, noise=noise) for noise in (0.25, 0.5, 1.0, 2.0)))
_WRONG: tuple[tuple[str, Callable[[LinearModel], Law]], ...] = (
    ("standard deviation for variance", with_noise(lambda v: v**2 + v / 8)),
    ("noise forgotten", with_noise(lambda v: 0.0)),
    ("noise of the label added to the function", predictive),
    ("kernel K", nngp_in_its_place),
    ("G s2 G^T dropped", without_label_noise),
)  # fmt: skip

POSTERIOR = Result(
    NTKGP_POSTERIOR,
    predict_posterior,
    NOISY.quick[0],
    (
        Check(
            "shipped posterior against the joint precision matrix",
            POSTERIOR_FORMULA,
            controls=tuple(Control(name, flow.mutant(POSTERIOR_FORMULA, wrong)) for name, wrong in _WRONG),
        ),
        Check(
            "the posterior of the weights of a Bayesian linear model",
            Agreement("rounding"),
            settings=NOISY,
            compare=compare_weights,
            controls=tuple(Control(name, {"predict": wrong}) for name, wrong in _WRONG),
        ),
    ),
    derivation=(
        Axiom(LINEARITY, "Cov(f(*) - G y, y) = T_*X - G (T_XX + s2 I) for any matrix G"),
        Algebra("it vanishes for G = T_*X (T_XX + s2 I)^{-1}, and the residual's covariance is T_** - G T_X* = M T M^T + s2 G G^T", residual_is_uncorrelated),
        Axiom(GAUSSIAN_AFFINE, "residual and y are jointly Gaussian, and uncorrelated, so their joint density factorises"),
        Axiom(INDEPENDENCE, "so given y the residual keeps its law N(0, T_** - G T_X*), and f(*) = G y + residual"),
    ),
)  # fmt: skip

RESULTS = (READOUT, POSTERIOR)
