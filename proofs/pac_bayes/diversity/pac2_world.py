"""World A in pairs: three probabilistic models on four outcomes, so the moment and the failures of a pair bound are finite sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from ....numerics.claims import Coverage
from ....numerics.store import Rows
from ..small_worlds import OUTCOMES, PRIOR, World, compositions, count_probability, exponent, failure, moment

# p(y|x, h) on the four outcomes
LIKELIHOODS = np.array([[0.8, 0.6, 0.1, 0.3], [0.5, 0.1, 0.9, 0.2], [0.1, 0.7, 0.5, 0.9]])
P_MIN = 0.1


@cache
def pair_world(n: int = 12, symmetric: bool = True) -> World:
    """World A with the nine pairs and the prior P x P. Losses: symmetrised and divided by ln(1/p_min), or as they are, in nats."""
    a, b = (m.ravel() for m in np.meshgrid(range(3), range(3), indexing="ij"))
    p, q = LIKELIHOODS[a], LIKELIHOODS[b]
    losses = -np.log(p) - (p * p - p * q) / 2
    if symmetric:
        losses = ((-np.log(p) - np.log(q)) / 2 - (p - q) ** 2 / 4) / -np.log(P_MIN)
    counts = compositions(n, 4)
    log_prior = np.broadcast_to(np.log(PRIOR[a] * PRIOR[b]), (len(counts), 9))
    return World(n, count_probability(counts, OUTCOMES), counts @ losses.T / n, log_prior, losses @ OUTCOMES)


def compare_pairs(s: Any, p: Any, rows: Rows) -> Coverage:
    world = pair_world(s.n)
    found, margin = failure(world, exponent(world), p.log_constant + s.log_inv_delta)
    assert margin > 1e-9, "a sample lies on the threshold"
    return Coverage(
        float(np.exp(-s.log_inv_delta)), moment(world, exponent(world)), float(np.exp(p.log_constant)), found
    )


def certificate_coverage(s: Any, bound: Callable[[Any], float], steps: int = 4) -> Coverage:
    """A certificate against the exact CE, at every posterior of a grid: with what probability does one of them fail?"""
    world = pair_world(s.n)
    grid = compositions(steps, 3) / steps
    divergence = np.where(grid > 0, grid * np.log(np.where(grid > 0, grid, 1) / PRIOR), 0.0).sum(axis=1)
    ensemble = -np.log(grid @ LIKELIHOODS) @ OUTCOMES
    failed = np.zeros(len(world.probability), dtype=bool)
    for rho, kl, truth in zip(grid, divergence.clip(0), ensemble, strict=True):
        risk = (world.empirical @ np.outer(rho, rho).ravel() * -np.log(P_MIN)).clip(0).round(12)
        values = {r: bound(replace(s, risk=float(r), kl=float(kl))) for r in np.unique(risk)}
        failed |= np.array([truth > values[r] + 1e-9 for r in risk])
    note = f"{len(grid)} posteriors on every sample"
    return Coverage(float(np.exp(-s.log_inv_delta)), failure=float(world.probability[failed].sum()), note=note)
