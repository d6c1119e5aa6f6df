"""Penalties: on the distance from the initial parameters, and on the parameters themselves, which moves the prior."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import scipy.linalg
import sympy
from flint import arb, arb_mat, ctx

from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.store import Rows
from ....numerics.wide_networks.ensemble import ensemble_law
from ....numerics.wide_networks.gram import GramBlocks
from ....numerics.wide_networks.smoother import linear_smoother
from ....numerics.wide_networks.weight_decay import weight_decay_law
from ....theory.axioms import GAUSSIAN_AFFINE, KKT, ODE, SPECTRAL
from ....theory.balls.linear_training import exact_matrix, law, regression_map, ridge_flow_map
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.dynamics import RIDGE_FROM_INIT, WEIGHT_DECAY_ORIGIN
from ...result import ByBudget, Check, Control, Result
from ..linear_models import (
    DIGITS,
    EPS,
    Law,
    LinearModel,
    exact_kernels,
    exact_noise,
    flatten,
    gain_error,
    kernels,
    law_width,
    parameter_law,
    random_model,
)
from .flow import FLOW, mutant

# --- derivations --------------------------------------------------------------------------------------------------


def penalised_mode() -> list[tuple[Any, Any]]:
    """c' = r0 - (h + lam) c from 0, with f - f0 = h c in an eigenvector: the gradient of both terms is J^T times it."""
    h, lam, t, r0 = sympy.symbols("h lam t r0", positive=True)
    c = r0 * (1 - sympy.exp(-t * (h + lam))) / (h + lam)
    return [(c.diff(t), r0 - (h + lam) * c), (c.subs(t, 0), sympy.Integer(0)), (sympy.limit(c, t, sympy.oo), r0 / (h + lam))]  # fmt: skip


def penalised_gradient() -> list[tuple[Any, Any]]:
    """At theta = theta0 + J^T c the gradient is J^T ((J J^T + lam) c - (y - f0(X))), f = f0 + J (theta - theta0)."""
    rows = sympy.Matrix(2, 3, sympy.symbols("j0:6", real=True))
    gap, dual = sympy.Matrix(sympy.symbols("r0:2", real=True)), sympy.Matrix(sympy.symbols("c0:2", real=True))
    lam = sympy.symbols("lam", positive=True)
    moved = rows.T * dual
    gradient = rows.T * (rows * moved - gap) + lam * moved
    factored = rows.T * ((rows * rows.T + lam * sympy.eye(2)) * dual - gap)
    return list(zip(gradient, factored, strict=True))


def euler() -> list[tuple[Any, Any]]:
    """f(c theta) = c^L f(theta): the derivative at c = 1 is J theta = L f. Then f0 - J theta0 = (1 - L) f0 has variance (L-1)^2 K."""
    c, f, k = sympy.symbols("c f k", positive=True)
    layers = sympy.symbols("L", positive=True)
    derivative = (c**layers * f).diff(c).subs(c, 1)
    return [(derivative, layers * f), ((f - layers * f) ** 2, (layers - 1) ** 2 * f**2), ((1 - layers) ** 2 * k, (layers - 1) ** 2 * k)]  # fmt: skip


# --- ridge_from_init ----------------------------------------------------------------------------------------------


def predict(s: LinearModel) -> Law:
    k, t = kernels(s)
    found = ensemble_law(k, t, s.labels, training=s.training, ridge_sum_loss=s.noise)
    return Law(found.mean, found.covariance)


def exact(s: LinearModel) -> list[arb]:
    with ctx.workdps(DIGITS + 60):
        k, t = exact_kernels(s)
        if math.isinf(s.time_sum_loss):
            gain = regression_map(t, s.tests, exact_noise(s))
        else:
            gain = ridge_flow_map(t, s.tests, time=s.time_sum_loss, ridge=s.noise)
        return law(k, gain, s.labels.tolist())


def random_ridge(rng: np.random.Generator) -> LinearModel:
    time = math.inf if rng.integers(3) == 0 else float(rng.uniform(0.01, 1))
    return random_model(rng, noise=float(rng.integers(1, 17)) / 4, time_sum_loss=time)


FORMULA = Formula(exact, lambda s: flatten(predict(s)), flatten, random_ridge, lambda s: law_width(s, *kernels(s), predict(s)), count=50)  # fmt: skip


