"""How often a printed certificate fails in a finite world, exactly: the posterior that breaks it most, for every sample.

A PAC-Bayes certificate says G(E_Q v) <= K + ln(C/delta) for all Q at once, v(h) = (empirical risk, risk) and G convex. A convex G is
the supremum of its tangents, indexed by u: G(E_Q v) = sup_u E_Q A_u(h), A_u affine in v. Two suprema commute, and the one over Q is
Donsker-Varadhan's:

    sup_Q {G(E_Q v) - K} = sup_u ln E_P e^{A_u}.

So the certificate fails for some Q exactly on the samples where the right-hand side exceeds ln(C/delta). By Jensen it is at most
ln E_P e^phi, phi(h) = G(v(h)): what fails is never more than what the theorem's averaged statement allows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, logsumexp

from .small_worlds import World, kl

FloatArray = NDArray[np.float64]

FIRST = {1: 401, 2: 81}  # points of the first grid along each axis
ZOOM_POINTS, ZOOMS, REACH = 9, 16, 1.6  # each zoom narrows the grid by 2.5: 2.5^16 = 2e6, and the maximum is flat
STEPS = 60  # of the ascent that follows the grid along a ridge
# Logits are hyperbolic sines of the coordinates, close to each other near 0: e^-40 of a probability, and e^-60 at the smallest
# non-zero number of errors, are below rounding.
LOGIT, ODDS = math.asinh(40.0), math.asinh(60.0)


@dataclass(frozen=True)
class Tangents:
    """phi = G(v(h)) and its tangents: `phi(world)` is (samples, hypotheses); `exponent(world, *u)` is A_u(h) with each u of shape
    (points, samples, 1) and in `box`; `touch(rh_Q, r_Q)` is the u of the tangent at that point, where it has a closed form."""

    phi: Callable[[World], FloatArray]
    exponent: Callable[..., FloatArray]
    box: tuple[tuple[float, float], ...]
    touch: Callable[[FloatArray, FloatArray], tuple[FloatArray, ...]] | None = None


def kl_upper_side() -> Tangents:
    """n kl(rh_Q||r_Q) where rh_Q < r_Q, else 0. u: the logit of the tangent point's r, and b > 0, the difference of the two logits."""
    return Tangents(
        lambda w: np.where(w.empirical < w.risk, _n_kl(w), 0.0), _kl_tangent, ((-LOGIT, LOGIT), (0.0, ODDS)), _kl_touch
    )


def kl_both_sides() -> Tangents:
    """n kl(rh_Q||r_Q)."""
    return Tangents(_n_kl, _kl_tangent, ((-LOGIT, LOGIT), (-ODDS, ODDS)), _kl_touch)


def catoni(beta: float) -> Tangents:
    """n (-ln(1 - (1 - e^-beta) r_Q) - beta rh_Q): the tangents of `kl_upper_side` (or of the other side) with b = beta."""

    def phi(w: World) -> FloatArray:
        return w.n * (-np.log1p(np.expm1(-beta) * w.risk) - beta * w.empirical)

    return Tangents(phi, lambda w, y: _kl_tangent(w, y, np.arcsinh(beta)), ((-LOGIT, LOGIT),))


def squared_gap(m: float) -> Tangents:
    """2 m (r_Q - rh_Q)^2."""

    def exponent(w: World, u: FloatArray) -> FloatArray:
        return 2 * m * (2 * u * (w.risk - w.empirical) - u**2)

    return Tangents(lambda w: 2 * m * (w.risk - w.empirical) ** 2, exponent, ((-1.0, 1.0),))


def chernoff(
    m: float, cgf: Callable[[FloatArray], FloatArray], phi: Callable[[World], FloatArray], largest: float
) -> Tangents:
    """m times the Legendre transform of E_Q J_h at E_Q gen. `cgf(l)` is J_h(l) with hypotheses last; l in (0, largest]; `phi(world)`
    is m I_h(max(gen, 0)), found some other way."""
    return Tangents(phi, lambda w, u: m * (u * (w.risk - w.empirical) - cgf(u)), ((0.0, largest),))


def gaussian_mixture(a: float, variance: FloatArray, largest: float) -> Tangents:
    """n^2 (E_Q gen)^2 / (2 (n + a) E_Q s^2), for sub-Gaussian losses; |u| <= largest."""

    def scale(w: World) -> float:
        return w.n**2 / (2 * (w.n + a))

    def exponent(w: World, u: FloatArray) -> FloatArray:
        return scale(w) * (2 * u * (w.risk - w.empirical) - u**2 * variance)

    return Tangents(lambda w: scale(w) * (w.risk - w.empirical) ** 2 / variance, exponent, ((-largest, largest),))


def _n_kl(world: World) -> FloatArray:
    return world.n * kl(world.empirical, np.broadcast_to(world.risk, world.empirical.shape))


