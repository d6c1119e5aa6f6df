"""Wrong methods for rate functions seen elsewhere, re-implemented from a description: how wrong they are, and that ours is not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nonvacuous.numerics.large_deviations import inverse_rate, worst_reweighting
from nonvacuous.theory.errors import InvalidInput


def ternary_search(losses: np.ndarray, s: float) -> float:
    """Re-implemented from a description: l in [0, 1e5], absolute tolerance 0.01, float32 log-sum-exp minus log N."""
    x = losses.astype(np.float32)

    def objective(tilt: float) -> float:
        y = (-np.float32(tilt) * x).astype(np.float32)
        top = y.max()
        lse = top + np.log(np.exp(y - top).sum(dtype=np.float32)) - np.log(np.float32(x.size))
        return float((np.float32(tilt) * x.mean(dtype=np.float32) + lse + np.float32(s)) / np.float32(tilt))

    low, high = 0.0, 1e5
    while high - low > 0.01:
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, b) if objective(a) < objective(b) else (a, high)
    return objective((low + high) / 2)


def test_d28_ternary_search_in_a_box_is_wrong_by_large_factors():
    rng = np.random.default_rng(28)
    heavy = rng.lognormal(0, 2, 10_000)
    factor = ternary_search(heavy, 1e-6) / float(inverse_rate(heavy, 1e-6).value)
    assert 15 < factor < 40  # 26 to 28 was found elsewhere, on another sample
    for big in (1e3 * rng.uniform(size=10_000), 1e3 * rng.exponential(size=10_000)):
        assert ternary_search(big, 1e-6) / float(inverse_rate(big, 1e-6).value) > 300
    unit = rng.exponential(size=10_000)
    assert ternary_search(unit, 8.0) == pytest.approx(float(inverse_rate(unit, 8.0).value), rel=1e-3, abs=0)
    small = 1e-4 * unit
    assert ternary_search(small, 8.0) / float(inverse_rate(small, 8.0).value) > 1.5  # the edge of the box binds
    for x, s in ((heavy, 1e-6), (small, 8.0)):
        assert inverse_rate(x, s).value == pytest.approx(worst_reweighting(x, s).value, rel=1e-11, abs=0)


def overwritten_box(losses: np.ndarray, levels: list[float]) -> list[float]:
    """Re-implemented from a description: the upper end of the search box is overwritten inside the loop after a negative point."""
    box, found = 1e5, []
    for s in levels:
        if s < 0:
            box = 0.0  # meant for this point only
        tilt = box / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            J = tilt * losses.mean() + np.log(np.exp(-tilt * (losses - losses.min())).mean()) - tilt * losses.min()
            found.append(float(np.float64(J + s) / np.float64(tilt)))
    return found


def test_d29_the_box_does_not_shrink_between_points():
    x = np.random.default_rng(1).exponential(size=40)
    wrong = overwritten_box(x, [0.1, -1.0, 0.1])
    assert math.isfinite(wrong[0])
    assert not math.isfinite(wrong[2])
    assert inverse_rate(x, 0.1).value == inverse_rate(np.stack([x, x, x]), [0.1, 0.5, 0.1]).value[2]
    with pytest.raises(InvalidInput):
        inverse_rate(x, -1.0)
