"""Slopes of the dual activations on the diagonals, with their differences, distances and sums."""

from __future__ import annotations

import numpy as np
import pytest

from nonvacuous.numerics.kernels.duals.table import activation_slopes, dual_activation
from nonvacuous.numerics.kernels.pairs import input_state
from nonvacuous.theory.activations import ABRelu, Cosine, LeakyRelu, Rbf, Scaled, Sine

EPS = 2.0**-52
EVERY = ["identity", "relu", "abs", LeakyRelu(0.5), ABRelu(-0.3, 1.2), Scaled(ABRelu(-0.3, 1.2), 1.2, 0.8, 0.4), "erf", "gelu",
         Scaled("gelu", 1.5, 0.8, -0.2), "sin", "cos", Sine(1.3, 0.7, 0.4), Cosine(1.1, 0.8, -0.5), Rbf(0.6)]  # fmt: skip


@pytest.mark.parametrize("activation", EVERY, ids=str)
def test_slopes_are_those_of_the_dual(activation):
    """Vd(x,x), Vd(y,y), their difference, and a + b -+ 2 Vd(x,y), from the duals of (x,x), (y,y) and (x,y) alone."""
    rng = np.random.default_rng(11)
    x, y = rng.normal(size=(6, 3)), rng.normal(size=(5, 3)) * rng.uniform(0.3, 2.0, size=(5, 1))
    y[0] = -x[0] + 0.1 * y[0]
    slopes = activation_slopes(activation, input_state(x, y, 1.3, 0.2))
    cross = dual_activation(activation, input_state(x, y, 1.3, 0.2)).derivative
    a, b = (np.diag(dual_activation(activation, input_state(v, v, 1.3, 0.2)).derivative) for v in (x, y))
    a, b = a[:, None], b[None, :]
    wanted = {"a": a, "b": b, "difference": a - b, "distance": a + b - 2 * cross, "sum": a + b + 2 * cross}
    for name, value in wanted.items():
        # fifteen roundings, as in a layer of `test_kernels_and_distances_keep_their_digits`, of four slopes
        assert np.abs(getattr(slopes, name) - value).max() <= 60 * EPS * (a + b).max(), name
