"""What breaks Bayesian distillation: each break changes the covariance of the error by an exact matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import sympy
from flint import arb, arb_mat
from jaxtyping import Float

from ....numerics.claims import Formula, Ordering, Paired
from ....numerics.store import Rows
from ....numerics.wide_networks.bayesian_distillation import (
    frozen_readout_bias,
    missing_label_noise,
    other_smoother,
    posterior_covariance,
    shared_parameters,
    undrawn_readout_bias,
    unzeroed_readout,
)
from ....numerics.wide_networks.ensemble import smoother
from ....theory.axioms import GAUSSIAN_AFFINE, INDEPENDENCE, JENSEN, LINEARITY, TOWER
from ....theory.balls.smoothers import congruence, converged, flow, residual_map, ridge, split
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.bayesian_distillation import BRND_BREAKS
from ...result import ByBudget, Check, Control, Result
from ..distillation.setting import covariance_width, exact_kernels
from ..dynamics import ensemble_law
from ..finite_bayesian import tangent_targets_apart
from ..finite_networks import table
from ..settings import blocks
from . import error_law, noise
from .noise import NoiseSetting


@dataclass(frozen=True)
class BreaksPrediction:
    """What each break adds to the posterior covariance (S, S), negative where it takes away; `shared` is what is left."""

    unzeroed_readout: Float[np.ndarray, "test test"]
    stopped_at_time_one: Float[np.ndarray, "test test"]
    frozen_readout_bias: Float[np.ndarray, "test test"]
    undrawn_readout_bias: Float[np.ndarray, "test test"]
    missing_label_noise: Float[np.ndarray, "test test"]
    shared: Float[np.ndarray, "test test"]


# --- derivation ---------------------------------------------------------------------------------------------------


def other_rules() -> list[tuple[Any, Any]]:
    """M' T M'^T - M T M^T = (G' - G) T_XX (G' - G)^T for free G' and G = T_*X T_XX^{-1}; two training points."""
    v, a, b, c, p, q = sympy.symbols("v a b c p q", real=True)
    g, train = sympy.Matrix([sympy.symbols("g1 g2", real=True)]), sympy.Matrix([[a, b], [b, c]])
    cross = g * train
    other = sympy.Matrix([[p, q]])
    joint = sympy.Matrix([[v, *cross], [cross[0], a, b], [cross[1], b, c]])
    one, two = (sympy.Matrix.hstack(sympy.eye(1), -row) for row in (other, g))
    excess = (other - g) * train * (other - g).T
    return [((one * joint * one.T)[0] - (two * joint * two.T)[0], excess[0])]


def added_and_removed() -> list[tuple[Any, Any]]:
    """M (T + K) M^T is M T M^T plus M K M^T; and M (T - b^2 11^T) M^T is it less b^2 (1 - G 1)^2."""
    g1, g2, b = sympy.symbols("g1 g2 b", real=True)
    t, k = (
        sympy.Matrix([[sympy.Symbol(f"{n}{min(i, j)}{max(i, j)}", real=True) for j in range(3)] for i in range(3)])
        for n in "tk"
    )
    m = sympy.Matrix([[1, -g1, -g2]])
    ones = sympy.ones(3, 3)
    whole = (m * t * m.T)[0]
    return [
        ((m * (t + k) * m.T)[0], whole + (m * k * m.T)[0]),
        ((m * (t - b**2 * ones) * m.T)[0], whole - b**2 * (1 - g1 - g2) ** 2),
    ]


def euler() -> list[tuple[Any, Any]]:
    """A product of three layers that is homogeneous of degree 1 in each: the first two derivatives along theta0 sum to 2 f0."""
    x, w1, w2, w3 = sympy.symbols("x w1 w2 w3", positive=True)  # on an active path max(z,0) is z
    f = w3 * w2 * w1 * x
    hidden = w1 * f.diff(w1) + w2 * f.diff(w2)
    one_layer = (w2 * w1 * x).diff(w1) * w1
    return [(hidden, 2 * f), (f - hidden, -f), (one_layer, w2 * w1 * x)]


