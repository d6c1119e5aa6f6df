"""The hard-margin separator: exact and by quadratic programming, its certificate, its support vectors, bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.implicit_bias import max_margin as module
from nonvacuous.numerics.implicit_bias.exact_max_margin import active_dual, exact_dual, gram_matrix
from nonvacuous.numerics.implicit_bias.max_margin import (
    KKT_TOLERANCE,
    KKTResiduals,
    absorb_labels,
    kkt_residuals,
    max_margin,
)
from nonvacuous.numerics.implicit_bias.support_vectors import every_row_supports, require_generic, support_report
from nonvacuous.proofs.implicit_bias.separable_problems import separable_design
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput, NumericalFailure

SEEDS = st.integers(0, 2**32 - 1)


def problem(seed):
    rng = np.random.default_rng(seed)
    x = separable_design(rng, examples=int(rng.integers(1, 11)), parameters=int(rng.integers(1, 8)))
    root = rng.normal(size=(x.shape[1],) * 2)
    return rng, x, (None, rng.uniform(0.2, 3, x.shape[1]), root @ root.T + 0.1 * np.eye(x.shape[1]))[seed % 3]


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_exact_and_quadratic_program_agree_and_satisfy_the_conditions(seed):
    _, x, metric = problem(seed)
    exact, program = max_margin(x, metric=metric), max_margin(x, metric=metric, exact=False)
    assert (exact.method, program.method) == ("exact", "quadratic program")
    assert exact.residuals == KKTResiduals(0.0, 0.0, 0.0, 0.0)
    assert program.residuals.worst <= KKT_TOLERANCE
    assert kkt_residuals(x, exact.weights, exact.dual, metric=metric).worst < 1e-12
    scale = np.linalg.norm(exact.weights)
    np.testing.assert_allclose(program.weights, exact.weights, atol=1e-9 * scale)
    np.testing.assert_array_equal(program.support, exact.support)
    assert exact.second_margin > 1
    assert (x @ exact.weights).min() == pytest.approx(1, abs=1e-12)
    d = np.eye(x.shape[1]) if metric is None else np.diag(metric) if metric.ndim == 1 else metric
    assert exact.weights @ np.linalg.solve(d, exact.weights) == pytest.approx(exact.dual.sum(), rel=1e-10)
    assert exact.margin == pytest.approx(exact.dual.sum() ** -0.5)


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_rotating_rescaling_and_repeating_rows(seed):
    rng, x, _ = problem(seed)
    found = max_margin(x)
    rotation = np.linalg.qr(rng.normal(size=(x.shape[1],) * 2))[0]
    tolerance = 1e-9 * np.linalg.norm(found.weights)
    np.testing.assert_allclose(max_margin(x @ rotation).weights, rotation.T @ found.weights, atol=tolerance)
    np.testing.assert_allclose(max_margin(4 * x).weights * 4, found.weights, atol=tolerance)
    np.testing.assert_array_equal(max_margin(np.vstack([x, x[:1]])).weights, found.weights)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_trying_every_set_of_rows_needs_no_guess(seed):
    rng = np.random.default_rng(seed)
    x = separable_design(rng, examples=int(rng.integers(2, 7)), parameters=int(rng.integers(2, 5)))
    gram, found = gram_matrix(x, None), max_margin(x)
    wrong = tuple(int(n) for n in rng.permutation(len(x))[: rng.integers(1, 3)])
    for guess in ((), wrong):
        dual = exact_dual(gram, guess)
        assert min(dual) >= 0
        np.testing.assert_array_equal([int(a.p) / int(a.q) for a in dual], found.dual)
    # all rows of an obtuse pair satisfy X w >= 1 with a negative weight: no active set
    assert active_dual(gram_matrix(np.array([[1.0, 0.0], [3.0, 1.0]]), None), (0, 1)) is None


def test_no_better_separator_exists():
    rng, x, _ = problem(3)
    found = max_margin(x)
    for _ in range(500):
        w = found.weights + rng.normal(size=len(found.weights)) * 10 ** rng.uniform(-4, 0)
        if (x @ w).min() > 0:
            assert np.linalg.norm(w / (x @ w).min()) >= np.linalg.norm(found.weights) * (1 - 1e-12)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("rows", [[[1.0, 0], [-1, 0]], [[0.0, 0]], [[1.0, 1], [1, -1], [-1, 0]], [[1.0, 0], [0, 0]]])
def test_inseparable_data_are_refused_by_name(rows, exact):
    with pytest.raises(AssumptionViolated, match=r"ib\.logit_maxmargin"):
        max_margin(rows, exact=exact)


def test_large_inseparable_data_are_refused():
    with pytest.raises(AssumptionViolated, match="cannot be separated"):
        max_margin(np.random.default_rng(0).normal(size=(60, 4)))


def test_a_certificate_that_misses_the_contract_is_an_error(monkeypatch):
    x = separable_design(np.random.default_rng(1), examples=20, parameters=5)
    monkeypatch.setattr(module, "kkt_residuals", lambda *args, **kwargs: KKTResiduals(0.0, 1.1e-10, 0.0, 0.0))
    with pytest.raises(NumericalFailure, match="KKT"):
        max_margin(x)


@pytest.mark.parametrize(
    ("design", "options"),
    [
        ([[np.nan, 1.0]], {}),
        (np.zeros((0, 2)), {}),
        (np.zeros((2, 0)), {}),
        ([1.0, 2.0], {}),
        ([[1.0, 0]], {"metric": [1.0, -1.0]}),
        ([[1.0, 0]], {"metric": [[1.0, 0.5], [0.4, 1.0]]}),
        ([[1.0, 0]], {"metric": [1.0]}),
    ],
)
def test_bad_input_is_refused(design, options):
    with pytest.raises(InvalidInput):
        max_margin(design, **options)


def test_labels_are_absorbed():
    np.testing.assert_array_equal(absorb_labels([[1.0, 2], [3, 4]], [1, -1]), [[1, 2], [-3, -4]])
    with pytest.raises(InvalidInput):
        absorb_labels([[1.0, 2], [3, 4]], [1, 0])


def test_single_precision_rows_are_solved_in_double():
    x = np.array([[1.0, 0.0], [0.5, 2.0]], dtype=np.float32)
    np.testing.assert_allclose(x.astype(float) @ max_margin(x).weights, [1.0, 1.0], atol=1e-15)


def test_spanning_means_that_every_row_supports_when_rows_are_independent():
    rng = np.random.default_rng(5)
    for _ in range(60):
        x = rng.normal(size=(5, int(rng.integers(5, 30))))
        report = support_report(x)
        assert report.spanning == every_row_supports(x) == (report.others == 0)
    with pytest.raises(AssumptionViolated):
        every_row_supports([[1.0, 0], [2, 0]])


def test_the_report_counts_what_stays_open():
    report = support_report([[1.0, 0, 0], [2.5, 2, 0]])
    assert (report.support_vectors, report.others, report.rank, report.residual_rank) == (1, 1, 2, 1)
    assert report.generic
    assert not report.spanning
    with pytest.raises(AssumptionViolated, match=r"ib\.class_w2"):
        require_generic(report, theorem="ib.class_w2", spanning=True)
    repeated = support_report([[1.0, 1], [1, 1]])
    assert not repeated.generic
    with pytest.raises(AssumptionViolated, match="independent"):
        require_generic(repeated, theorem="ib.logit_residual", spanning=False)


@pytest.mark.parametrize(
    ("parameters", "low", "high"), [(21, 0.0, 0.03), (40, 0.0, 0.1), (100, 0.5, 0.8), (400, 0.97, 1)]
)
def test_support_vectors_proliferate_when_parameters_outnumber_examples_by_far(parameters, low, high):
    # printed for 200 draws at N = 20: 0, .02, .64, 1; the band is five binomial standard errors of 100 draws or so
    rng = np.random.default_rng(parameters)
    share = np.mean([every_row_supports(rng.normal(size=(20, parameters))) for _ in range(100)])
    assert low <= share <= high
