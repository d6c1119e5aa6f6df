"""Sample, then optimise: training turns prior draws into posterior draws, for features given exactly and for finite networks."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import sympy
from flint import arb, ctx

from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.store import Rows
from ....numerics.wide_networks.features import Features, features, sample_then_optimise
from ....theory.axioms import GAUSSIAN_AFFINE, KKT
from ....theory.balls.context import exact_fraction, to_ball
from ....theory.balls.linear_training import conditional_covariance, exact_matrix, regression_map
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.posteriors import STO
from ...result import Check, Control, Result
from ..dynamics import flow
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
    random_model,
)
from . import gaussian

# --- derivation ---------------------------------------------------------------------------------------------------


def minimum_of_the_penalised_loss() -> list[tuple[Any, Any]]:
    """The gradient at theta0 + J^T a is J^T ((J J^T + s2) a - (z - J theta0)): two points, three parameters."""
    rows = sympy.Matrix(2, 3, sympy.symbols("j0:6", real=True))
    start, z = sympy.Matrix(sympy.symbols("w0:3", real=True)), sympy.Matrix(sympy.symbols("z0:2", real=True))
    dual, s2 = sympy.Matrix(sympy.symbols("a0:2", real=True)), sympy.symbols("s2", positive=True)
    moved = rows.T * dual
    gradient = rows.T * (rows * (start + moved) - z) + s2 * moved
    factored = rows.T * ((rows * rows.T + s2 * sympy.eye(2)) * dual - (z - rows * start))
    return list(zip(gradient, factored, strict=True))


def covariances() -> list[tuple[Any, Any]]:
    """For T_*X = G (T_XX + s2) with any G: M T M^T + s2 G G^T = T_** - G T_X*; what is left without s2 G G^T."""
    v, g1, g2, a, b, d = sympy.symbols("v g1 g2 a b d", real=True)
    s2 = sympy.symbols("s2", positive=True)
    gain, train = sympy.Matrix([[g1, g2]]), sympy.Matrix([[a, b], [b, d]])
    cross = gain * (train + s2 * sympy.eye(2))
    prior = v - 2 * (gain * cross.T)[0] + (gain * train * gain.T)[0]
    return [
        (prior + s2 * (gain * gain.T)[0], v - (gain * cross.T)[0]),
        (v - (gain * cross.T)[0] - prior, s2 * (gain * gain.T)[0]),
    ]


# --- sto ----------------------------------------------------------------------------------------------------------


def jacobian(s: LinearModel) -> Features:
    return features(s.jacobian[: s.tests], s.jacobian[s.tests :])


def predict(s: LinearModel, *, label_noise: bool = True, noise: float | None = None) -> Law:
    """The law of the shipped sampler: it is affine in its draws, so the unit draws say everything."""
    j, parameters, n = jacobian(s), s.jacobian.shape[1], len(s.labels)
    s2 = s.noise if noise is None else noise
    draws = [sample_then_optimise(j, np.zeros(n), initial=np.eye(parameters), noise=s2)]
    if label_noise:
        errors = np.sqrt(s.noise) * np.eye(n)
        draws.append(
            sample_then_optimise(j, np.zeros(n), initial=np.zeros((n, parameters)), noise=s2, label_noise=errors)
        )
    both = np.concatenate(draws)
    mean = sample_then_optimise(j, s.labels, initial=np.zeros(parameters), noise=s2)
    return Law(mean, both.T @ both)


def exact(s: LinearModel, *, deficit: bool = False) -> list[arb]:
    """The posterior from the joint precision matrix, less s2 G G^T where the label noise is missing."""
    with ctx.workdps(DIGITS + 60):
        _, t = exact_kernels(s)
        gain = regression_map(t, s.tests, exact_noise(s))
        covariance = conditional_covariance(t, s.tests, exact_noise(s))
        if deficit:
            covariance = covariance - gain * gain.transpose() * to_ball(exact_fraction("noise", s.noise))
        labels = exact_matrix([[v] for v in s.labels.tolist()])
        return (gain * labels).entries() + covariance.entries()


def width(s: LinearModel) -> np.ndarray:
    """As a posterior's; the residual y - J theta0 is formed first, which costs (p+q) eps |J|^2 (1 + |G|) more."""
    _, t = kernels(s)
    return law_width(s, t, t, predict(s)) * (1 + s.jacobian.shape[1] / len(s.labels))


def random_noisy(rng: np.random.Generator) -> LinearModel:
    return random_model(rng, noise=float(rng.integers(1, 9)) / 4)


FORMULA = Formula(exact, lambda s: flatten(predict(s)), flatten, random_noisy, width, count=40)


def without_noise(s: LinearModel) -> np.ndarray:
    return flatten(predict(s, label_noise=False))