def penalised_flow(s: LinearModel) -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """theta' = -J^T (J theta - y) - lam (theta - theta0), by the exponential of its affine generator."""

    def train(j: np.ndarray, goals: np.ndarray, start: np.ndarray) -> np.ndarray:
        p, n = j.shape[1], len(j)
        generator = np.block(
            [[-j.T @ j - s.noise * np.eye(p), j.T, s.noise * np.eye(p)], [np.zeros((n + p, 2 * p + n))]]
        )
        return (scipy.linalg.expm(s.time_sum_loss * generator) @ np.concatenate([start, goals, start]))[:p]

    return train


def compare_flow(s: LinearModel, p: Law, rows: Rows) -> Comparison:
    """Rounding of the policy, and of exp, which is backward stable to (2p+n) eps |tB|."""
    observed = parameter_law(s, penalised_flow(s))
    gain, error = gain_error(s, kernels(s)[1])
    j = s.jacobian
    size = float(np.linalg.norm(j))
    error += 40 * sum(j.shape) * EPS * s.time_sum_loss * (size**2 + size + s.noise) * (1 + gain) * size
    joint, label = float(np.linalg.norm(s.readout) ** 2), float(np.linalg.norm(s.labels))
    split_up = [s.tests, s.tests**2]
    return Comparison(
        flatten(observed),
        flatten(p),
        np.repeat([2 * error * label, 4 * error * (1 + gain) * joint], split_up),
        np.repeat([(1 + gain) * label, (1 + gain) ** 2 * joint], split_up),
    )


def with_ridge(change: Callable[[float], float]) -> Callable[[LinearModel], Law]:
    return lambda s: predict(replace(s, noise=change(s.noise)))


def as_posterior(s: LinearModel) -> Law:
    """s2 G G^T added: what label noise would add."""
    p, t = predict(s), kernels(s)[1]
    gain = linear_smoother(t, training=s.training, ridge_sum_loss=s.noise).matrix
    return Law(p.mean, p.covariance + s.noise * gain @ gain.T)


def slow_decay(s: LinearModel) -> Law:
    """(T + lam)^{-1} (I - e^{-tT}): the penalty forgotten in the exponent."""
    k, t = kernels(s)
    inner = np.linalg.solve(t.train + s.noise * np.eye(len(t.train)), t.cross.T).T
    decay = scipy.linalg.expm(-min(s.time_sum_loss, 1e6) * t.train)
    gain = inner - inner @ decay
    residual = np.concatenate([np.eye(s.tests), -gain], axis=1)
    return Law(gain @ s.labels, residual @ k.joint() @ residual.T)


_rng = np.random.default_rng(23)
SETTINGS = ByBudget(quick=tuple(random_model(_rng, noise=lam, time_sum_loss=t) for lam, t in ((0.5, 0.05), (2.0, 0.1), (1.0, 0.3))))  # fmt: skip
_WRONG: tuple[tuple[str, Callable[[LinearModel], Law]], ...] = (
    ("no penalty", with_ridge(lambda v: 0.0)),
    ("penalty lam |theta - theta0|^2", with_ridge(lambda v: 2 * v)),
    ("s2 G G^T added, as if labels were noisy", as_posterior),
    ("penalty forgotten in the exponent", slow_decay),
)

RIDGE = Result(
    RIDGE_FROM_INIT,
    predict,
    SETTINGS.quick[0],
    (
        Check("shipped law", FORMULA, controls=tuple(Control(name, mutant(FORMULA, f)) for name, f in _WRONG)),
        Check(
            "the penalised flow of the parameters",
            Agreement("rounding"),
            settings=SETTINGS,
            compare=compare_flow,
            controls=tuple(Control(name, {"predict": f}) for name, f in _WRONG),
        ),
    ),
    uses=(FLOW,),
    derivation=(
        Uses(FLOW, "J is constant and theta - theta0 stays in the row space, theta = theta0 + J^T c"),
        Algebra("the velocity of c is y - f0(X) - (T_XX + lam) c", penalised_gradient),
        Axiom(ODE, "a linear equation with one solution from c = 0"),
        Axiom(SPECTRAL, "T_XX is diagonal in an orthonormal basis"),
        Algebra("its solution in each mode, and its limit", penalised_mode),
        Axiom(GAUSSIAN_AFFINE, "over f0 ~ N(0, K) the outputs are N(G y, M K M^T)"),
    ),
)  # fmt: skip

# --- weight_decay_origin ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class DecayModel(LinearModel):
    """The linear model with hidden parameters that start at v0 ~ N(0, I): f = readout w + hidden (v - v0), g0 = -hidden v0."""


