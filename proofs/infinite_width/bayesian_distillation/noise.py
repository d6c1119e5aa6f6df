"""Bayesian distillation with observation noise: ridge and fresh label noise together give the posterior."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import sympy
from flint import arb, arb_mat, ctx
from jaxtyping import Float

from ....numerics.claims import Enclosures, Formula, Identity
from ....numerics.store import Rows
from ....numerics.wide_networks.bayesian_distillation import (
    brnd_noise_error_covariance,
    missing_label_noise,
    noisy_smoother,
    posterior_covariance,
)
from ....numerics.wide_networks.ensemble import ensemble_covariance
from ....theory.axioms import GAUSSIAN_AFFINE, INDEPENDENCE
from ....theory.balls.smoothers import beside, congruence, diagonal, identity, matrix, ridge, split
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.infinite_width.bayesian_distillation import BRND_NOISE
from ....theory.validation import finite
from ...result import ByBudget, Check, Control, Result
from ..distillation.setting import DIGITS, HALF_ULP, covariance_width, exact_kernels, sample_one
from ..dynamics import ensemble_law, linearisation
from ..dynamics import ridge as ridge_from_init
from ..settings import EnsembleSetting, Trained, blocks
from . import error_law


@dataclass(frozen=True, eq=False)
class NoiseSetting:
    """Points, an architecture, and the variance s2 > 0 of the observation noise."""

    train: Float[np.ndarray, "train features"]
    test: Float[np.ndarray, "test features"]
    activation: Trained
    weight_scale: tuple[float, ...]
    bias_scale: tuple[float, ...]
    noise: float

    def __post_init__(self) -> None:
        if not float(finite("noise", self.noise, ndim=0)) > 0:
            raise InvalidInput(f"noise is {self.noise!r}.", "It is a positive variance.")
        _ = self.network

    @property
    def network(self) -> EnsembleSetting:
        """The points with their architecture."""
        return EnsembleSetting(
            self.train, self.test, np.zeros(len(self.train)), self.activation, self.weight_scale, self.bias_scale
        )


@dataclass(frozen=True)
class NoisePrediction:
    """Covariance (S, S) of u - J psi* with label noise, and what is missing without it."""

    error_covariance: Float[np.ndarray, "test test"]
    deficit: Float[np.ndarray, "test test"]


# --- derivation ---------------------------------------------------------------------------------------------------


def posterior_with_noise() -> list[tuple[Any, Any]]:
    """M T M^T + s2 G G^T = T_** - G T_X* for G (T_XX + s2) = T_*X; two training points."""
    v, a, b, c, k1, k2, s2 = sympy.symbols("v a b c k1 k2 s2", positive=True)
    train, cross = sympy.Matrix([[a, b], [b, c]]), sympy.Matrix([[k1, k2]])
    g = cross * (train + s2 * sympy.eye(2)).inv()
    joint = sympy.Matrix([[v, k1, k2], [k1, a, b], [k2, b, c]])
    m = sympy.Matrix.hstack(sympy.eye(1), -g)
    posterior = v - (g * cross.T)[0]
    with_noise = (m * joint * m.T)[0] + s2 * (g * g.T)[0]
    return [(with_noise, posterior), ((g * (train + s2 * sympy.eye(2)) * g.T)[0], (g * cross.T)[0])]


def ridge_of_one_mode() -> list[tuple[Any, Any]]:
    """m' = -(h m - r0) - s2 m from 0 tends to r0/(h + s2): the coefficients of the ridge towards theta0 in one mode."""
    h, s2, r0, t = sympy.symbols("h s2 r0 t", positive=True)
    m = r0 * (1 - sympy.exp(-(h + s2) * t)) / (h + s2)
    return [(m.diff(t), r0 - (h + s2) * m), (sympy.limit(m, t, sympy.oo), r0 / (h + s2)), (m.subs(t, 0), 0 * r0)]