def _kl_tangent(world: World, first: FloatArray, second: FloatArray | np.float64) -> FloatArray:
    """n (-ln(1-t) - t/(1-t) + (1-e^-b) r/(1-t) - b rh) at t = (1-e^-b) p, p = 1/(1+e^-y): 1 - t = 1 - p + p e^-b cancels nowhere."""
    y, b = np.sinh(first), np.sinh(second)
    p = expit(y)
    rest = expit(-y) + p * np.exp(-b)
    return world.n * (-np.log(rest) - np.expm1(-b) * (world.risk - p) / rest - b * world.empirical)


def _kl_touch(q: FloatArray, p: FloatArray) -> tuple[FloatArray, ...]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.arcsinh(logit(p)), np.nan_to_num(np.arcsinh(logit(p) - logit(q)))


def worst_posteriors(world: World, tangents: Tangents) -> tuple[FloatArray, FloatArray]:
    """For each sample sup_Q {G(E_Q v) - KL(Q||P)} and the Q that attains it (samples x hypotheses).

    The logarithm of a sum of exponentials of concave functions may have several maxima: a grid over the whole box comes first.
    """
    samples, dimensions = len(world.probability), len(tangents.box)
    centre = [np.full(samples, (a + b) / 2) for a, b in tangents.box]
    half = [np.full(samples, (b - a) / 2) for a, b in tangents.box]
    value = np.full(samples, -np.inf)
    points = FIRST[dimensions]
    for _ in range(ZOOMS):
        steps = np.linspace(-1.0, 1.0, points)[:, None]
        axes = [np.clip(u + h * steps, a, b) for u, h, (a, b) in zip(centre, half, tangents.box, strict=True)]
        index = np.indices((points,) * dimensions).reshape(dimensions, -1)
        grid = [axis[i] for axis, i in zip(axes, index, strict=True)]  # each (points^dimensions, samples)
        found = _cost(world, tangents, grid)
        top, column = found.argmax(axis=0), np.arange(samples)
        better = found[top, column] > value
        value = np.where(better, found[top, column], value)
        centre = [np.where(better, g[top, column], u) for g, u in zip(grid, centre, strict=True)]
        half = [2 * REACH / (points - 1) * h for h in half]
        points = ZOOM_POINTS
    for _ in range(STEPS if tangents.touch else 0):
        # Q <- P e^{A_u}/Z, u <- the tangent at E_Q v: neither step lowers sup_u E_Q A_u - KL(Q||P)
        assert tangents.touch is not None
        q = _posterior(world, tangents, centre)
        u = tangents.touch((q * world.empirical).sum(axis=1).clip(0, 1), (q @ world.risk).clip(0, 1))
        moved = [np.clip(x, a, b) for x, (a, b) in zip(u, tangents.box, strict=True)]
        found = _cost(world, tangents, [x[None] for x in moved])[0]
        better = found > value
        value = np.where(better, found, value)
        centre = [np.where(better, x, y) for x, y in zip(moved, centre, strict=True)]
    return value, _posterior(world, tangents, centre)


def _posterior(world: World, tangents: Tangents, u: list[FloatArray]) -> FloatArray:
    logits = world.log_prior + tangents.exponent(world, *(x[None, :, None] for x in u))[0]
    return np.exp(logits - logsumexp(logits, axis=1, keepdims=True))


def _cost(world: World, tangents: Tangents, grid: list[FloatArray], block: int = 200_000) -> FloatArray:
    """ln E_P e^{A_u} at every point of the grid, in blocks of bounded memory."""
    rows = max(1, block // max(1, len(world.probability)))
    return np.concatenate(
        [
            logsumexp(world.log_prior + tangents.exponent(world, *(g[i : i + rows, :, None] for g in grid)), axis=2)
            for i in range(0, len(grid[0]), rows)
        ]
    )


@dataclass(frozen=True)
class Failures:
    """P(exists Q: the certificate fails), that of the averaged statement E_Q phi <= K + ln(C/delta), and how far the closest sample
    is from the threshold (no strict inequality may hang on rounding)."""

    certificate: float
    averaged: float
    margin: float


def certificate_failure(world: World, tangents: Tangents, log_threshold: float) -> Failures:
    """Both failure probabilities at ln(C/delta). Only samples where the averaged statement fails are searched: by Jensen no other can."""
    averaged = logsumexp(world.log_prior + tangents.phi(world), axis=1)
    keep = averaged > log_threshold
    margin = float(np.abs(averaged - log_threshold).min())
    part = take(world, keep)
    failed = np.zeros(0, dtype=bool)
    if keep.any():
        worst, _ = worst_posteriors(part, tangents)
        failed = worst > log_threshold
        margin = min(margin, float(np.abs(worst - log_threshold).min()))
    return Failures(float(part.probability[failed].sum()), float(world.probability[keep].sum()), margin)


def take(world: World, samples: NDArray[np.bool_]) -> World:
    """The world with only these samples."""
    return replace(
        world,
        probability=world.probability[samples],
        empirical=world.empirical[samples],
        log_prior=world.log_prior[samples],
    )
