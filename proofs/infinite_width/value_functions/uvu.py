"""Value functions by temporal differences: Cov(u - g) = 2 M_U K M_U^T, and no limit where Delta has the wrong spectrum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import scipy.linalg
from flint import arb, arb_mat
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Enclosures, Formula, Inequality
from ....numerics.store import Rows
from ....numerics.wide_networks.distillation import distillation_error_covariance
from ....numerics.wide_networks.value_functions import (
    DivergingTD,
    td_matrix,
    td_mean,
    td_smoother,
    td_step_limit,
    uvu_error_covariance,
)
from ....theory.axioms import CONDITIONING, GAUSSIAN_AFFINE, INDEPENDENCE, ODE, PROKHOROV
from ....theory.balls.smoothers import grams, matrix, part
from ....theory.derivation import Algebra, Axiom, Cited, Uses
from ....theory.statements.infinite_width.value_functions import UVU
from ...result import ByBudget, Check, Control, Result
from ..distillation.setting import DIGITS, HALF_ULP, sample_architecture
from ..kernels import nngp, ntk
from .transitions import TransitionSetting, block_form, error_of_the_predictor, kernels, one_transition, stable_steps


@dataclass(frozen=True)
class ValuePrediction:
    """Mean (S,) over members of the value function, covariance (S, S) of u - g, and the largest stable step."""

    mean: Float[np.ndarray, " test"]
    error_covariance: Float[np.ndarray, "test test"]
    step_limit: float


DERIVATION = (
    Uses(nngp.RESULT, "the initial outputs over (test, X, X') are N(0, K)"),
    Uses(ntk.RESULT, "the tangent kernel at initialisation converges to T"),
    Cited("lee2019", "during training the network stays within o(1) of its linearisation; taken over to semi-gradient flow, whose residuals decay too"),
    Axiom(ODE, "linearised, d = f(X) - D f(X') - r solves d' = -Delta d, and f(*) moves by -T_*X times its integral"),
    Algebra("which is Delta^{-1} d0 when every mode decays", one_transition),
    Axiom(PROKHOROV, "so f_inf = f0 + G_U (r + D f0(X') - f0(X)) = M_U f0 + G_U r is a continuous image of f0"),
    Axiom(GAUSSIAN_AFFINE, "Gaussian with mean G_U r and covariance M_U K M_U^T"),
    Algebra("the four-term formula; discount 0 gives M K M^T of distillation on X", block_form),
    Axiom(CONDITIONING, "given g its rewards g(X) - D g(X') are constants"),
    Algebra("so u - g = M_U (u0 - g)", error_of_the_predictor),
    Axiom(INDEPENDENCE, "and u0 and g are independent: twice the covariance"),
    Algebra("steps of size eta contract the mode l iff eta < 2 Re l/|l|^2, and no step does if Re l <= 0", stable_steps),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: TransitionSetting) -> ValuePrediction:
    k, t = kernels(s)
    return ValuePrediction(
        td_mean(t, s.rewards, discount=s.discounts),
        uvu_error_covariance(k, t, discount=s.discounts),
        td_step_limit(t, discount=s.discounts),
    )


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> TransitionSetting:
    """Two or three transitions, sometimes a terminal one, drawn again until temporal differences converge well."""
    while True:
        n, activation, weight, bias = int(rng.integers(2, 4)), *sample_architecture(rng)
        discounts = rng.uniform(0, 0.95, n) * (rng.random(n) > 0.3)
        x = rng.normal(size=(n, 3))
        s = TransitionSetting(
            x, x + 0.7 * rng.normal(size=(n, 3)), rng.normal(size=(2, 3)), discounts, rng.normal(size=n), activation, weight, bias
        )  # fmt: skip
        eigenvalues = np.linalg.eigvals(td_matrix(kernels(s)[1], discounts))
        if eigenvalues.real.min() > 0.02:
            return s


def last_step(s: TransitionSetting) -> list[arb]:
    """Mean, twice the four-term covariance, with Lam_S = K_XS - D K_X'S, and the step limit of a 2 x 2 Delta in closed form."""
    scales: Any = {"activation": s.activation, "weight_scale": s.weight_scale, "bias_scale": s.bias_scale}
    k, t = grams(s.points.tolist(), digits=DIGITS + 20, **scales)
    a, n = len(s.test), len(s.train)
    star, x, y = range(a), range(a, a + n), range(a + n, a + 2 * n)
    d = arb_mat([[arb(s.discounts[i]) if i == j else arb(0) for j in range(n)] for i in range(n)])
    delta = part(t, x, x) - d * part(t, y, x)
    g = delta.transpose().solve(part(t, star, x).transpose()).transpose()
    lam = {name: part(k, x, points) - d * part(k, y, points) for name, points in (("*", star), ("x", x), ("y", y))}
    cross = g * lam["*"]
    covariance = part(k, star, star) - cross - cross.transpose() + g * (lam["x"] - lam["y"] * d) * g.transpose()
    mean = g * matrix([[value] for value in s.rewards.tolist()])
    return mean.entries() + (covariance * arb(2)).entries()


