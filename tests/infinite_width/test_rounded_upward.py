"""Norms, residuals, traces and eigenvalue errors behind the certificates: never below the exact ones, in rationals."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from nonvacuous.numerics.kernel_regression.enclosures import gamma, norm_up, residual_norms, spectrum_error
from nonvacuous.numerics.kernel_regression.rademacher import arora2019_bound, interpolant_norm, kernel_ball_bound
from nonvacuous.numerics.wide_networks.policy import SingularGram
from nonvacuous.theory.errors import InvalidInput

EPS = 2.0**-52


def test_the_bound_on_many_roundings_is_rounded_upward():
    """gamma_k = k u/(1 - k u), in rationals; for large k its second order counts."""
    for k in (1, 2, 7, 100, 10**4, 10**6, 10**8):
        exact = Fraction(k, 2**53) / (1 - Fraction(k, 2**53))
        assert exact <= Fraction(gamma(k)) <= exact * (1 + Fraction(k + 8, 2**53))


def test_norms_and_residuals_are_never_below_the_exact_ones():
    """In rationals, on residuals of every size: what was subtracted, and what rounding left."""
    rng = np.random.default_rng(3)
    for _ in range(100):
        size = int(rng.integers(1, 6))
        matrix, right = rng.normal(size=(size, size)), rng.normal(size=(size, 2))
        shift = float(rng.uniform(0, 2))
        solved = np.linalg.solve(matrix + shift * np.eye(size), right)
        for solution in (solved, solved * (1 + 1e-8), rng.normal(size=(size, 2)) * 1e-3, 0 * solved):
            bounds = residual_norms(matrix, shift, solution, right)
            for column, bound in enumerate(bounds):
                exact = [
                    Fraction(right[i, column])
                    - Fraction(shift) * Fraction(solution[i, column])
                    - sum(Fraction(matrix[i, j]) * Fraction(solution[j, column]) for j in range(size))
                    for i in range(size)
                ]
                assert Fraction(float(bound)) ** 2 >= sum(r**2 for r in exact)
        assert Fraction(norm_up(matrix)) ** 2 >= sum(Fraction(float(v)) ** 2 for v in matrix.ravel())


def test_the_error_of_a_planted_eigenvalue_is_covered_without_slack():
    """[[1]] with the eigenvalue 2^k + 1 and the exact vector: off by 2^k, and the bound is that up to a few roundings."""
    for k in range(0, 40, 5):
        found = spectrum_error(np.ones((1, 1)), np.array([2.0**k + 1]), np.ones((1, 1)))
        assert 2.0**k <= found <= 2.0**k * (1 + 100 * EPS) + 100 * EPS


def test_an_interpolant_of_a_singular_gram_is_refused_whatever_the_other_modes():
    for rest in (2e-13, 1.0):
        with pytest.raises(SingularGram):
            interpolant_norm(gram=np.diag([0.9e-12, rest, 1.0]), labels=np.ones(3))
    found = interpolant_norm(gram=np.diag([1.1e-12, 1.0, 1.0]), labels=np.ones(3))
    exact = math.sqrt(1 / 1.1e-12 + 2)
    assert found.value == pytest.approx(exact, rel=10 * EPS)
    assert exact <= found.upper <= exact * (1 + 1e-2)  # eigenvalues are known to about eps/1e-12


def test_the_norm_of_an_interpolant_does_not_see_the_sign_of_its_labels():
    gram = np.array([[2.0, 1.0, 0.3], [1.0, 2.0, 0.7], [0.3, 0.7, 2.0]])
    for labels in (np.ones(3), np.array([1.0, -0.5, -1.0])):
        found, opposite = (interpolant_norm(gram=gram, labels=y) for y in (labels, -labels))
        assert (found.value, found.upper) == (opposite.value, opposite.upper)


def test_the_trace_of_a_certificate_is_rounded_upward():
    rng = np.random.default_rng(4)
    for _ in range(10):
        size = int(rng.integers(3, 9))
        diagonal = rng.uniform(0.1, 1, size)
        found = arora2019_bound(gram=np.diag(diagonal), labels=np.ones(size), unit_norm=1.0, delta=0.05)
        exact = sum(Fraction(float(value)) for value in diagonal)
        assert exact <= Fraction(float(found.inputs["trace"])) <= exact * (1 + Fraction(4 * size, 2**53))


def test_a_radius_beyond_2_to_the_26_units_is_refused():
    rest = {"unit_norm": 1.0, "trace": 1.0, "n": 10, "delta": 0.05}
    assert kernel_ball_bound(norm=2.0**26, **rest).raw > 2.0**26 / 10 * 2
    with pytest.raises(InvalidInput, match="units"):
        kernel_ball_bound(norm=2.0**26 + 1, **rest)
