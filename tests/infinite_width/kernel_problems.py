"""Small random problems for tests: kernels of a network between two test points and four or more training points."""

from __future__ import annotations

import numpy as np

from nonvacuous.numerics.kernels.fully_connected import fully_connected_kernels
from nonvacuous.numerics.wide_networks.gram import gram_blocks

EPS = np.finfo(np.float64).eps
SEEDS = range(5)


def hard_inputs(rng, n=150, d=20):
    """Equal, opposite, scaled, zero and nearly equal rows among others."""
    x = rng.normal(size=(n, d))
    x[5], x[6], x[7], x[8] = x[4], -x[4], 2 * x[4], 0
    for k in range(1, 13):
        x[20 + k] = x[20] + 10.0**-k * rng.normal(size=d)
        x[40 + k] = -x[40] * (1 + 10.0**-k)
    return x


def kernels(points, **changes):
    architecture = {"depth": 2, "activation": "erf", "weight_scale": 1.5, "bias_scale": 0.3} | changes
    return fully_connected_kernels(points, **architecture)


def problem(seed, **changes):
    rng = np.random.default_rng(seed)
    found = kernels(rng.normal(size=(9, 3)), **changes)
    return tuple(gram_blocks(n, m[:4, :4], m[:4, 4:], m[4:, 4:]) for n, m in (("K", found.nngp), ("T", found.ntk)))


def close(a, b, t, scale=1.0):
    """Equal up to rounding: 1e3 N eps cond(T) times the scale (section 2.1 of the conventions)."""
    allowed = 1e3 * len(t.train) * EPS * np.linalg.cond(t.train) * np.abs(t.test).max() * scale
    return np.abs(np.asarray(a) - b).max() <= allowed
