"""Equality in law: refuted when a law is wrong, inconclusive with too few draws, and wrong at the stated rate only."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, ks_2samp, kstest

from nonvacuous.numerics.claims import EqualInLaw, Samples
from nonvacuous.numerics.intervals import ALPHA
from nonvacuous.numerics.laws import LEAST, corrected, law_tests, planned_samples, two_sample_distance, uniform_distance
from nonvacuous.numerics.verdict import judge


def samples(rng: np.random.Generator, rows: int, *, scale: float = 1.0, degrees: int = 6, **changes: object) -> Samples:
    x, y = (rng.chisquare(k, size=(rows, 1)) for k in (degrees, 6))
    evidence = {"reference": y, "cdf": chi2.cdf(scale * x, 6), "mean": np.array([6.0]), "variance": np.array([12.0])}
    return Samples(("e",), scale * x, **(evidence | changes))  # type: ignore[arg-type]


def test_a_right_law_is_supported_and_wrong_ones_are_refuted():
    rng = np.random.default_rng(0)
    right = judge(EqualInLaw(), samples(rng, 20_000))
    assert right.ruling == "supported"
    assert right.statistic < 1
    for wrong in ({"scale": 1.05}, {"degrees": 7}):
        outcome = judge(EqualInLaw(), samples(rng, 20_000, **wrong))
        assert outcome.ruling == "refuted"
        assert outcome.statistic > 1
        assert "rejected" in outcome.detail


def test_every_kind_of_test_alone_can_refute():
    rng = np.random.default_rng(1)
    nothing = {"reference": None, "cdf": None, "mean": None, "variance": None}
    full = samples(rng, 20_000, scale=1.2)
    for name in nothing:
        alone = samples(rng, 20_000, scale=1.2, **(nothing | {name: getattr(full, name)}))
        if name == "cdf":
            alone = full
        assert judge(EqualInLaw(), alone).ruling == "refuted", name


def test_too_few_draws_are_inconclusive():
    rng = np.random.default_rng(2)
    assert judge(EqualInLaw(), samples(rng, 2_000)).ruling == "inconclusive"
    assert judge(EqualInLaw(distance=0.2), samples(rng, 2_000)).ruling == "supported"


def test_the_planned_size_finds_a_law_at_the_stated_distance():
    """Uniform laws that are shifted by d have Kolmogorov distance d."""
    rng = np.random.default_rng(3)
    size = planned_samples(0.1, 0.9, 1)
    found = 0
    for _ in range(100):
        a, b = rng.random((size, 1)), rng.random((size, 1)) + 0.1
        found += judge(EqualInLaw(distance=0.1), Samples(("u",), b, reference=a)).ruling == "refuted"
    assert found >= 80  # 0.9 of 100, less 3.3 standard deviations; the bound is conservative and finds nearly all
    assert planned_samples(0.05, 0.9, 1) < planned_samples(0.05, 0.99, 1) < planned_samples(0.04, 0.99, 8)
    for bad in ((0.0, 0.9, 1), (0.1, 1.0, 1), (0.1, 0.9, 0)):
        with pytest.raises(ValueError, match="sample size"):
            planned_samples(*bad)


def test_equal_laws_are_refuted_at_the_stated_rate_only():
    """P-values are uniform or larger: at alpha = 1e-6 nothing is refuted in 300 cases, at 0.05 about a twentieth."""
    rng = np.random.default_rng(4)
    least = []
    for _ in range(300):
        tests = law_tests(samples(rng, 2_000))
        least.append(min(corrected([test.p for test in tests])))
    assert min(least) > ALPHA
    assert np.mean(np.array(least) < 0.05) <= 0.05 + 5 * np.sqrt(0.05 * 0.95 / 300)


def test_distances_are_those_of_scipy():
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=500), rng.normal(size=500).round(1)  # with ties
    assert two_sample_distance(a, b) == pytest.approx(ks_2samp(a, b).statistic, abs=1e-15)
    u = rng.random(500)
    assert uniform_distance(u) == pytest.approx(kstest(u, "uniform").statistic, abs=1e-15)


def test_holm():
    assert corrected([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert corrected([0.9, 0.8]) == [1.0, 1.0]


def test_evidence_that_tests_nothing_is_refused():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(1_000, 1))
    bad = (
        Samples(("x",), x),
        Samples(("x",), x[: LEAST - 1], reference=x[: LEAST - 1]),
        Samples(("x",), x, reference=x[:-1]),
        Samples(("x", "y"), x, reference=x),
        Samples(("x",), np.where(x > 3, np.nan, x) * np.nan, reference=x),
        Samples(("x",), x, cdf=x),
    )
    for evidence in bad:
        with pytest.raises(ValueError, match=r"draw|column|compare"):
            judge(EqualInLaw(), evidence)


def test_a_constant_column_is_its_mean_or_not():
    x = np.ones((1_000, 1))
    assert judge(EqualInLaw(distance=0.3), Samples(("x",), x, mean=np.ones(1))).ruling == "supported"
    assert judge(EqualInLaw(distance=0.3), Samples(("x",), x, mean=np.zeros(1))).ruling == "refuted"