def offset(s: LinearModel) -> GramBlocks:
    k, t = kernels(s)
    return GramBlocks(t.test - k.test, t.cross - k.cross, t.train - k.train)


def predict_decay(s: DecayModel) -> Law:
    found = weight_decay_law(offset(s), kernels(s)[1], s.labels, ridge_sum_loss=s.noise)
    return Law(found.mean, found.covariance)


def exact_decay(s: DecayModel) -> list[arb]:
    with ctx.workdps(DIGITS + 60):
        h = exact_matrix(s.hidden.tolist())
        gain = regression_map(exact_kernels(s)[1], s.tests, exact_noise(s))
        return law(arb_mat(h * h.transpose()), gain, s.labels.tolist())


def random_decay(rng: np.random.Generator) -> DecayModel:
    s = random_model(rng)
    return DecayModel(s.readout, s.hidden, s.labels, noise=float(rng.integers(1, 17)) / 4)


def decay_width(s: DecayModel) -> np.ndarray:
    return law_width(s, kernels(s)[1], kernels(s)[1], predict_decay(s))


DECAY_FORMULA = Formula(exact_decay, lambda s: flatten(predict_decay(s)), flatten, random_decay, decay_width, count=40)


def compare_decay(s: DecayModel, p: Law, rows: Rows, *, towards_start: bool = False) -> Comparison:
    """argmin 1/2 |f(X) - y|^2 + lam/2 |theta|^2 by orthogonal factorisation, from all unit draws of w0 and v0."""
    j, n, count = s.jacobian, s.tests, len(s.labels)
    readout, hidden = s.readout.shape[1], s.hidden.shape[1]
    size = readout + hidden
    start = np.eye(size, size + 1)
    shift = s.hidden @ start[readout:]  # H v0
    goals = shift[n:] + np.concatenate([np.zeros((count, size)), s.labels[:, None]], axis=1)
    stacked = np.concatenate([j[n:], math.sqrt(s.noise) * np.eye(size)])
    anchor = math.sqrt(s.noise) * (start if towards_start else np.zeros_like(start))
    theta = np.linalg.lstsq(stacked, np.concatenate([goals, anchor]), rcond=None)[0]
    outputs = j[:n] @ theta - shift[:n]
    observed = Law(outputs[:, -1], outputs[:, :-1] @ outputs[:, :-1].T)
    gain, error = gain_error(s, kernels(s)[1])
    norm = float(np.linalg.norm(j)) ** 2
    rate = error / gain + 40 * (size + count) * EPS * (s.noise + norm) / s.noise
    scale = np.repeat([(1 + gain) * float(np.linalg.norm(s.labels)), (1 + gain) ** 2 * norm], [n, n**2])
    return Comparison(flatten(observed), flatten(p), 4 * rate * scale, scale)


def kept_prior(s: DecayModel) -> Law:
    return predict(replace(s, time_sum_loss=math.inf))


DECAYED = ByBudget(quick=tuple(random_decay(_rng) for _ in range(3)))

DECAY = Result(
    WEIGHT_DECAY_ORIGIN,
    predict_decay,
    DECAYED.quick[0],
    (
        Check(
            "shipped law",
            DECAY_FORMULA,
            controls=(
                Control("prior K, as from the start", mutant(DECAY_FORMULA, kept_prior)),
                Control("twice the penalty", mutant(DECAY_FORMULA, lambda s: predict_decay(replace(s, noise=2 * s.noise)))),
            ),
        ),
        Check(
            "least squares in the parameters",
            Agreement("rounding"),
            settings=DECAYED,
            compare=compare_decay,
            controls=(
                Control("prior K, as from the start", {"predict": kept_prior}),
                Control("penalty towards the start", {"compare": partial(compare_decay, towards_start=True)}),
            ),
        ),
    ),
    uses=(RIDGE,),
    derivation=(
        Axiom(KKT, "the penalised loss is convex: its minimum is where the gradient vanishes"),
        Algebra("f = f0 + J (theta - theta0) = g0 + J theta with g0 = f0 - J theta0: the gradient vanishes at theta = J^T (T_XX + lam)^{-1} (y - g0(X))", penalised_gradient),
        Uses(RIDGE, "as with a penalty from the start, with g0 in place of f0"),
        Algebra("for a network homogeneous of degree L in its parameters, J theta0 = L f0", euler),
    ),
)  # fmt: skip

RESULTS = (RIDGE, DECAY)