DERIVATION = (
    Uses(error_law.RESULT, "u0 and the target g are jointly Gaussian in the limit, independent, with covariances K and T - K"),
    Uses(linearisation.RESULT, "the network stays within o(1) of its linearisation during training; taken over to training with the penalty"),
    Uses(ridge_from_init.RIDGE, "the linearised flow with the penalty s2/2 |theta - theta0|^2 runs mode by mode of T_XX + s2"),
    Algebra("ends at u0 + G_s (g(X) + xi - u0(X)), G_s = T_*X (T_XX + s2 I)^{-1}", ridge_of_one_mode),
    Axiom(INDEPENDENCE, "xi is independent of both, so the error M_s (u0 - g) + G_s xi has covariance M_s T M_s^T + s2 G_s G_s^T"),
    Axiom(GAUSSIAN_AFFINE, "and is Gaussian"),
    Algebra("which is the posterior with noise; without xi the last term is missing", posterior_with_noise),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: NoiseSetting) -> NoisePrediction:
    _, t = blocks(s.network)
    return NoisePrediction(brnd_noise_error_covariance(t, noise=s.noise), missing_label_noise(t, noise=s.noise))


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> NoiseSetting:
    s = sample_one(rng)
    noise = float(10 ** rng.uniform(-3, 1))
    return NoiseSetting(s.train, s.test, s.activation, s.weight_scale, s.bias_scale, noise)


def last_step(s: NoiseSetting) -> list[arb]:
    """T_** - T_*X (T_XX + s2)^{-1} T_X*, and s2 G_s G_s^T."""
    _, t = exact_kernels(s.network)
    tests, s2 = len(s.test), arb(s.noise)
    test, cross, _ = split(t, tests)
    g = ridge(t, tests, s2)
    return (test - g * cross.transpose()).entries() + (g * g.transpose() * s2).entries()


def flatten(p: NoisePrediction) -> np.ndarray:
    return np.concatenate([p.error_covariance.ravel(), p.deficit.ravel()])


def width(s: NoiseSetting) -> np.ndarray:
    """The deficit s2 G G^T has the relative error of G twice, on the scale s2 |G|^2."""
    _, t = blocks(s.network)
    g = noisy_smoother(t, noise=s.noise)
    size = float(np.linalg.norm(g, 2))
    first = covariance_width(t, g, t.joint(), s.noise) + 40 * HALF_ULP * s.noise * size**2
    full = np.full(len(s.test) ** 2, first)
    return np.concatenate([full, full]) / np.abs(flatten(predict(s)))


FORMULA = Formula(
    expression=last_step,
    shipped=lambda s: flatten(predict(s)),
    read=flatten,
    sample=sample,
    width=width,
    count=30,
)

Wrong = Callable[[NoiseSetting], NoisePrediction]


def _without_label_noise(s: NoiseSetting) -> NoisePrediction:
    _, t = blocks(s.network)
    return replace(predict(s), error_covariance=brnd_noise_error_covariance(t, noise=s.noise, label_noise=False))


def _noiseless(s: NoiseSetting) -> NoisePrediction:
    return replace(predict(s), error_covariance=posterior_covariance(blocks(s.network)[1]))


def _noise_twice(s: NoiseSetting) -> NoisePrediction:
    p = predict(s)
    return replace(p, error_covariance=p.error_covariance + p.deficit)


def _deviation_for_variance(s: NoiseSetting) -> NoisePrediction:
    return predict(replace(s, noise=float(np.sqrt(s.noise))))


def _ensemble(s: NoiseSetting) -> NoisePrediction:
    return replace(predict(s), error_covariance=ensemble_covariance(*blocks(s.network)))


def _no_factor(s: NoiseSetting) -> NoisePrediction:
    p = predict(s)
    return replace(p, deficit=p.deficit / s.noise)


WRONG: tuple[tuple[str, Wrong], ...] = (
    ("label noise missing", _without_label_noise),
    ("no noise at all", _noiseless),
    ("label noise twice", _noise_twice),
    ("s for s2", _deviation_for_variance),
    ("ensemble covariance", _ensemble),
    ("G G^T for s2 G G^T", _no_factor),
)

