"""Exact enumeration: every printed digit of the self-test tables that concern bounds through the binary kl, and the planted wrong ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import logsumexp, rel_entr

from nonvacuous.proofs.pac_bayes.kl_bounds import catoni, catoni_grid, catoni_uniform, master, mcallester, seeger
from nonvacuous.proofs.pac_bayes.small_worlds import (
    PRIOR,
    compositions,
    exponent,
    failure,
    kl,
    moment,
    world_a,
    world_b,
    worst_posteriors,
)
from nonvacuous.proofs.pac_bayes.worst_certificate import catoni as catoni_tangents
from nonvacuous.proofs.pac_bayes.worst_certificate import (
    certificate_failure,
    gaussian_mixture,
    kl_both_sides,
    kl_upper_side,
    squared_gap,
    take,
)
from nonvacuous.proofs.pac_bayes.worst_certificate import worst_posteriors as worst
from nonvacuous.theory.balls.maurer import xi_exact

XI, LN10, LN5 = float(xi_exact(12)), math.log(10), math.log(5)


@pytest.mark.parametrize(
    ("row", "expected_moment", "expected_failure"),
    [
        (("n kl", XI), 5.03607367509895, 0.003808326632),
        (("n kl", master._kt(12)), 5.03607367509895, 0.003603040232),
        (("n kl", 2 * math.sqrt(12)), 5.03607367509895, 0.003488688632),
        (("Catoni, beta = 1", 1.0), 1.0, 0.001246063185),
        (("(n-1) kl, lower tail", 12.0), 2.06651758740815, 0.000244140625),
        (("(n/2) kl, lower tail", 2.0), 1.25651084590212, 0.0),
        (("2(n-1) gap^2", 12.0), 1.98219963395258, 0.000083226552),
    ],
)
def test_table_of_the_generic_theorem(row, expected_moment, expected_failure):
    phi, constant = row
    setting = master.MasterSetting(0.0, math.log(constant), LN10, phi)
    found = master.compare_a(setting, master.predict(setting), None)
    assert found.moment == pytest.approx(expected_moment, abs=1e-14 * 5)
    assert found.failure == pytest.approx(expected_failure, abs=5.1e-13)
    assert found.constant == pytest.approx(constant, rel=1e-14, abs=0)


def test_constants_of_the_table():
    assert pytest.approx(5.03607367509895, abs=5e-15) == XI
    assert master._kt(12) == pytest.approx(6.20423377941213, abs=5e-15)


WORLD_A = [
    ("pb.kl two-sided", kl_both_sides(), XI, 5.03607367510, 0.003808326632, 0.003488721368),
    ("pb.kl upper", kl_upper_side(), XI, 2.48601695963, 0.002420918865, 0.002420918865),
    ("pb.mcallester", squared_gap(12), XI, 2.29787319435, 0.001369516536, 0.001369516536),
    ("McAllester 2003", squared_gap(11), 12.0, 1.98219963395, 0.000083226552, 0.000078975024),
    ("pb.catoni", catoni_tangents(1.0), 1.0, 1.0, 0.001246063185, 0.001246063185),
    (
        "pb.sg_mixture",
        gaussian_mixture(1.0, np.full(3, 0.25), 4.0),
        math.sqrt(13),
        2.00235183991,
        0.001369516536,
        0.001369516536,
    ),
]


@pytest.mark.parametrize(
    ("name", "tangents", "constant", "expected_moment", "averaged", "certificate"), WORLD_A, ids=lambda x: str(x)[:20]
)
def test_rows_of_world_a(name, tangents, constant, expected_moment, averaged, certificate):
    world = world_a()
    assert moment(world, tangents.phi(world)) == pytest.approx(expected_moment, abs=5.1e-12)
    assert moment(world, tangents.phi(world)) <= constant * (1 + 1e-12)
    found = certificate_failure(world, tangents, math.log(constant) + LN10)
    assert found.averaged == pytest.approx(averaged, abs=5.1e-13)
    assert found.certificate == pytest.approx(certificate, abs=5.1e-13)
    assert found.certificate <= found.averaged <= 0.1
    assert found.margin > 3e-4


def test_row_of_the_catoni_grid():
    setting = catoni_grid.GridSetting(0.0, 0.0, 12, LN10, np.array([0.5, 1.0, 2.0, 4.0]))
    found = catoni_grid.compare_grid(setting, catoni_grid.predict_grid(setting), None)
    assert found.failure == pytest.approx(0.002420918865, abs=5.1e-13)
    for beta in setting.betas:
        assert moment(world_a(), catoni.catoni_exponent(world_a(), beta)) == pytest.approx(1.0, rel=1e-12, abs=0)


def test_rows_of_world_b():
    setting = catoni_uniform.UniformSetting(0.0, 0.0, 6, LN5, 1.0)
    upper = catoni_uniform.compare_b(setting, catoni_uniform.predict(setting), None)
    assert upper.constant == pytest.approx(1223 / 324, rel=1e-14, abs=0)
    assert upper.moment == pytest.approx(2.38734567901, abs=5.1e-12)
    assert upper.failure == pytest.approx(0.00000352281892, abs=5.1e-15)
    both = seeger.KlBoundSetting(0.0, 0.0, 6, LN5)
    found = seeger.compare_world_b(both, seeger.predict(both), None)
    assert found.moment == pytest.approx(1223 / 324, rel=1e-13, abs=0)
    assert found.failure == pytest.approx(0.0000974929797, abs=5.1e-14)
    assert xi_exact(6).numerator / xi_exact(6).denominator == 1223 / 324


def test_planted_constant_one_two_sided():
    assert moment(world_a(), exponent(world_a())) == pytest.approx(5.036, abs=5e-4)
    found, margin = failure(world_b(), exponent(world_b()), LN5)
    assert found == pytest.approx(0.398286258805, abs=5.1e-13)
    assert found > 0.2
    assert margin > 1e-9
    # coverage on world A would not have seen it
    assert failure(world_a(), exponent(world_a()), LN10)[0] == pytest.approx(0.0299, abs=5e-5)


def test_planted_constant_one_one_sided_is_the_illegal_optimum_over_beta():
    setting = catoni.CatoniSetting(0.0, 0.0, 6, LN5, 1.0)
    found = catoni.compare_hindsight_b(setting, catoni.predict(setting), None)
    assert found.failure == pytest.approx(0.213831614185, abs=5.1e-13)
    assert found.failure > 0.2
    on_a = catoni.compare_hindsight_a(
        catoni.CatoniSetting(0.0, 0.0, 12, LN10, 1.0), catoni.CatoniPrediction(0, 0, 0.0), None
    )
    assert on_a.moment == pytest.approx(2.486, abs=5e-4)


def test_coverage_of_the_printed_certificate_alone_would_not_refute_it():
    """A grid of betas without its price, at the best one for each sample: the printed certificate with C = 1."""
    betas = np.exp(np.linspace(math.log(0.2), math.log(30.0), 40))
    found = catoni_grid.union(world_b(), betas.tolist(), [0.0] * 40, LN5)
    assert found.failure == pytest.approx(0.0253, abs=5e-5)
    assert found.failure < 0.2
    assert found.moment == pytest.approx(40.0)  # the moment decides


def test_planted_divergence_forgotten():
    setting = master.MasterSetting(0.0, math.log(1223 / 324), LN5)
    found = master.compare_without_divergence(setting, master.predict(setting), None)
    assert found.failure == pytest.approx(0.398289696568, abs=5.1e-13)
    assert found.failure == pytest.approx(1 - (31 / 32) ** 16, rel=1e-12, abs=0)


def test_planted_half_of_the_variance():
    phi = gaussian_mixture(1.0, np.full(3, 0.125), 4.0).phi(world_a())
    assert moment(world_a(), phi) == pytest.approx(5193.9, abs=0.05)


def test_debug_sample():
    world = world_a()
    here = (compositions(12, 4) == [2, 8, 2, 0]).all(axis=1)
    one = take(world, here)
    assert one.probability[0] == pytest.approx(0.00124711488, abs=5.1e-15)
    assert logsumexp(one.log_prior + kl_both_sides().phi(one)) == pytest.approx(1.77476205807, abs=5.1e-12)
    assert logsumexp(one.log_prior + kl_upper_side().phi(one)) == pytest.approx(1.50350376260, abs=5.1e-12)
    value, q = worst(one, kl_upper_side())
    assert value[0] == pytest.approx(1.32293866852, abs=5.1e-12)
    assert np.round(q[0], 5) == pytest.approx([0.02212, 0.00002, 0.97785])


def _objective(q: np.ndarray) -> np.ndarray:
    world = world_a()
    empirical = (q * world.empirical).sum(axis=1).clip(0, 1)
    return 12 * kl(empirical, q @ world.risk) - rel_entr(q, PRIOR).sum(axis=1)


def test_two_routes_to_the_worst_posterior_agree():
    """Tangents against the ascent of `small_worlds` from a grid of posteriors, at every sample of world A."""
    value, q = worst(world_a(), kl_both_sides())
    ascent = _objective(worst_posteriors(world_a(), phi_steps=400))
    assert np.abs(_objective(q) - value).max() < 1e-12
    assert (value >= ascent - 1e-12).all()
    important = value > 1e-3
    assert np.abs(value - ascent)[important].max() < 1e-12


@pytest.mark.parametrize("tangents", [row[1] for row in WORLD_A], ids=[row[0] for row in WORLD_A])
def test_no_random_posterior_does_better(tangents):
    """E_Q A_u - K never exceeds the reported supremum, and equals it at the reported posterior."""
    world, rng = world_a(), np.random.default_rng(1)
    value, q = worst(world, tangents)
    prior = np.exp(world.log_prior[0])
    for candidate in [*rng.dirichlet(np.ones(3), 50), *np.eye(3)]:
        posterior = np.broadcast_to(candidate, q.shape)
        found = (posterior * tangents.phi(world)).sum(axis=1) - rel_entr(posterior, prior).sum(axis=1)
        # E_Q phi is above G(E_Q v): compare through a world in which every hypothesis is the mixture
        mixture = take(world, np.ones(len(value), dtype=bool))
        merged = type(world)(
            world.n,
            world.probability,
            (posterior * mixture.empirical).sum(axis=1, keepdims=True).clip(0, 1),
            np.zeros((len(value), 1)),
            np.array([candidate @ world.risk]),
        )
        if tangents is not WORLD_A[5][1]:
            assert (tangents.phi(merged)[:, 0] - rel_entr(posterior, prior).sum(axis=1) <= value + 1e-9).all()
        assert (found <= logsumexp(world.log_prior + tangents.phi(world), axis=1) + 1e-9).all()


def test_shipped_certificates_fail_exactly_as_often_as_printed():
    for constant, expected in (("exact", 0.001369516536), ("2003", 0.000078975024)):
        setting = mcallester.McAllesterSetting(0.0, 0.0, 12, LN10, constant)
        found = mcallester.compare_certificates(setting, mcallester.predict(setting), None)
        assert found.failure == pytest.approx(expected, abs=5.1e-13)
    setting = catoni.CatoniSetting(0.0, 0.0, 12, LN10, 1.0)
    assert catoni.compare_certificates(setting, catoni.predict(setting), None).failure == pytest.approx(
        0.001246063185, abs=5.1e-13
    )


@pytest.mark.parametrize(
    ("constant", "expected_moment", "expected_failure"),
    [("exact", 2.29787319435, 0.001369516536), ("2003", 1.98219963395, 0.000083226552)],
)
def test_mcallesters_rates_and_constants(constant, expected_moment, expected_failure):
    setting = mcallester.McAllesterSetting(0.0, 0.0, 12, LN10, constant)
    found = mcallester.compare_a(setting, mcallester.predict(setting), None)
    assert found.moment == pytest.approx(expected_moment, abs=5.1e-12)
    assert found.failure == pytest.approx(expected_failure, abs=5.1e-13)
    rates = {"exact": 24, "2sqrt": 24, "1999": 23, "hybrid": 23, "2003": 22}
    constants = {"exact": XI, "2sqrt": 2 * math.sqrt(12), "1999": math.exp(8) * 12**2.5, "hybrid": 12.0, "2003": 12.0}
    for name, rate in rates.items():
        prediction = mcallester.predict(mcallester.McAllesterSetting(0.0, 0.0, 12, LN10, name))
        assert prediction.rate == rate
        assert math.exp(prediction.log_constant) == pytest.approx(constants[name], rel=1e-13, abs=0)
