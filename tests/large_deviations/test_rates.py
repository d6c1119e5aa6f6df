"""Rate functions of finite laws: facts of pb.cramer, extreme inputs, the dual, and the wrong methods seen elsewhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
from flint import ctx
from hypothesis import given
from hypothesis import strategies as st

from nonvacuous.numerics.certified import binary_kl, inverse_rate_exponential
from nonvacuous.numerics.large_deviations import (
    ExponentialLaw,
    FiniteLaw,
    GaussianLaw,
    inverse_rate,
    mixture_inverse_rate,
    rate,
    tilted_weights,
    worst_reweighting,
)
from nonvacuous.numerics.large_deviations.cgf import cumulants
from nonvacuous.theory.balls.cgf import cgf_ball, inverse_rate_ball, mixture_inverse_rate_ball, rate_ball
from nonvacuous.theory.errors import InvalidInput

seeds = st.integers(0, 10**6)


def losses_of(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 60))
    return [
        rng.uniform(size=size),
        rng.exponential(size=size),
        rng.lognormal(0, 2, size),
        1e6 + rng.exponential(size=size),
    ][seed % 4]


def relative(value: float, ball) -> float:
    with ctx.workdps(40):
        return abs(float((float(value) - ball) / ball))


@given(seeds, st.floats(-25, 0))
def test_inverse_rate_within_its_derived_width(seed, exponent):
    x = losses_of(seed)
    s = 10**exponent * math.log(x.size)
    found = inverse_rate(x, s)
    assert relative(found.value, inverse_rate_ball(("finite", tuple(x)), s, 40)) <= found.rounding
    assert found.rounding < 5e-13


@given(seeds, st.floats(-8, -0.05))
def test_e11_inverse_of_the_rate_and_slope(seed, exponent):
    x = losses_of(seed)
    s = 10**exponent * math.log(x.size / (x == x.min()).sum())
    found = inverse_rate(x, s)
    law = FiniteLaw(x)
    assert float(found.value) == pytest.approx(float(cumulants(law, np.array([found.tilt])).slope[0]), rel=1e-8, abs=0)
    a = 0.9 * float(found.value)
    assert inverse_rate(x, rate(x, a)).value == pytest.approx(a, rel=1e-11, abs=0)
    assert found.value <= law.gap[0]


@given(seeds, st.floats(-8, 0.3))
def test_e11_dro_dual(seed, exponent):
    x = losses_of(seed)
    s = 10**exponent
    found, dual = inverse_rate(x, s), worst_reweighting(x, s)
    assert dual.value == pytest.approx(float(found.value), rel=1e-11, abs=0)
    assert dual.weights == pytest.approx(tilted_weights(x, s), abs=1e-7)


def test_e11_dual_against_a_conic_style_search():
    """A crude convex solver (projected on a fine grid of mixtures of three atoms) never beats the dual and comes close to it."""
    x, s = np.array([0.0, 1.0, 3.0]), 0.3
    best = worst_reweighting(x, s).value
    grid = np.array(
        [
            [a, b, 1 - a - b]
            for a in np.linspace(0.001, 0.998, 400)
            for b in np.linspace(0.001, 0.998, 400)
            if a + b < 0.9995
        ]
    )
    kl = (grid * np.log(grid * 3)).sum(axis=1)
    value = x.mean() - (grid[kl <= s] @ x).min()
    assert best - 5e-3 <= value <= best + 1e-12


@given(seeds)
def test_saturation(seed):
    x = np.round(losses_of(seed), 1)
    if np.ptp(x) == 0:
        return
    limit = math.log(x.size / (x == x.min()).sum())
    at, above, below = (inverse_rate(x, limit * f) for f in (1 + 1e-12, 3.0, 0.9))
    gap = float(FiniteLaw(x).gap[0])
    assert at.saturated
    assert above.saturated
    assert not below.saturated
    assert at.value == above.value == gap >= below.value
    assert above.tilt == math.inf
    assert above.effective == pytest.approx((x == x.min()).sum(), rel=1e-14, abs=0)
    assert rate(x, gap) == pytest.approx(limit, rel=1e-12, abs=0)
    assert rate(x, gap * 1.01) == math.inf
    assert rate(x, -1.0) == 0.0


def test_shape_of_the_curves():
    x, s = losses_of(5), np.linspace(0.0, 6.0, 200)
    values = np.array([float(inverse_rate(x, t).value) for t in s])
    steps = np.diff(values)
    assert (steps >= -1e-13).all()
    assert (np.diff(steps) <= 1e-12).all()
    assert values[0] == 0.0
    tilts = np.linspace(1e-3, 5, 100)
    J = np.array([cumulants(FiniteLaw(x), np.array([t])).value[0] for t in tilts])
    assert (np.diff(J, 2) >= -1e-13).all()


def test_small_s_expansion():
    law = FiniteLaw(losses_of(1))
    v, k3 = float(law.variance[0]), float(law.third[0])
    for s in (1e-8, 1e-10, 1e-12):
        left = float(inverse_rate(law, s).value)
        assert left == pytest.approx(math.sqrt(2 * v * s) - k3 / (3 * v) * s, rel=40 * s, abs=0)


def test_vectorised_rows_are_the_single_ones():
    rows = np.random.default_rng(3).lognormal(0, 1, (7, 50))
    s = np.linspace(1e-6, 5, 7)
    together = inverse_rate(rows, s)
    for i in range(7):
        alone = inverse_rate(rows[i], float(s[i]))
        assert float(alone.value) == pytest.approx(together.value[i], rel=4e-16, abs=0)
        assert bool(alone.saturated) == bool(together.saturated[i])


def test_e20_float32_losses_are_converted_first():
    x = np.random.default_rng(4).exponential(size=300).astype(np.float32)
    assert inverse_rate(x, 0.01).value == inverse_rate(x.astype(np.float64), 0.01).value
    assert inverse_rate(x, 0.01).value.dtype == np.float64


def test_second_centring_keeps_the_digits():
    """Losses 1e6 + Exp(1) on a grid that floats represent exactly: the shift must not change a digit."""
    x = np.round(np.random.default_rng(6).exponential(size=100) * 2**20) / 2**20
    for s in (1e-20, 1e-3, 1.0, 4.0):
        assert inverse_rate(x + 1e6, s).value == pytest.approx(float(inverse_rate(x, s).value), rel=1e-14, abs=0)


def test_weights_and_repetition_agree():
    x, count = np.array([0.3, 1.0, 2.5]), np.array([5, 2, 3])
    for s in (1e-6, 0.1, 0.5):
        assert inverse_rate(x, s, weights=count).value == pytest.approx(
            float(inverse_rate(np.repeat(x, count), s).value),
            rel=1e-14,
            abs=0,
        )
        assert inverse_rate(np.append(x, -50.0), s, weights=[5, 2, 3, 0]).value == pytest.approx(
            float(inverse_rate(x, s, weights=count).value),
            rel=1e-14,
            abs=0,
        )


def test_bernoulli_rate_is_the_binary_relative_entropy():
    for r in (0.01, 0.3, 0.9):
        for a in (0.1 * r, 0.9 * r):
            assert rate([0.0, 1.0], a, weights=[1 - r, r]) == pytest.approx(
                float(binary_kl(r - a, r)), rel=1e-12, abs=0
            )


def test_parametric_laws():
    for s in (1e-12, 0.1, 3.0):
        assert inverse_rate(GaussianLaw(2.0), s).value == pytest.approx(math.sqrt(4 * s), rel=1e-14, abs=0)
        assert inverse_rate(ExponentialLaw(3.0), s).value == pytest.approx(
            float(inverse_rate_exponential(s, 3.0)),
            rel=1e-14,
            abs=0,
        )


def test_the_worked_mixture():
    t = (0.2006665638 + math.log(1000) + math.log(20)) / 999
    # the document prints t = 0.01011426847; its own tilt and width belong to this t
    assert t == pytest.approx(0.01011426838, abs=1e-11)
    assert abs(t - 0.01011426847) > 8e-11
    found = mixture_inverse_rate(ExponentialLaw([0.5, 1.0, 2.0]), t, posterior_weights=[0.6, 0.3, 0.1])
    assert found.tilt == pytest.approx(0.1777952175, abs=1e-10)
    assert found.value == pytest.approx(0.1222416053, abs=1e-10)


def test_mixture_of_finite_laws():
    rng = np.random.default_rng(8)
    rows, q = rng.lognormal(0, 1, (3, 12)), np.array([0.5, 0.3, 0.2])
    laws = [("finite", tuple(row)) for row in rows]
    for s in (1e-9, 0.1, 2.0, 2.4, 2.6):
        found = mixture_inverse_rate(rows, s, posterior_weights=q)
        assert relative(found.value, mixture_inverse_rate_ball(laws, tuple(q), s, 40)) <= found.rounding
        # Hoelder: one tilt for all is no better than one for each
        assert found.value >= q @ np.array([float(inverse_rate(row, s).value) for row in rows]) * (1 - 1e-13)
    assert mixture_inverse_rate(rows, 2.6, posterior_weights=q).saturated


def test_a_mixture_saturates_at_the_average():
    """ln(4/3) and ln 4: at s between them, one model alone would be saturated and the mixture is not."""
    rows = np.array([[0.0, 0.0, 0.0, 1.0], [0.0, 1.0, 2.0, 3.0]])
    found = mixture_inverse_rate(rows, 0.5, posterior_weights=[0.5, 0.5])
    exact = mixture_inverse_rate_ball([("finite", tuple(row)) for row in rows], (1, 1), 0.5, 40)
    assert not found.saturated
    assert relative(found.value, exact) <= found.rounding


def test_zero_posterior_weight_is_ignored():
    rows = np.array([[0.0, 1.0, 4.0], [2.0, 2.0, 2.0]])
    both = mixture_inverse_rate(rows, 0.2, posterior_weights=[1.0, 0.0])
    assert both.value == pytest.approx(float(inverse_rate(rows[0], 0.2).value), rel=1e-14, abs=0)
    assert mixture_inverse_rate(rows, 0.2, posterior_weights=[0.0, 1.0]).value == 0.0


@pytest.mark.parametrize(
    ("losses", "s", "weights"),
    [
        ([], 0.1, None), ([math.nan, 1.0], 0.1, None), ([1.0, math.inf], 0.1, None), ([[[1.0]]], 0.1, None), ([1.0, 2.0], -0.1, None),
        ([1.0, 2.0], math.nan, None), ([1.0, 2.0], 0.1, [1.0]), ([1.0, 2.0], 0.1, [0.0, 0.0]), ([1.0, 2.0], 0.1, [-1.0, 2.0]), (["a"], 0.1, None),
        ([-1.7e308, 1.7e308], 0.1, None),
    ],
)  # fmt: skip
def test_bad_input(losses, s, weights):
    with pytest.raises(InvalidInput):
        inverse_rate(losses, s, weights=weights)
    if s == 0.1 and np.ndim(losses) == 1:
        with pytest.raises(InvalidInput):
            worst_reweighting(losses, s, weights=weights)


def test_edges():
    assert inverse_rate([2.0, 2.0], 0.1).value == 0.0
    assert inverse_rate([1.0, 2.0], 0.0).value == 0.0
    assert inverse_rate([1.0, 2.0], 0.0).tilt == 0.0
    assert inverse_rate([1.0, 2.0], math.inf).value == 0.5
    assert inverse_rate([1e-140, 2e-140], 0.1).value == pytest.approx(
        1e-140 * float(inverse_rate([1.0, 2.0], 0.1).value),
        rel=1e-14,
        abs=0,
    )
    with pytest.raises(InvalidInput, match="Rescale"):
        inverse_rate([1e-300, 2e-300], 0.1)
    with pytest.raises(InvalidInput):
        ExponentialLaw(0.0)
    with pytest.raises(InvalidInput):
        GaussianLaw([-1.0])
    with pytest.raises(InvalidInput):
        mixture_inverse_rate([[1.0, 2.0]], 0.1, posterior_weights=[0.5, 0.5])
    with pytest.raises(InvalidInput):
        cgf_ball(("cauchy", (1.0,)), 1.0)
    assert rate_ball(("finite", (0.0, 1.0)), 0.6) > 1e300