def flatten(p: ValuePrediction) -> np.ndarray:
    return np.concatenate([p.mean, p.error_covariance.ravel()])


def width(s: TransitionSetting) -> np.ndarray:
    """As for distillation, with Delta in the place of T_XX; kernels are right to 200 half-ulps of |T|."""
    k, t = kernels(s)
    p, g, delta = predict(s), td_smoother(t, s.discounts), td_matrix(t, s.discounts)
    size, whole = float(np.linalg.norm(g, 2)), float(np.linalg.norm(t.joint, 2))
    # the discounted difference cancels: errors are relative to |T|, amplified by |Delta^{-1}|
    relative = (200 + 20 * len(delta)) * HALF_ULP * float(np.linalg.norm(np.linalg.inv(delta), 2)) * whole * (1 + size)
    mean = relative * (1 + size) * float(np.linalg.norm(s.rewards))
    covariance = 8 * relative * (1 + size) * float(np.linalg.norm(k.joint, 2))
    tests = len(s.test)
    return np.concatenate([np.full(tests, mean), np.full(tests**2, covariance)]) / np.abs(flatten(p))


FORMULA = Formula(
    expression=last_step,
    shipped=lambda s: flatten(predict(s)),
    read=flatten,
    sample=sample,
    width=width,
    count=20,
)

Wrong = Callable[[TransitionSetting], ValuePrediction]


def _half(s: TransitionSetting) -> ValuePrediction:
    return replace(predict(s), error_covariance=predict(s).error_covariance / 2)


def _no_discount(s: TransitionSetting) -> ValuePrediction:
    return predict(replace(s, discounts=0 * s.discounts))


def _no_terminal(s: TransitionSetting) -> ValuePrediction:
    """The largest discount everywhere (a tenth of it where that diverges)."""
    try:
        return predict(replace(s, discounts=np.full(len(s.discounts), s.discounts.max())))
    except DivergingTD:
        return predict(replace(s, discounts=np.full(len(s.discounts), s.discounts.max() / 10)))


