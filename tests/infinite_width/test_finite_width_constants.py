"""Finite-width tables without any training: scales of the targets, relative cells, counts, foreseen steps, predicted bytes."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from nonvacuous.numerics.kernels.architectures import pooling
from nonvacuous.numerics.kernels.architectures.images import ConvolutionalProblem
from nonvacuous.numerics.training import paired
from nonvacuous.numerics.wide_networks import finite_width_rows
from nonvacuous.numerics.wide_networks.finite_width import FiniteWidthTable
from nonvacuous.numerics.wide_networks.finite_width_cells import Estimate, FiniteWidthCell, head_penalty
from nonvacuous.numerics.wide_networks.finite_width_rows import cells_of, measure
from nonvacuous.numerics.wide_networks.finite_width_setup import (
    GROUP,
    checked_setup,
    limit_kernels,
    require_few_steps,
)
from nonvacuous.numerics.wide_networks.step_sizes import steps_of_modes
from nonvacuous.theory.errors import InvalidInput

RNG = np.random.default_rng(3)
SETUP = checked_setup(
    train=RNG.normal(size=(3, 4)), test=RNG.normal(size=(2, 4)), labels=np.array([1.0, -2.0, 0.5]), activation="relu", depth=1,
    weight_scale=1.2, bias_scale=0.3, parametrisation="ntk", filter_size=None, padding="zero",
)  # fmt: skip


@pytest.mark.parametrize(("parametrisation", "scale"), [("ntk", 1.0), ("standard", 1.0), ("mean_field", 8.0)])
def test_targets_grow_with_the_width_in_the_mean_field_parametrisation_alone(monkeypatch, parametrisation, scale):
    seen: dict[str, Any] = {}
    draws, points = 2 * GROUP, len(SETUP.test)

    def gaps(problem, y, **options):
        seen["gap"] = y
        return torch.arange(1.0, 1 + draws * points).view(draws, points), torch.full((draws, points), 4.0)

    def variances(problem, y, *, group, **options):
        seen["ensemble"], seen["group"] = y, group
        return torch.ones(2, 2, points), torch.zeros(2, 2, points)

    monkeypatch.setattr(finite_width_rows, "_problem", lambda *_: None)
    monkeypatch.setattr(paired, "gaps", gaps)
    monkeypatch.setattr(paired, "ensemble_variances", variances)
    setup = replace(SETUP, parametrisation=parametrisation)
    arguments: tuple[Any, ...] = (1, 64, draws, 0, "cpu", SimpleNamespace())
    rows = measure(setup, "gap", *arguments)
    measure(setup, "ensemble", *arguments)
    np.testing.assert_array_equal(seen["gap"].numpy(), scale * SETUP.labels)
    np.testing.assert_array_equal(seen["ensemble"].numpy(), [scale * SETUP.labels, 0 * SETUP.labels])
    assert seen["group"] == GROUP
    # the relative gap of a group is the root of a mean square over a mean square
    squares = np.arange(1.0, 1 + draws * points).reshape(2, GROUP, points).mean(axis=1)
    np.testing.assert_allclose(rows["gap"], np.sqrt(squares / 4), rtol=1e-6)


def test_cells_are_relative_to_the_limit_and_count_networks():
    limit = np.array([2.0, 5.0])
    limits = dict.fromkeys(("rnd", "brnd_shared", "ensemble"), limit)
    linearised, correction = RNG.uniform(1, 2, size=(7, 2)), RNG.uniform(-1, 0, size=(7, 2))
    rows = {"linearised": linearised, "correction": correction}
    parts = [{name: value[:3] for name, value in rows.items()}, {name: value[3:] for name, value in rows.items()}]
    for quantity, times in (("rnd", 2), ("brnd_shared", 1)):
        (cell,) = cells_of(quantity, 4, 32, parts, limits)
        first, second = ((value / (times * limit)).mean(axis=1) for value in (linearised, correction))
        assert (cell.quantity, cell.heads, cell.width, cell.networks) == (quantity, 4, 32, 7)
        for found, expected in (
            (cell.linearised, first - 1), (cell.correction, second), (cell.total, first + second - 1),
        ):  # fmt: skip
            assert found.value == pytest.approx(expected.mean(), rel=1e-13)
            assert found.standard_error == pytest.approx(expected.std(ddof=1) / math.sqrt(7), rel=1e-12)
    both = {f"{goal}_{name}": k * value for k, goal in ((1, "labels"), (3, "zeros")) for name, value in rows.items()}
    labels, zeros, dependence = cells_of("ensemble", 1, 32, [both], limits)
    assert [c.quantity for c in (labels, zeros, dependence)] == ["ensemble", "ensemble_zeros", "label_dependence"]
    assert all(c.networks == 7 * GROUP for c in (labels, zeros, dependence))
    first, second = ((value / limit).mean(axis=1).mean() for value in (linearised, correction))
    assert (labels.linearised.value, labels.correction.value) == pytest.approx((first - 1, second), rel=1e-12)
    assert (zeros.linearised.value, zeros.correction.value) == pytest.approx((3 * first - 1, 3 * second), rel=1e-12)
    assert dependence.linearised.value == pytest.approx(-2 * first, rel=1e-12)
    assert dependence.total.value == pytest.approx(-2 * (first + second), rel=1e-12)
    (gap,) = cells_of("gap", 1, 32, [{"gap": np.array([1.0, 2.0, 4.0])}], {})
    assert gap.networks == 3 * GROUP
    assert gap.linearised is None
    assert gap.total == gap.correction
    assert gap.total.value == pytest.approx(7 / 3, rel=1e-14)


def test_heads_are_compared_with_the_fewest_of_the_same_quantity():
    def cell(quantity, heads, width, value):
        found = Estimate(value, 1e-3, 100)
        return FiniteWidthCell(quantity, heads, width, 100, found, found, found)

    values = {("rnd", 2): -0.1, ("rnd", 4): -0.25, ("rnd", 8): -0.6, ("gap", 1): 0.3}
    cells = [cell(q, h, n, value * 32 / n) for (q, h), value in values.items() for n in (32, 64)]
    rows = FiniteWidthTable(tuple(cells), {}, 0.95, 0.0).as_json()["rows"]
    assert [(row["quantity"], row["heads"]) for row in rows] == list(values)
    for row in rows:
        for entry in row["cells"]:
            if (row["quantity"], row["heads"]) in (("rnd", 2), ("gap", 1)):
                assert "head_penalty" not in entry
                continue
            few, many = (next(c for c in cells if (c.quantity, c.heads, c.width) == ("rnd", h, entry["width"])) for h in (2, row["heads"]))  # fmt: skip
            assert entry["head_penalty"][0] == pytest.approx(head_penalty(few, many).value, rel=1e-14)
    # half widths are those of the stated confidence
    wide = FiniteWidthTable(tuple(cells), {}, 0.99, 0.0).as_json()["rows"][0]["cells"][0]["total"][1]
    narrow = rows[0]["cells"][0]["total"][1]
    assert (narrow, wide) == pytest.approx((1e-3 * 1.984217, 1e-3 * 2.626405), rel=1e-6)


@pytest.mark.parametrize("quantity", ["rnd", "brnd_shared", "gap", "ensemble"])
@pytest.mark.parametrize("fraction", [0.4, 0.9])
def test_the_steps_foreseen_are_those_of_linear_descent(quantity, fraction):
    """The covariance of the residual, walked step by step; one step fewer is refused."""
    kernels = limit_kernels(SETUP)
    k, t = (kernel.train for kernel in kernels)
    values = np.linalg.eigvalsh(t)
    move = np.eye(len(t)) - fraction * 2 / (values[0] + values[-1]) * t
    outer = np.outer(SETUP.labels, SETUP.labels)
    starts = {"rnd": [k], "brnd_shared": [t], "gap": [k + outer], "ensemble": [k, k + outer]}[quantity]
    needed = 0
    for start in starts:
        covariance, steps = start, 0
        while np.trace(covariance) > 0.01**2 * np.trace(start):
            covariance, steps = move @ covariance @ move.T, steps + 1
        needed = max(needed, steps)
    options: dict[str, Any] = {"step_fraction": fraction, "relative_residual": 0.01}
    require_few_steps(SETUP, (quantity,), kernels, max_steps=needed, **options)
    with pytest.raises(InvalidInput, match="condition number"):
        require_few_steps(SETUP, (quantity,), kernels, max_steps=needed - 1, **options)


def test_steps_of_modes_that_are_removed_slow_or_empty():
    walk = {"step_size_sum_loss": 1.0, "relative_residual": 1e-3}
    # removed by one step, beside one that is not
    assert steps_of_modes(np.array([1.0, 0.5]), np.array([1.0, 1.0]), **walk) == math.ceil(
        math.log(1e-3 * math.sqrt(2)) / math.log(0.5)
    )
    # slow: 1 - 1e-12 has lost four digits of 1e-12, log1p none
    slow = steps_of_modes(np.array([1e-12]), np.ones(1), **walk)
    assert slow == pytest.approx(math.log(1e-3) / math.log1p(-1e-12), rel=1e-9)
    # a mode that grows counts only where something starts in it
    assert steps_of_modes(np.array([0.5, 2.5]), np.array([1.0, 0.0]), **walk) == 10
    assert steps_of_modes(np.array([0.5, 2.5]), np.array([1.0, 1e-9]), **walk) == math.inf
    many = steps_of_modes(np.array([1e-3, 2.5]), np.array([1.0, 0.0]), **walk)
    assert many == math.ceil(math.log(1e-3) / math.log1p(-1e-3)) > 1000
    assert steps_of_modes(np.array([0.5, 0.5]), np.zeros(2), **walk) == 0


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("readout", ["average", "flatten"])
def test_bytes_are_those_of_all_pairs_of_positions_or_of_equal_ones(readout, symmetric):
    x, y = np.zeros((5, 4, 6, 3)), np.zeros((2, 4, 6, 3))
    problem = ConvolutionalProblem(
        x, x if symmetric else y, symmetric, (3, 3), True, readout, "relu", ((1.0, 0.0), (1.0, 0.0))
    )  # type: ignore[arg-type]
    positions, offsets, layers, images = 24, 9, 2, 5 if symmetric else 7
    norms = images * positions * (offsets * (3 + layers) + layers)
    pairs = positions**2 if readout == "average" else positions
    assert pooling.predicted_bytes(problem) == 8 * (pooling._ARRAYS * pairs + 3 * norms)