def schur_is_a_minimum() -> list[tuple[Any, Any]]:
    """v - 2 g k + g^2 a = (v - k^2/a) + a (g - k/a)^2: the posterior is the minimum over g of a linear function of (v, k, a)."""
    v, k, a, g = sympy.symbols("v k a g", positive=True)
    return [(v - 2 * g * k + g**2 * a, (v - k**2 / a) + a * (g - k / a) ** 2)]


DERIVATION = (
    Uses(error_law.RESULT, "the error is M (u0 - g) with u0 - g ~ N(0, T)"),
    Axiom(LINEARITY, "a break changes the smoother in M or the covariance of u0 - g"),
    Algebra("another smoother adds (G' - G) T_XX (G' - G)^T", other_rules),
    Algebra("a readout part of psi adds K to the target; a readout bias that starts at 0 takes b^2 from K, and G does not change", added_and_removed),
    Algebra("label noise contributes s2 G_s G_s^T, which is what is missing without it", noise.posterior_with_noise),
    Algebra("psi = theta0: by homogeneity of degree 1 in each layer the target is H f0, at every width", euler),
    Axiom(GAUSSIAN_AFFINE, "so the start of the error is (1 - H) u0, and its covariance (H - 1)^2 M K M^T at the end"),
    Algebra("a posterior variance is a minimum of linear functions of the kernel", schur_is_a_minimum),
    Axiom(JENSEN, "hence concave in it: E of the posterior of T_0 is at most that of E T_0 = T (one hidden layer)"),
    Axiom(INDEPENDENCE, "with an independent kernel T' in the target, E[M_0 T' M_0^T | theta0] = M_0 T M_0^T"),
    Axiom(TOWER, "which is at least the minimum M T M^T for every theta0: above the posterior of T at every width"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: NoiseSetting) -> BreaksPrediction:
    k, t = blocks(s.network)
    bias, depth = s.bias_scale[-1], len(s.weight_scale) - 1
    return BreaksPrediction(
        unzeroed_readout(k, t),
        other_smoother(t, smoother(t, time_sum_loss=1.0)),
        frozen_readout_bias(t, bias_scale=bias),
        -undrawn_readout_bias(t, bias_scale=bias),
        -missing_label_noise(t, noise=s.noise),
        shared_parameters(k, t, depth=depth),
    )


# --- checks: the excess -------------------------------------------------------------------------------------------


def constant(size: int, value: arb) -> arb_mat:
    return arb_mat([[value] * size for _ in range(size)])


def last_step(s: NoiseSetting) -> list[arb]:
    """The covariance of the broken method as it is built, less that of the right one."""
    k, t = exact_kernels(s.network)
    tests, size, b2 = len(s.test), k.nrows(), arb(s.bias_scale[-1]) ** 2
    test, cross, train = split(t, tests)
    right = test - cross * train.solve(cross.transpose())
    m = residual_map(converged(t, tests))
    noisy = ridge(t, tests, arb(s.noise))
    no_bias = t - constant(size, b2)
    with_noise = test - noisy * cross.transpose()
    depth = arb(len(s.weight_scale) - 1)
    parts = (
        congruence(m, k + t) - right,
        congruence(residual_map(flow(t, tests, arb(1))), t) - right,
        congruence(residual_map(converged(no_bias, tests)), t) - right,
        congruence(m, no_bias) - right,
        congruence(residual_map(noisy), t) - with_noise,
        congruence(m * (1 - depth), k),  # u0 - H u0
    )
    return [entry for part in parts for entry in part.entries()]


def flatten(p: BreaksPrediction) -> np.ndarray:
    return np.concatenate([part.ravel() for part in vars(p).values()])


def width(s: NoiseSetting) -> np.ndarray:
    """Differences of two smoothers carry the rounding of both; the scale is that of T."""
    k, t = blocks(s.network)
    b2 = s.bias_scale[-1] ** 2
    worst = max(
        covariance_width(t, g, t.joint() + k.joint())
        * max(1.0, float(np.linalg.cond(t.train - b2) / np.linalg.cond(t.train)))
        for g in (smoother(t), smoother(t, time_sum_loss=1.0))
    )
    depth = len(s.weight_scale) - 1
    value = np.abs(flatten(predict(s)))
    return 2 * depth**2 * worst / np.where(value > 0, value, 1.0)


def sample(rng: np.random.Generator) -> NoiseSetting:
    """Biases large enough for their breaks to be seen, T - b^2 kept away from singular."""
    s = noise.sample(rng)
    return replace(s, bias_scale=tuple(rng.uniform(0.3, 0.8, len(s.bias_scale)).tolist()))


FORMULA = Formula(
    expression=last_step,
    shipped=lambda s: flatten(predict(s)),
    read=flatten,
    sample=sample,
    width=width,
    count=20,
)


def _wrong(**changes: Callable[[NoiseSetting], Any]) -> dict[str, Any]:
    def shipped(s: NoiseSetting) -> np.ndarray:
        return flatten(replace(predict(s), **{name: f(s) for name, f in changes.items()}))

    return {"claim": replace(FORMULA, shipped=shipped)}


def _nngp_posterior(s: NoiseSetting) -> np.ndarray:
    return ensemble_law.posterior(s.network, kernel=0).covariance


def _negative(name: str) -> Callable[[NoiseSetting], np.ndarray]:
    return lambda s: -getattr(predict(s), name)


# --- checks: a target at another theta0 ---------------------------------------------------------------------------


def compare_targets(
    s: NoiseSetting, p: BreaksPrediction, rows: Rows, *, own: str = "own", other: str = "other"
) -> Paired:
    """Posterior variance less the error of the right target, and error of the other target less the posterior."""
    tests = len(s.test)
    variance = np.diag(posterior_covariance(blocks(s.network)[1]))
    right, wrong = ((table(rows, name, tests) / variance).mean(axis=1) for name in (own, other))
    return Paired(np.stack([1 - right, wrong - 1]))


def targets_apart(s: NoiseSetting, run: Any) -> Any:
    """Linearised networks of one hidden layer whose target is taken at their own theta0 and at another."""
    return tangent_targets_apart(s.network, run)


EXAMPLE = noise.EXAMPLE
CHECKS = (
    Check(
        "shipped excess of each break",
        FORMULA,
        controls=(
            Control("unzeroed readout: the NNGP posterior", _wrong(unzeroed_readout=_nngp_posterior)),
            Control("unzeroed readout: a factor 2", _wrong(unzeroed_readout=lambda s: 2 * predict(s).unzeroed_readout)),
            Control("stopping takes away", _wrong(stopped_at_time_one=_negative("stopped_at_time_one"))),
            Control("stopping does nothing", _wrong(stopped_at_time_one=lambda s: 0 * predict(s).shared)),
            Control("frozen bias: that of a bias not drawn", _wrong(frozen_readout_bias=_negative("undrawn_readout_bias"))),
            Control("undrawn bias adds", _wrong(undrawn_readout_bias=_negative("undrawn_readout_bias"))),
            Control("label noise: no factor s2", _wrong(missing_label_noise=lambda s: predict(s).missing_label_noise / s.noise)),
            Control("shared parameters: H for H - 1", _wrong(shared=lambda s: (len(s.weight_scale) - 1) ** 2 * predict(s).unzeroed_readout)),
        ),
    ),
    Check(
        "finite networks: a target at its own theta0 lies below the posterior, at another one above",
        Ordering(),
        settings=ByBudget(quick=(EXAMPLE,)),
        experiment=targets_apart,
        plan=ByBudget(quick=({"width": 32, "members": 8_000},)),
        compare=compare_targets,
        controls=(
            Control("the other theta0 in place of its own", {"compare": partial(compare_targets, own="other")}),
            Control("its own theta0 in place of the other", {"compare": partial(compare_targets, other="own")}),
        ),
    ),
)  # fmt: skip

RESULT = Result(BRND_BREAKS, predict, EXAMPLE, CHECKS, uses=(error_law.RESULT,), derivation=DERIVATION)