def _operator(build: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Wrong:
    def wrong(s: TransitionSetting) -> ValuePrediction:
        k, t = kernels(s)
        m = np.concatenate([np.eye(len(s.test)), build(td_smoother(t, s.discounts), s.discounts)], axis=1)
        return replace(predict(s), error_covariance=2 * m @ k.joint @ m.T)

    return wrong


def _transposed(s: TransitionSetting) -> ValuePrediction:
    """Delta^T for Delta: the discount on the wrong side."""
    k, t = kernels(s)
    a, n = len(s.test), len(s.train)
    g = np.linalg.solve(td_matrix(t, s.discounts), t.joint[:a, a : a + n].T).T
    m = np.concatenate([np.eye(a), -g, g * s.discounts], axis=1)
    return replace(predict(s), mean=g @ s.rewards, error_covariance=2 * m @ k.joint @ m.T)


WRONG: tuple[tuple[str, Wrong], ...] = (
    ("factor 2 dropped", _half),
    ("discounts forgotten", _no_discount),
    ("terminal transitions forgotten", _no_terminal),
    ("Delta transposed", _transposed),
    ("plus on G_U", _operator(lambda g, d: np.concatenate([g, g * d], axis=1))),
    ("minus on G_U D", _operator(lambda g, d: np.concatenate([-g, -g * d], axis=1))),
)

# --- checks: the flow ---------------------------------------------------------------------------------------------


def compare_flow(s: TransitionSetting, p: ValuePrediction, rows: Rows) -> Comparison:
    """The exponential of the semi-gradient flow of a predictor with a frozen g, late, and of a member on the rewards."""
    k, t = kernels(s)
    size, n, a = len(s.points), len(s.train), len(s.test)
    # residual = (f - g)(X) - D (f - g)(X') as a map of all values; f' = -T_.X residual
    residual = np.zeros((n, size))
    residual[:, a : a + n], residual[:, a + n :] = np.eye(n), -np.diag(s.discounts)
    generator = -t.joint[:, a : a + n] @ residual
    slowest = float(np.linalg.eigvals(td_matrix(t, s.discounts)).real.min())
    time = 34 / slowest
    flow = scipy.linalg.expm(time * generator)[:a]  # of u - g: the rewards cancel g
    covariance = 2 * flow @ k.joint @ flow.T
    # a member: append the constant rewards to the state
    whole = np.zeros((size + n, size + n))
    whole[:size, :size], whole[:size, size:] = generator, t.joint[:, a : a + n]
    mean = scipy.linalg.expm(time * whole)[:a, size:] @ s.rewards
    observed = np.concatenate([mean, covariance.ravel()])
    norm = float(np.linalg.norm(flow, 2))
    rate = (
        np.linalg.cond(np.linalg.eig(td_matrix(t, s.discounts))[1])
        * np.exp(-34.0)
        * np.linalg.norm(generator, 2)
        / slowest
    )
    rounding = (
        20 * (size + n) * HALF_ULP * (1 + time * np.linalg.norm(generator, 2)) * np.linalg.norm(generator, 2) / slowest
    )
    scales = np.concatenate(
        [np.full(a, norm * (1 + np.linalg.norm(s.rewards))), np.full(a * a, 2 * norm**2 * np.linalg.norm(k.joint, 2))]
    )
    return Comparison(observed, flatten(p), 4 * (rate + rounding) * scales, scales)  # fmt: skip


def compare_no_discount(s: TransitionSetting, p: ValuePrediction, rows: Rows, *, discount: float = 0.0) -> Comparison:
    """With discount 0 everywhere: the covariance of distillation on X, from blocks of K and T over (test, X)."""
    from ....numerics.wide_networks.gram import gram_blocks

    k, t = kernels(s)
    a, n = len(s.test), len(s.train)
    k_x, t_x = (
        gram_blocks(name, m.joint[:a, :a], m.joint[:a, a : a + n], m.joint[a : a + n, a : a + n])
        for name, m in (("K", k), ("T", t))
    )
    smoothing = np.linalg.solve(t_x.train, t_x.cross.T).T
    expected = distillation_error_covariance(smoother=smoothing, target_nngp=k_x, predictor_nngp=k_x)
    found = uvu_error_covariance(k, t, discount=discount)
    scale = float((1 + np.linalg.norm(smoothing, 2)) ** 2 * np.linalg.norm(k.joint, 2))
    bound = 40 * len(s.points) * HALF_ULP * np.linalg.cond(t_x.train) * scale
    return Comparison(found, expected, np.array(bound), scale)


def compare_steps(s: TransitionSetting, p: ValuePrediction, rows: Rows, *, factor: float = 1.0) -> Enclosures:
    """Spectral radius of I - eta Delta: below 1 a hundredth below the limit, above 1 a hundredth above it."""
    delta = td_matrix(kernels(s)[1], s.discounts)
    slacks = []
    for side, sign in ((0.99, 1), (1.01, -1)):
        radius = np.abs(np.linalg.eigvals(np.eye(len(delta)) - side * factor * p.step_limit * delta)).max()
        slacks.append(sign * (1 - radius))
    error = 1e-10  # eigenvalues of these well-conditioned 4 x 4 matrices are far better than that
    return Enclosures(np.array(slacks) - error, np.array(slacks) + error, width=1e-9)


POINTS = np.array([[1.0, 0.0, 0.0], [0.6, 0.6, 0.0], [0.0, 1.0, 0.3], [-0.5, 0.5, 1.0]])
NEXT = np.array([[0.6, 0.6, 0.0], [0.0, 1.0, 0.3], [-0.5, 0.5, 1.0], [-1.0, -0.2, 0.8]])
EXAMPLE = TransitionSetting(
    POINTS,
    NEXT,
    np.array([[0.5, 0.5, 0.0], [-0.7, 0.4, 0.2]]),
    np.array([0.9, 0.9, 0.9, 0.0]),
    np.array([0.0, 0.1, -0.2, 1.0]),
    "erf",
    (1.5, 1.5),
    (0.3, 0.3),
)
SETTINGS = ByBudget(quick=(EXAMPLE, replace(EXAMPLE, activation="relu", discounts=np.array([0.5, 0.6, 0.7, 0.0]))))
CHECKS = (
    Check(
        "shipped mean and covariance",
        FORMULA,
        controls=tuple(
            Control(name, {"claim": replace(FORMULA, shipped=partial(lambda f, s: flatten(f(s)), function))})
            for name, function in WRONG
        ),
    ),
    Check(
        "semi-gradient flow ends there",
        Agreement("convergence"),
        settings=SETTINGS,
        compare=compare_flow,
        controls=tuple(Control(name, {"predict": function}) for name, function in WRONG),
    ),
    Check(
        "discount 0 is distillation",
        Agreement("rounding"),
        settings=SETTINGS,
        compare=compare_no_discount,
        controls=(Control("discount 1/10", {"compare": partial(compare_no_discount, discount=0.1)}),),
    ),
    Check(
        "the step limit divides contraction from growth",
        Inequality(),
        settings=SETTINGS,
        compare=compare_steps,
        controls=(
            Control("2/|l| for 2 Re l/|l|^2, twice the limit", {"compare": partial(compare_steps, factor=2.0)}),
            Control("half the limit", {"compare": partial(compare_steps, factor=0.5)}),
        ),
    ),
)

RESULT = Result(UVU, predict, EXAMPLE, CHECKS, uses=(nngp.RESULT, ntk.RESULT), derivation=DERIVATION)
