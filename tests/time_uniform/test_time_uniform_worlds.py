"""Exact failure probabilities of time-uniform bounds, to every printed digit, and two ways to compute them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nonvacuous.numerics.certified import kl_lower, kl_upper, log_kt, log_maurer_xi
from nonvacuous.proofs.pac_bayes.small_worlds import LOSSES, OUTCOMES
from nonvacuous.proofs.pac_bayes.time_uniform_worlds import (
    REAL_LOSSES,
    all_paths,
    first_passage,
    kl_exponent,
    mixture_exponent,
    posterior_passage,
)

LEVEL = math.log(10)


def rows(exponent, constant, losses, horizon):
    found = posterior_passage(exponent, constant, losses, LEVEL, horizon)
    assert found.margin > 1e-9
    return found.probability


@pytest.mark.parametrize(("horizon", "wanted"), [(12, 0.026862975560), (20, 0.031536404620)])
def test_e16_world_a_kl_with_kt(horizon, wanted):
    assert rows(kl_exponent, lambda n: float(log_kt(n)), LOSSES, horizon) == pytest.approx(wanted, abs=6e-13)


@pytest.mark.parametrize(("horizon", "wanted"), [(12, 0.005510575200), (20, 0.008916275342)])
def test_e16_world_a_gaussian_mixture(horizon, wanted):
    phi = mixture_exponent(LOSSES, np.full(3, 0.25))
    assert rows(phi, lambda n: 0.5 * math.log(n + 1), LOSSES, horizon) == pytest.approx(wanted, abs=6e-13)


@pytest.mark.parametrize(("horizon", "wanted"), [(12, 0.000597484272), (20, 0.000919612050)])
def test_e16_world_c_gaussian_mixture(horizon, wanted):
    phi = mixture_exponent(REAL_LOSSES, np.array([2.1025, 1.0, 1.0]))
    assert rows(phi, lambda n: 0.5 * math.log(n + 1), REAL_LOSSES, horizon) == pytest.approx(wanted, abs=6e-13)


def test_e16_planted_no_constant_is_refuted():
    found = rows(kl_exponent, lambda n: 0.0, LOSSES, 12)
    assert found == pytest.approx(0.161400394592, abs=6e-13)
    assert found > 0.1


def test_e16_xi_for_kt_is_not_refuted_by_coverage():
    """Never conclude validity from coverage alone: xi(t) in place of kt(t) fails only 0.0327 of the time up to T = 12."""
    assert rows(kl_exponent, lambda n: float(log_maurer_xi(n)), LOSSES, 12) == pytest.approx(0.0327, abs=5e-5)


@pytest.mark.parametrize("risk", [0.1, 0.5])
@pytest.mark.parametrize("horizon", [1, 7, 14])
def test_recursion_agrees_with_all_paths(risk, horizon):
    """Exact for n <= 14 by enumeration of all 2^n paths."""

    def violated(errors, n):
        c = (math.log(2) + 0.2 * math.log(n)) / n
        low, high = np.array([[float(kl_lower(k / n, c)), float(kl_upper(k / n, c))] for k in range(n + 1)]).T
        return ~((low[errors.astype(int)] <= risk) & (risk <= high[errors.astype(int)]))

    by_paths = all_paths(violated, risk, horizon)
    law = np.array([risk, 1 - risk])
    by_counts = first_passage(lambda counts, n: violated(counts[:, 0], n), law, horizon)
    assert by_paths == pytest.approx(by_counts, rel=1e-12, abs=0)
    assert horizon < 14 or 0 < by_paths < 1


def test_nothing_violated_and_everything_violated():
    assert first_passage(lambda counts, n: np.zeros(len(counts), dtype=bool), OUTCOMES, 5) == 0
    assert first_passage(lambda counts, n: counts[:, 0] >= 0, OUTCOMES, 5) == pytest.approx(1, abs=1e-15)
    assert first_passage(lambda counts, n: counts[:, 3] >= 1, OUTCOMES, 5) == pytest.approx(1 - 0.9**5, abs=1e-14)
