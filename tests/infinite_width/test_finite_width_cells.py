"""What is read off the cells of a finite-width table: slopes, penalties for heads, estimates."""

import math
from dataclasses import replace

import numpy as np
import pytest

from nonvacuous.numerics.wide_networks.finite_width_cells import (
    Estimate,
    FiniteWidthCell,
    estimate,
    head_penalty,
    local_slopes,
    slope,
)
from nonvacuous.theory.errors import InvalidInput


def cell(width: int, value: float, error: float = 1e-3, heads: int = 1) -> FiniteWidthCell:
    found = Estimate(value, error, 100)
    return FiniteWidthCell("rnd", heads, width, 100, found, found, found)


def test_slopes_of_power_laws() -> None:
    cells = [cell(n, -3.0 / n, 0.01 / n) for n in (32, 128, 512, 2048)]
    found = slope(cells, alpha=0.05)
    assert found.value == pytest.approx(-1.0, abs=1e-12)
    assert [s.value for s in local_slopes(cells, alpha=0.05)] == pytest.approx([-1.0] * 3, abs=1e-12)
    # equal relative errors r at x, x + h, x + 2h: the slope's standard error is r/(h sqrt 2)
    student = 1.984217  # 97.5 percent, 99 degrees of freedom: a hundred rows each
    assert found.half_width == pytest.approx(student * (0.01 / 3) / (math.log(4) * math.sqrt(2)), rel=1e-6, abs=0)
    few = [replace(c, correction=replace(c.correction, replicates=5)) for c in cells[-1:]]
    assert slope(cells[:-1] + few, alpha=0.05).half_width == pytest.approx(
        found.half_width * 2.776445 / student, rel=1e-6
    )


def test_no_slope_without_signal_or_through_zero() -> None:
    lost = slope([cell(32, -0.1), cell(128, -0.03), cell(512, -0.002)], alpha=0.05)
    assert lost.dropped == (512,)
    assert lost.value == pytest.approx(math.log(0.3) / math.log(4), abs=1e-12)
    assert math.isnan(slope([cell(32, -0.1), cell(128, 0.03)], alpha=0.05).value)
    assert math.isnan(slope([cell(32, -0.1)], alpha=0.05).value)


def test_penalties_compare_equal_widths() -> None:
    found = head_penalty(cell(32, -0.1, 3e-3), cell(32, -0.3, 4e-3, heads=4))
    assert (found.value, found.standard_error) == pytest.approx((-0.2, 5e-3), abs=1e-15)
    with pytest.raises(InvalidInput):
        head_penalty(cell(32, -0.1), cell(64, -0.3, heads=4))
    with pytest.raises(InvalidInput):
        estimate(np.array([1.0]))
    with pytest.raises(InvalidInput):
        estimate(np.array([1.0, np.nan, 2.0]))
