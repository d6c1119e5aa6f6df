"""Plans for sampled variational training: they keep what they promise, and refuse by the name of the theorem."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.implicit_bias.stability import SampledDescent, mean_square_rate
from nonvacuous.numerics.implicit_bias.training_plan import (
    TrainingPlan,
    cheapest_plan,
    fastest_sampled_step,
    mean_square_factor,
    plan_training,
)
from nonvacuous.numerics.training.sampled_law import descend_sampled_law
from nonvacuous.proofs.implicit_bias.regression.noise_moments import moment_operator
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput, NumericalFailure

DESIGN = np.random.default_rng(0).normal(size=(4, 7))
OPTIONS = [
    {"rank": 3},
    {"rank": 3, "samples": 4, "covariance_rate": 1 / 3},
    {"rank": 5, "momentum": 0.6},
    {"rank": 5, "samples": 2, "estimator": "antithetic", "momentum": 0.3, "covariance_rate": 0.2},
    {"rank": 5, "estimator": "analytic", "momentum": 0.5},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_the_fastest_step_is_not_beaten_by_any_other(options):
    plan = plan_training(DESIGN, **options)
    eigenvalues = np.linalg.svd(DESIGN, compute_uv=False) ** 2
    steps = plan.largest_stable_step * np.linspace(0.005, 0.995, 199)
    rates = [float(mean_square_rate(step * eigenvalues, plan.descent).max()) for step in steps]
    assert plan.rate <= min(rates) * (1 + 1e-9) < 1
    assert plan.step == plan.fastest_step < plan.largest_stable_step


def test_with_equal_rates_the_fastest_step_and_its_rate_have_closed_forms():
    eigenvalues = np.array([9.0, 4.0, 1.0])
    descent = SampledDescent(6, samples=2)
    level = 1 + ((6 + 3 + np.sqrt((6 + 3) ** 2 - 8)) / 2 - 1) / 2
    step = fastest_sampled_step(eigenvalues, descent)
    assert step == pytest.approx(2 / (level * 10), rel=1e-13)
    assert mean_square_rate(step * eigenvalues, descent).max() == pytest.approx(1 - 4 * 9 / (level * 100), rel=1e-13)
    # The search that the other cases use finds it too.
    nearly = fastest_sampled_step(eigenvalues, SampledDescent(6, samples=2, covariance_rate=1 + 1e-9))
    assert nearly == pytest.approx(step, rel=3e-5)


@pytest.mark.parametrize("options", OPTIONS)
def test_the_planned_number_of_steps_is_enough_and_hardly_more(options):
    plan = plan_training(DESIGN, tolerance=0.01, **options)
    modes = plan.step * np.linalg.svd(DESIGN, compute_uv=False) ** 2
    assert mean_square_factor(modes, plan.descent, steps=plan.steps) <= 1e-4
    assert mean_square_factor(modes, plan.descent, steps=plan.steps - 1) > 1e-4


@pytest.mark.parametrize("descent", [SampledDescent(2, 2, 0.0, 0.5), SampledDescent(1, 2, 0.5, 2.0)])
def test_the_worst_start_is_found_among_all_starts(descent):
    # Against the full operator: random starts never exceed the factor, and starting in one of the two groups attains it.
    rng, n = np.random.default_rng(1), descent.rank + 1
    operator = moment_operator(
        2, 0.3, rank=descent.rank, samples=descent.samples, momentum=descent.momentum,
        covariance_rate=descent.covariance_rate, estimator=descent.estimator,
    )  # fmt: skip
    power = np.linalg.matrix_power(operator, 7)
    factor = mean_square_factor(0.3, descent, steps=7)

    def grown(start):
        v = np.concatenate([start, start]) if descent.momentum else start
        state = (np.kron(v, v) @ power).reshape(len(v), len(v))
        return np.trace(state[:n, :n]) / (start @ start)

    assert max(grown(rng.normal(size=n)) for _ in range(50)) <= factor * (1 + 1e-12)
    assert max(grown(row) for row in np.eye(n)) == pytest.approx(factor, rel=1e-12)


def test_a_planned_run_ends_where_it_should():
    # 64 runs of the planned length: the mean squared distance that is left is at most its promise plus sampling error.
    plan = plan_training(DESIGN, rank=2, samples=8, tolerance=0.1)
    rng = np.random.default_rng(2)
    solution, mean, factor = rng.normal(size=7), rng.normal(size=7), rng.normal(size=(7, 2))
    means, factors = descend_sampled_law(
        DESIGN,
        DESIGN @ solution,
        mean,
        factor,
        step=plan.step,
        record=[0, plan.steps],
        samples=8,
        replicates=64,
        seed=5,
    )
    rows = np.linalg.pinv(DESIGN) @ DESIGN
    left = np.sum(((means - solution) @ rows) ** 2, axis=2) + np.sum((rows @ factors) ** 2, axis=(2, 3))
    assert left[1].mean() <= 0.01 * left[0].mean() + 6 * left[1].std() / 8


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_random_designs_give_plans_that_hold_together(seed):
    rng = np.random.default_rng(seed)
    design = rng.normal(size=rng.integers(1, 6, size=2)) * 10 ** rng.uniform(-3, 3)
    plan = plan_training(design, rank=int(rng.integers(1, 20)), samples=int(rng.integers(1, 5)), tolerance=0.5)
    assert 0 < plan.step < plan.largest_stable_step
    assert 0 < plan.rate < 1
    assert plan.steps >= 1
    assert "ib.mc_stability" in str(plan)
    # Scaling the data by c scales every step by c^-2 and changes nothing else.
    scaled = plan_training(4 * design, rank=plan.descent.rank, samples=plan.descent.samples, tolerance=0.5)
    assert scaled.step == pytest.approx(plan.step / 16, rel=1e-9)
    assert scaled.rate == pytest.approx(plan.rate, rel=1e-9)


def test_the_cheapest_plan_is_the_cheapest_of_its_options():
    options = {"samples": (1, 2), "momentum": (0.0, 0.5), "covariance_rate": (1.0, 0.1)}
    best = cheapest_plan(DESIGN, rank=10, **options)
    kinds = [(1, "independent"), (2, "independent"), (2, "antithetic")]
    plans = [
        plan_training(DESIGN, rank=10, samples=m, estimator=kind, momentum=b, covariance_rate=k)
        for m, kind in kinds
        for b in (0.0, 0.5)
        for k in (1.0, 0.1)
    ]
    assert best in plans
    assert best.steps * best.descent.samples == min(p.steps * p.descent.samples for p in plans)


@pytest.mark.parametrize("factor", [1.0, 1.0001, 12.0])
def test_unstable_steps_are_refused_by_the_name_of_the_theorem(factor):
    edge = plan_training(DESIGN, rank=10).largest_stable_step
    with pytest.raises(AssumptionViolated, match=r"ib\.mc_stability allows steps strictly between 0"):
        plan_training(DESIGN, rank=10, step=factor * edge)
    assert isinstance(plan_training(DESIGN, rank=10, step=0.9 * edge), TrainingPlan)


@pytest.mark.parametrize(
    "call",
    [
        lambda: plan_training(np.zeros((2, 3)), rank=2),
        lambda: plan_training(np.ones(3), rank=2),
        lambda: plan_training(DESIGN, rank=0),
        lambda: plan_training(DESIGN, rank=2, tolerance=0.0),
        lambda: plan_training(DESIGN, rank=2, tolerance=1.0),
        lambda: plan_training(DESIGN, rank=2, step=np.nan),
        lambda: plan_training(DESIGN, rank=2, step=-0.1),
        lambda: plan_training([[np.nan]], rank=2),
        lambda: fastest_sampled_step([1.0, 0.0], SampledDescent(1)),
        lambda: fastest_sampled_step([], SampledDescent(1)),
        lambda: cheapest_plan(DESIGN, rank=2, samples=()),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(InvalidInput):
        call()


def test_a_hopeless_design_is_an_error_and_no_number():
    for smallest in (1e-8, 3e-7):
        with pytest.raises(NumericalFailure, match=r"[Pp]recondition"):
            plan_training(np.diag([1.0, smallest]), rank=100, tolerance=1e-12)
