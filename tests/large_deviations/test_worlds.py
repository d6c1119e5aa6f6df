"""Exact enumeration: every printed digit of the rows of worlds A and C that belong to unbounded losses, and the planted wrong bound."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nonvacuous.proofs.pac_bayes.large_deviations import mixture_worlds, pac_chernoff, pbc, second_moment
from nonvacuous.proofs.pac_bayes.real_losses_world import (
    MEANS,
    SECOND_MOMENTS,
    VARIANCE_PROXIES,
    rate_exponent,
    world_c,
)
from nonvacuous.proofs.pac_bayes.small_worlds import failure, moment

LEVEL = math.log(10)


def test_world_c():
    assert pytest.approx([0.5, 0.7, 1.0], rel=1e-14, abs=0) == MEANS
    assert pytest.approx([0.966, 0.9, 1.8], rel=1e-14, abs=0) == SECOND_MOMENTS
    assert pytest.approx([2.1025, 1.0, 1.0], rel=1e-14, abs=0) == VARIANCE_PROXIES
    assert len(world_c().probability) == 455
    assert world_c().probability.sum() == pytest.approx(1, abs=1e-13)


@pytest.mark.parametrize(
    ("world", "m", "constant", "M", "averaged", "certificate"),
    [
        ("A", 11.0, 12.0, 2.06651758741, 0.000244140625, 0.000244140625),
        ("C", 11.0, 12.0, 2.60003091258, 0.001008730112, 0.001008730112),
        ("C", 6.0, 2.0, 1.27667494331, 0.000184549376, 0.000184549376),
    ],
)
def test_e16_chernoff_rows(world, m, constant, M, averaged, certificate):
    found = pbc.measured(world, m, math.log(constant) + LEVEL)
    assert found[0] == pytest.approx(M, abs=6e-12)
    assert found[0] <= constant
    assert found[1] == pytest.approx(averaged, abs=1e-12)
    assert found[2] == pytest.approx(certificate, abs=1e-12)
    assert found[3] > 1e-9


@pytest.mark.parametrize(
    ("world", "M", "averaged", "certificate"),
    [("A", 2.00235183991, 0.001369516536, 0.001369516536), ("C", 1.35657656076, 0.000086781392, 0.000083554784)],
)
def test_e16_mixture_rows(world, M, averaged, certificate):
    found = mixture_worlds.measured(world, 1.0, 1.0, math.log(13) / 2 + LEVEL)
    assert found[0] == pytest.approx(M, abs=6e-12)
    assert found[1] == pytest.approx(averaged, abs=1e-12)
    assert found[2] == pytest.approx(certificate, abs=1e-12)
    assert found[3] > 1e-9


def test_e16_second_moment_row():
    world = world_c()
    phi = 12 * (0.5 * (world.risk - world.empirical) - 0.125 * SECOND_MOMENTS)
    assert moment(world, phi) == pytest.approx(0.43524030382, abs=6e-12)
    assert failure(world, phi, LEVEL)[0] == 0.0
    setting = second_moment.WORLD.quick[0]
    assert second_moment.compare_world(setting, second_moment.predict(setting), {}).moment == pytest.approx(
        0.43524030382, abs=6e-12
    )


def test_e16_pac_chernoff_rows():
    found, each = pac_chernoff.outcomes("C", 1.0, LEVEL)
    assert found == pytest.approx(0.011551178752, abs=1e-12)
    assert each == pytest.approx([0.009059762176, 0.002048917504, 0.002164260864], abs=1e-12)
    assert np.all(np.array(each) <= [0.05, 0.03, 0.02])
    assert pac_chernoff.outcomes("A", 1.0, LEVEL)[0] == pytest.approx(0.005350508061, abs=1e-12)


@pytest.mark.parametrize(
    ("world", "horizon", "value"),
    [("A", 12, 0.005510575200), ("A", 20, 0.008916275342), ("C", 12, 0.000597484272), ("C", 20, 0.000919612050)],
)
def test_e16_mixture_over_all_sample_sizes(world, horizon, value):
    found = mixture_worlds.time_uniform(world, horizon, mixture_worlds.two_sided_statistic(world, 1.0, LEVEL))
    assert found == pytest.approx(value, abs=1e-12)


def test_e16_planted_half_of_the_variance_is_refuted():
    M = mixture_worlds.measured("A", 1.0, 0.5, math.log(13) / 2 + LEVEL)[0]
    assert pytest.approx(5193.9, abs=0.05) == M
    assert math.sqrt(13) < M


def test_rates_of_the_world_are_those_of_the_engine():
    """Bisection of the defining sums against the shipped rate."""
    from nonvacuous.numerics.large_deviations import rate
    from nonvacuous.proofs.pac_bayes.real_losses_world import REAL_LOSSES
    from nonvacuous.proofs.pac_bayes.small_worlds import OUTCOMES

    world = world_c()
    gap = np.maximum(world.risk - world.empirical, 0.0)
    for h, row in enumerate(REAL_LOSSES):
        inside = gap[:, h] < MEANS[h] - row.min() - 1e-9
        found = rate(np.tile(row, (int(inside.sum()), 1)), gap[inside, h], weights=OUTCOMES)
        assert found == pytest.approx(rate_exponent()[inside, h], rel=1e-11, abs=1e-14)
    assert rate_exponent().max() == pytest.approx(math.log(1 / 0.4), rel=1e-12, abs=0)