# --- checks: parameters of a linear model ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class LinearSetting:
    """Features (S+N, P) of the readout and of the hidden layers of a linear model, its test points, and the noise s2."""

    readout: Float[np.ndarray, "points p"]
    hidden: Float[np.ndarray, "points q"]
    tests: int
    noise: float


def sample_linear(rng: np.random.Generator) -> LinearSetting:
    return LinearSetting(
        rng.integers(-4, 5, size=(5, 3)).astype(float), rng.integers(-4, 5, size=(5, 4)).astype(float), 2, 0.75
    )


def compare_parameters(
    s: LinearSetting, p: Any, rows: Rows, *, label_noise: bool = True, ridge_factor: float = 1.0, zeroed: bool = True
) -> Enclosures:
    """Ridge regression towards theta0 over all parameters, against the posterior of the kernel J J^T: their difference.

    theta = (w, v): the start is Phi w, the target B psi, and the step (J_X^T J_X + s2)^{-1} J_X^T (B psi + xi - Phi w)(X),
    J = [Phi, B]. The error is linear in (w, psi, xi), whose covariance is (I, I, s2 I).
    """
    with ctx.workdps(DIGITS):
        points, s2 = len(s.readout), arb(s.noise)
        phi, b = matrix(s.readout.tolist()), matrix(s.hidden.tolist())
        target = b if zeroed else beside(phi, b)
        j = beside(phi, b)
        rest = range(s.tests, points)
        j_x = arb_mat([[j[i, c] for c in range(j.ncols())] for i in rest])
        normal = j_x.transpose() * j_x + identity(j.ncols()) * (s2 * arb(ridge_factor))
        step = normal.solve(j_x.transpose())  # a map of the residuals on X to the parameters
        start = beside(phi, target * arb(-1))
        residual = beside(phi * arb(-1), target)
        residual_x = beside(
            arb_mat([[residual[i, c] for c in range(residual.ncols())] for i in rest]), identity(len(rest))
        )
        error = beside(start, arb_mat([[arb(0)] * len(rest)] * points)) + j * step * residual_x
        prior = diagonal(
            identity(phi.ncols()),
            identity(target.ncols()),
            identity(len(rest)) * (s2 if label_noise else arb(0)),
        )
        tests = range(s.tests)
        error = arb_mat([[error[i, c] for c in range(error.ncols())] for i in tests])
        kernel = j * j.transpose()
        test, cross, train = split(kernel, s.tests)
        posterior = test - cross * (train + identity(len(rest)) * s2).solve(cross.transpose())
        gap = (congruence(error, prior) - posterior).entries()
        return Enclosures(
            np.array([float(x.lower()) for x in gap]), np.array([float(x.upper()) for x in gap]), width=1e-25
        )


EXAMPLE = NoiseSetting(ensemble_law.TRAIN, ensemble_law.TEST, "erf", (1.5, 1.5), (0.3, 0.3), 0.1)
LINEAR = ByBudget(quick=tuple(sample_linear(np.random.default_rng(seed)) for seed in range(5)))
CHECKS = (
    Check(
        "shipped covariance and deficit",
        FORMULA,
        controls=tuple(
            Control(name, {"claim": replace(FORMULA, shipped=partial(lambda f, s: flatten(f(s)), function))})
            for name, function in WRONG
        ),
    ),
    Check(
        "ridge regression over the parameters of a linear model",
        Identity(),
        settings=LINEAR,
        predict=lambda s: None,
        compare=compare_parameters,
        controls=(
            Control("label noise missing", {"compare": partial(compare_parameters, label_noise=False)}),
            Control("half the ridge", {"compare": partial(compare_parameters, ridge_factor=0.5)}),
            Control("last layer of psi not zeroed", {"compare": partial(compare_parameters, zeroed=False)}),
        ),
    ),
)

RESULT = Result(
    BRND_NOISE,
    predict,
    EXAMPLE,
    CHECKS,
    uses=(error_law.RESULT, linearisation.RESULT, ridge_from_init.RIDGE),
    derivation=DERIVATION,
)
