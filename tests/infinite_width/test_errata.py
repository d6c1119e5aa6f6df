"""Witnesses of ERRATA.md that no other test recomputes."""

from __future__ import annotations

import numpy as np
import pytest

from nonvacuous.numerics.kernels import ntk_kernel
from nonvacuous.theory.balls.dual_activations import fully_connected_pair


def test_relu_kernel_when_norms_differ_beyond_float64():
    """|x| = 1, y = 0 and a tiny bias: the symmetric form of the gap gives 6e23 here; the exact value is 1.5e-57."""
    x, y, weight, bias = [1.0, 0.0], [0.0, 0.0], (1.0, 1.0), (1.35e-56, 1.35e-56)
    exact = fully_connected_pair(x, y, activation="relu", weight_scale=weight, bias_scale=bias, digits=30).ntk
    found = ntk_kernel(np.array([x]), np.array([y]), depth=1, activation="relu", weight_scale=weight, bias_scale=bias)
    assert found[0, 0] == pytest.approx(float(exact.mid()), rel=1e-13, abs=0)