DEFICIT = Formula(
    partial(exact, deficit=True),
    without_noise,
    lambda p: p,
    random_noisy,
    lambda s: width(s) * np.abs(flatten(predict(s))) / np.abs(without_noise(s)),
    count=40,
)


def minimise(
    j: np.ndarray, goals: np.ndarray, start: np.ndarray, noise: float, *, towards: np.ndarray | None = None
) -> np.ndarray:
    """argmin |J theta - goal|^2 + s2 |theta - start|^2, column by column, by orthogonal factorisation of the stacked system."""
    size = j.shape[1]
    anchor = start if towards is None else towards
    stacked = np.concatenate([j, np.sqrt(noise) * np.eye(size)])
    return np.linalg.lstsq(stacked, np.concatenate([goals, np.sqrt(noise) * anchor]), rcond=None)[0]


def compare_minimum(
    s: LinearModel, p: Law, rows: Rows, *, label_noise: bool = True, penalty: float = 1.0, origin: bool = False
) -> Comparison:
    """Least squares in the parameters, from all unit draws. Backward stable: (p+q+N) eps times the condition squared."""
    j, n, count = s.jacobian, s.tests, len(s.labels)
    size = j.shape[1]
    start = np.concatenate([np.eye(size), np.zeros((size, count + 1))], axis=1)
    goals = np.concatenate(
        [np.zeros((count, size)), label_noise * np.sqrt(s.noise) * np.eye(count), s.labels[:, None]], axis=1
    )
    trained = minimise(j[n:], goals, start, penalty * s.noise, towards=np.zeros_like(start) if origin else None)
    outputs = j[:n] @ trained
    observed = Law(outputs[:, -1], outputs[:, :-1] @ outputs[:, :-1].T)
    gain, error = gain_error(s, kernels(s)[1])
    condition = (s.noise + float(np.linalg.norm(j)) ** 2) / s.noise
    rate = error / gain + 40 * (size + count) * EPS * condition
    scale = np.repeat(
        [(1 + gain) * float(np.linalg.norm(s.labels)), (1 + gain) ** 2 * float(np.linalg.norm(j)) ** 2], [n, n**2]
    )
    return Comparison(flatten(observed), flatten(p), 4 * rate * scale, scale)


NOISY = gaussian.NOISY

SAMPLED = Result(
    STO,
    predict,
    NOISY.quick[0],
    (
        Check(
            "the shipped sampler's law is the posterior",
            FORMULA,
            controls=(
                Control("no label noise", flow.mutant(FORMULA, partial(predict, label_noise=False))),
                Control("twice the penalty", flow.mutant(FORMULA, lambda s: predict(s, noise=2 * s.noise))),
                Control("hardly any penalty", flow.mutant(FORMULA, lambda s: predict(s, noise=1e-3 * s.noise))),
                Control("draws from the readout only", flow.mutant(FORMULA, lambda s: predict(replace(s, hidden=0 * s.hidden)))),
            ),
        ),
        Check(
            "without label noise exactly s2 G G^T is missing",
            replace(DEFICIT, read=lambda p: p),
            controls=(
                Control("nothing is missing", {"claim": replace(DEFICIT, shipped=lambda s: flatten(predict(s)))}),
                Control("twice that is missing", {"claim": replace(DEFICIT, shipped=lambda s: 2 * without_noise(s) - flatten(predict(s)))}),
            ),
            predict=without_noise,
        ),
        Check(
            "least squares in the parameters from all unit draws",
            Agreement("rounding"),
            settings=NOISY,
            compare=compare_minimum,
            controls=(
                Control("no label noise", {"compare": partial(compare_minimum, label_noise=False)}),
                Control("half the penalty", {"compare": partial(compare_minimum, penalty=0.5)}),
                Control("penalty towards the origin", {"compare": partial(compare_minimum, origin=True)}),
            ),
        ),
    ),
    uses=(gaussian.POSTERIOR,),
    derivation=(
        Axiom(KKT, "the penalised loss is convex: its minimum is where the gradient vanishes"),
        Algebra("that is theta0 + J^T (T_XX + s2)^{-1} (y + xi - J theta0), so J theta_inf = M J theta0 + G (y + xi)", minimum_of_the_penalised_loss),
        Axiom(GAUSSIAN_AFFINE, "J theta0 is N(0, T) and xi is N(0, s2 I): the output is Gaussian with mean G y and covariance M T M^T + s2 G G^T"),
        Algebra("which is T_** - G T_X*; without xi it is s2 G G^T less", covariances),
        Uses(gaussian.POSTERIOR, "the posterior with kernel T and noise s2"),
    ),
)  # fmt: skip

RESULTS = (SAMPLED,)
