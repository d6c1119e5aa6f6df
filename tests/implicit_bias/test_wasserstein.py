"""2-Wasserstein distances of Gaussian laws against the Bures formula at high precision, and as a metric."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.implicit_bias.gaussian_law import GaussianLaw, covariance
from nonvacuous.numerics.implicit_bias.wasserstein import wasserstein2, wasserstein2_squared
from nonvacuous.theory.errors import InvalidInput

SEEDS = st.integers(0, 2**32 - 1)


def orthogonal(rng, size):
    return np.linalg.qr(rng.normal(size=(size, size)))[0]


def law(rng, dimension, log_condition=0.0):
    rank = int(rng.integers(1, dimension + 3))
    factor = rng.normal(size=(dimension, rank)) * 10 ** -rng.uniform(0, log_condition, rank)
    return GaussianLaw(rng.normal(size=dimension), factor @ orthogonal(rng, rank))


def scale(*laws):
    return max(np.linalg.norm(one.mean) + np.linalg.norm(one.factor) for one in laws)


def bures_squared(first, second):
    """tr(A + B - 2 (A^{1/2} B A^{1/2})^{1/2}) + ||shift||^2 at 60 digits, roots by eigendecomposition."""

    def root(matrix):
        values, vectors = mpmath.eigsy(matrix)
        # Rounding at 60 digits leaves singular matrices with eigenvalues of either sign near 1e-60.
        return vectors * mpmath.diag([mpmath.sqrt(abs(v)) for v in values]) * vectors.T

    def trace(matrix):
        return mpmath.fsum(matrix[i, i] for i in range(matrix.rows))

    factors = [mpmath.matrix(one.factor.tolist()) for one in (first, second)]
    a, b = (factor * factor.T for factor in factors)
    half = root(a)
    shift = mpmath.matrix(first.mean.tolist()) - mpmath.matrix(second.mean.tolist())
    inner = half * b * half
    return trace(a) + trace(b) - 2 * trace(root((inner + inner.T) / 2)) + mpmath.fsum(v**2 for v in shift)


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_both_forms_equal_the_bures_formula(seed):
    rng = np.random.default_rng(seed)
    dimension = int(rng.integers(1, 5))
    first, second = law(rng, dimension), law(rng, dimension)
    with mpmath.workdps(60):
        exact = bures_squared(first, second)
        square, distance = float(exact), float(mpmath.sqrt(exact))
    size = scale(first, second)
    assert wasserstein2_squared(first, second) == pytest.approx(square, abs=1e-14 * size**2)
    assert wasserstein2(first, second) == pytest.approx(distance, abs=1e-14 * size)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_distance_keeps_its_digits_when_singular_laws_nearly_agree(seed):
    rng = np.random.default_rng(seed)
    dimension = int(rng.integers(2, 5))
    first = law(rng, dimension, log_condition=12.0)
    rank = first.factor.shape[1]
    moved = 10.0 ** rng.uniform(-14, -4)
    factor = (first.factor + moved * rng.normal(size=first.factor.shape)) @ orthogonal(rng, rank)
    second = GaussianLaw(first.mean + moved * rng.normal(size=dimension), factor)
    with mpmath.workdps(60):
        exact = float(mpmath.sqrt(abs(bures_squared(first, second))))
    assert wasserstein2(first, second) == pytest.approx(exact, abs=1e-14 * scale(first, second))


def test_small_columns_do_not_cost_half_of_the_digits():
    # Aligning these two factors of one law without grading the columns first leaves about 1e-9 here.
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(200):
        factor = orthogonal(rng, 4) * np.array([1.0, 1e-5, 1e-8, 1e-11]) @ orthogonal(rng, 4)
        worst = max(worst, wasserstein2(*(GaussianLaw(np.zeros(4), f) for f in (factor, factor @ orthogonal(rng, 4)))))
    assert worst < 1e-14


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_it_is_a_metric_that_isometries_leave_alone(seed):
    rng = np.random.default_rng(seed)
    dimension = int(rng.integers(1, 7))
    one, two, three = (law(rng, dimension) for _ in range(3))
    size = scale(one, two, three)
    distance = wasserstein2(one, two)
    assert distance >= 0
    assert wasserstein2(two, one) == pytest.approx(distance, abs=1e-13 * size)
    assert distance <= wasserstein2(one, three) + wasserstein2(three, two) + 1e-13 * size
    assert wasserstein2(one, one) <= 1e-13 * size
    # A rotation of the base noise is no change of the law; an isometry of the weights is none of the distance.
    turned = GaussianLaw(one.mean, one.factor @ orthogonal(rng, one.factor.shape[1]))
    assert wasserstein2(turned, one) <= 1e-13 * size
    o, shift = orthogonal(rng, dimension), rng.normal(size=dimension)
    moved = [GaussianLaw(o @ v.mean + shift, o @ v.factor) for v in (one, two)]
    assert wasserstein2(*moved) == pytest.approx(distance, abs=1e-13 * size)
    # Doubling is exact in floating point.
    doubled = [GaussianLaw(2 * v.mean, 2 * v.factor) for v in (one, two)]
    assert wasserstein2(*doubled) == 2 * distance
    assert wasserstein2_squared(*doubled) == 4 * wasserstein2_squared(one, two)


def test_closed_cases():
    rng = np.random.default_rng(4)
    a, b = rng.uniform(0.1, 2, 4), rng.uniform(0.1, 2, 4)
    basis = orthogonal(rng, 4)
    commuting = [GaussianLaw(np.zeros(4), basis * np.sqrt(v)) for v in (a, b)]
    assert wasserstein2_squared(*commuting) == pytest.approx(np.sum((np.sqrt(a) - np.sqrt(b)) ** 2), abs=1e-14)
    base = law(rng, 4)
    shift = rng.normal(size=4)
    assert wasserstein2(base, GaussianLaw(base.mean + shift, base.factor)) == pytest.approx(
        np.linalg.norm(shift),
        rel=1e-14,
        abs=0,
    )
    # Against a point mass the distance is the root mean square distance to the point.
    point = GaussianLaw(np.zeros(4), np.zeros((4, 1)))
    expected = math.sqrt(np.sum(base.mean**2) + np.trace(covariance(base)))
    assert wasserstein2(base, point) == pytest.approx(expected, rel=1e-14, abs=0)
    assert wasserstein2(point, point) == 0 == wasserstein2_squared(point, point)


def test_extreme_scales_neither_overflow_nor_vanish():
    rng = np.random.default_rng(5)
    one, two = law(rng, 3), law(rng, 3)
    for factor in (2.0**-600, 2.0**600):
        scaled = [GaussianLaw(factor * v.mean, factor * v.factor) for v in (one, two)]
        assert wasserstein2(*scaled) == pytest.approx(factor * wasserstein2(one, two), rel=1e-13, abs=0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: GaussianLaw(np.zeros(2), np.zeros((3, 1))),
        lambda: GaussianLaw(np.zeros(2), np.zeros((2, 0))),
        lambda: GaussianLaw(np.zeros(2), np.zeros(2)),
        lambda: GaussianLaw(np.zeros(2), np.full((2, 1), np.nan)),
        lambda: GaussianLaw(np.full(2, np.inf), np.ones((2, 1))),
        lambda: wasserstein2(GaussianLaw(np.zeros(2), np.eye(2)), GaussianLaw(np.zeros(3), np.eye(3))),
        lambda: wasserstein2_squared(GaussianLaw(np.zeros(2), np.eye(2)), np.eye(2)),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(InvalidInput):
        call()
