"""Limits by betting from given tangents, in rational arithmetic and with every rounding exaggerated; weights whose sum is no float."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from exaggerated import exaggerated
from flint import arb, ctx

from nonvacuous.numerics.certified import betting
from nonvacuous.numerics.certified.betting import Tangent, mean_limits, mean_upper
from nonvacuous.theory.balls.betting import mean_upper_ball

U = 2.0**-53
ONE, ONES = np.ones(1), np.ones(2)
NOISE = 1e-12


def lines(rng: np.random.Generator) -> Tangent:
    low = float(rng.normal())
    return Tangent(float(rng.random()), float(rng.normal()), low, low + float(rng.choice([0.0, 1e-15, 0.3])))


def just(found: float, exact: Fraction, ulps: int) -> bool:
    """`found` lies at or above `exact`, within so many half-ulps of 4, the size of the parts."""
    return 0 <= Fraction(found) - exact <= Fraction(ulps * 4 * U)


@pytest.mark.parametrize("seed", range(3))
def test_one_limit_from_its_tangent(seed):
    """point + (budget - value)/slope with the end of the slope that gives more, in rationals."""
    rng = np.random.default_rng([80, seed])
    for _ in range(60):
        line, budget = lines(rng), float(rng.choice([0.0, 0.01, 1.0])) * float(rng.random())
        if line.slope_low <= 0:
            assert betting._where_it_meets(line, budget) == 1.0
            continue
        missing = Fraction(budget) - Fraction(line.value)
        steps = [missing / Fraction(s) for s in (line.slope_low, line.slope_high)]
        exact = Fraction(line.point) + max(steps)
        found = betting._where_it_meets(line, budget)
        assert just(found, exact, 4) if 0 < exact < 1 else found == (1.0 if exact >= 1 else 0.0)


@pytest.mark.parametrize("seed", range(3))
def test_the_lower_limit_from_its_tangent(seed, monkeypatch):
    """u - (budget - value)/|slope| with the end of the slope that gives less; u = 1 - the mirrored point."""
    rng = np.random.default_rng([81, seed])
    values, counts = np.array([0.2, 0.7]), np.array([3.0, 2.0])
    for _ in range(40):
        line, budget = lines(rng), float(rng.choice([0.01, 1.0])) * float(rng.random())
        point = float(rng.random())
        with monkeypatch.context() as patch:
            patch.setattr(betting, "tangent", lambda *args, line=line: line)
            patch.setattr(betting, "_points", lambda f, c, beta, point=point: (np.array([point]), ONE, ONE < 0))
            patch.setattr(betting, "_slope", lambda *args: 1.0)
            found = mean_limits(values, counts, budget)[0]
        if line.slope_high >= 0:
            assert found == 0
            continue
        missing = Fraction(budget) - Fraction(line.value)
        exact = Fraction(1 - point) - max(missing / -Fraction(s) for s in (line.slope_low, line.slope_high))
        assert just(-found, -exact, 4) if exact > 0 else found == 0


@pytest.mark.parametrize("seed", range(4))
def test_the_limit_of_a_posterior_from_its_tangents(seed, monkeypatch):
    """sum rho u + (B - sum rho g)/s0 + sum rho max((1 - s/s0)(1-u), (s/s0 - 1) u), in rationals, at most 1."""
    rng = np.random.default_rng([82, seed])
    inside = 0
    for _ in range(40):
        given = [lines(rng) for _ in range(3)]
        given = [Tangent(t.point, 0.05 * t.value, 2 + t.slope_low / 4, 2 + t.slope_high / 4) for t in given]
        weights, budget = rng.dirichlet(np.ones(4)), float(rng.random()) / 4
        losses = np.array([[0.1, 0.2], [0.3, 0.4], [1.0, 1.0], [0.5, 0.6]])
        weights[2] *= rng.integers(2)
        queue = list(given)
        with monkeypatch.context() as patch:
            patch.setattr(betting, "tangent", lambda *args, queue=queue: queue.pop(0))
            patch.setattr(betting, "_points", lambda f, c, beta: (np.full(3, 0.5), np.ones(3), np.ones(3) < 0))
            patch.setattr(betting, "_slope", lambda *args: 1.25)
            found = mean_upper(losses, ONES, weights, budget)
        rho, s0 = [Fraction(w) / sum(map(Fraction, weights.tolist())) for w in weights.tolist()], Fraction(2.5)
        exact = rho.pop(2) + Fraction(budget) / s0
        for r, t in zip(rho, given, strict=True):
            u, g, s = Fraction(t.point), Fraction(t.value), (Fraction(t.slope_low), Fraction(t.slope_high))
            exact += r * (u - g / s0 + max(0, (1 - s[0] / s0) * (1 - u), (s[1] / s0 - 1) * u))
        inside += exact < 1
        assert just(found, exact, 8) if exact < 1 else found == 1.0
    assert inside > 10


@pytest.mark.parametrize(
    ("weights", "losses", "budget"),
    [
        ([0.346276634190917, 0.25137343011605406, 0.10280939404569599, 0.29522114773456454, 0.00431939391276839], [0.0], 9.691318811533499e-4),
        ([0.24354511848987972, 0.16526114256632868, 0.09233906747485361, 0.33160662791317147, 0.03113503999497134, 0.1307041263466419, 0.0054088772142532215], [0.0, 0.0], 6.64557987876815e-9),
    ],
)  # fmt: skip
def test_the_sum_of_the_weights_is_rounded_both_ways(weights, losses, budget):
    """All predictors but the last are always wrong. With the nearest float for the sum of the weights, the limit fell below the exact one."""
    table = np.array([[1.0] * len(losses)] * (len(weights) - 1) + [losses])
    total = sum(map(Fraction, weights))
    exact = mean_upper_ball(
        [[Fraction(x) for x in row] for row in table.tolist()],
        [1] * len(losses),
        [Fraction(w) / total for w in weights],
        arb(budget),
    )
    assert arb(mean_upper(table, np.ones(len(losses)), np.array(weights), budget)) >= exact


def test_weights_that_add_up_to_one_after_rounding():
    rng = np.random.default_rng(83)
    for _ in range(60):
        weights = rng.dirichlet(np.ones(rng.integers(2, 7)))
        table = np.ones((len(weights), 1))
        table[-1] = 0.0
        budget = float(10 ** rng.uniform(-9, 0))
        total = sum(map(Fraction, weights.tolist()))
        share = Fraction(float(weights[-1])) / total
        with ctx.workdps(40):
            exact = 1 - arb(share.numerator) / share.denominator * (-arb(budget)).exp()
            assert arb(mean_upper(table, ONE, weights, budget)) >= exact


@pytest.mark.parametrize("seed", range(3))
def test_every_rounding_of_a_limit_goes_the_safe_way(seed, monkeypatch):
    """One predictor, three of them, and the lower limit, from given tangents."""
    rng = np.random.default_rng([84, seed])
    losses, weights = np.array([[0.1, 0.2], [1.0, 1.0], [0.3, 0.4], [0.5, 0.6]]), np.array([0.3, 0.1, 0.2, 0.4])
    for sign in (1, -1, 1, -1):
        given = [Tangent(float(rng.uniform(0.05, 0.2)), sign * float(rng.uniform(0.01, 0.05)), *sorted(2.5 + rng.uniform(-0.5, 0.5, 2))) for _ in range(3)]  # fmt: skip
        down = Tangent(0.6, sign * 0.05, -2.6, -2.5)
        for budget in (0.001, 0.1):
            assert betting._where_it_meets(given[0], budget) < 1

            def one(given=given, budget=budget):
                return betting._where_it_meets(given[0], budget)

            def several(given=given, budget=budget):
                queue = list(given)
                patch.setattr(betting, "tangent", lambda *args: queue.pop(0))
                return mean_upper(losses, ONES, weights, budget)

            def lower(down=down, budget=budget):
                patch.setattr(betting, "tangent", lambda *args: down)
                return -mean_limits(losses[0], ONES, budget)[0]

            for run in (one, several, lower):
                with monkeypatch.context() as patch:
                    patch.setattr(betting, "_slope", lambda *args: 1.25)
                    patch.setattr(
                        betting,
                        "_points",
                        lambda f, c, beta: (np.full(len(f), 0.4), np.ones(len(f)), np.ones(len(f)) < 0),
                    )
                    plain, *others = exaggerated(patch, betting, run)
                    assert others
                    assert min(others) >= plain - NOISE
                    assert abs(plain) < 1
