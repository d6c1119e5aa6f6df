"""Worlds A and C for mixture bounds: exact moments, failure probabilities at one size and over all sizes, half-normal mixtures."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtr

from ..real_losses_world import REAL_LOSSES, SECOND_MOMENTS, VARIANCE_PROXIES, world_c
from ..small_worlds import LOSSES, OUTCOMES, PRIOR, World, moment, world_a
from ..worst_certificate import certificate_failure, gaussian_mixture

FloatArray = NDArray[np.float64]


def _proxies(world: str) -> FloatArray:
    return np.full(3, 0.25) if world == "A" else VARIANCE_PROXIES


@cache
def measured(name: str, a: float, share: float, log_threshold: float) -> tuple[float, float, float, float]:
    """Moment, failure probability of the averaged statement and of the printed certificate, margin; `share` of the variance declared."""
    world = world_a() if name == "A" else world_c()
    tangents = gaussian_mixture(a, share * _proxies(name), 40.0 / share)
    found = certificate_failure(world, tangents, log_threshold)
    return moment(world, tangents.phi(world)), found.averaged, found.certificate, found.margin


@cache
def time_uniform(name: str, horizon: int, statistic: Any) -> float:
    """P(some t <= horizon has `statistic(world at t)` > 0): mass moves c -> c + e_z with probability p_z and is absorbed when it fails."""
    losses = LOSSES if name == "A" else REAL_LOSSES
    risk = losses @ OUTCOMES
    alive: dict[tuple[int, ...], float] = {(0, 0, 0, 0): 1.0}
    failed = 0.0
    for t in range(1, horizon + 1):
        moved: dict[tuple[int, ...], float] = {}
        for counts, mass in alive.items():
            for z, p in enumerate(OUTCOMES):
                new = (*counts[:z], counts[z] + 1, *counts[z + 1 :])
                moved[new] = moved.get(new, 0.0) + mass * float(p)
        keys = np.array(list(moved))
        world = World(
            t, np.array(list(moved.values())), keys @ losses.T / t, np.broadcast_to(np.log(PRIOR), (len(keys), 3)), risk
        )
        broken = statistic(world) > 0
        failed += float(world.probability[broken].sum())
        alive = {
            tuple(map(int, key)): float(mass)
            for key, mass in zip(keys[~broken], world.probability[~broken], strict=True)
        }
    return failed


@cache
def two_sided_statistic(name: str, share: float, log_inv_delta: float) -> Any:
    def statistic(w: World) -> FloatArray:
        phi = w.n**2 * (w.risk - w.empirical) ** 2 / (2 * (w.n + 1) * share * _proxies(name))
        return logsumexp(w.log_prior + phi, axis=1) - np.log(w.n + 1) / 2 - log_inv_delta

    return statistic


def half_normal_statistic(w: World, log_inv_delta: float, share: float = 1.0) -> FloatArray:
    """ln E_P W - ln(1/delta), W the half-normal mixture with s^2 = share E loss^2, a s0^2 = 1, in closed form: 2 Phi(n g/sqrt D) sqrt(1/D) e^{n^2 g^2/(2D)}."""
    g, D = w.risk - w.empirical, w.n * share * SECOND_MOMENTS + 1.0
    log_w = np.log(2 * ndtr(w.n * g / np.sqrt(D))) - np.log(D) / 2 + w.n**2 * g**2 / (2 * D)
    return np.asarray(logsumexp(w.log_prior + log_w, axis=1) - log_inv_delta)
