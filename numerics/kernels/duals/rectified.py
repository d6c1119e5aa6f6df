"""Duals of z, of `al min(z,0) + be max(z,0)` (ReLU, leaky, abs) and of sign z, on gap coordinates."""

from __future__ import annotations

import math

from ....theory.activations import ABRelu
from ..arrays import functions_of
from ..pairs import DualState, Matrix, PairState, SlopeState

_SERIES_BELOW = 0.3
_TERMS = 8  # 0.3^17 * 16/17! < 1e-22 of the leading term t^3/3


def sine_minus_t_cosine(t: Matrix) -> Matrix:
    """sin t - t cos t for t in [0, pi], to a few units in the last place: a power series below 0.3."""
    square, xp = t * t, functions_of(t)
    series = xp.zeros_like(t)
    coefficient = 1.0 / 3.0  # 2k/(2k+1)! at k = 1
    for k in range(1, _TERMS + 1):
        series = series + coefficient * square ** (k - 1)
        coefficient *= -(k + 1) / (k * (2 * k + 2) * (2 * k + 3))
    return xp.where(t < _SERIES_BELOW, series * square * t, xp.sin(t) - t * xp.cos(t))


def identity_dual(state: PairState) -> DualState:
    """phi(z) = z: V = c, Vd = 1."""
    one = functions_of(state.gap).ones_like(state.gap)
    return DualState(state.a, state.b, state.difference, state.gap, one, state.known_cogap)


def identity_slopes(state: PairState) -> SlopeState:
    """Vd = 1 everywhere."""
    xp = functions_of(state.gap)
    none = xp.zeros_like(state.gap)
    return SlopeState(xp.ones_like(state.a), xp.ones_like(state.b), none, none, none + 4)


def abrelu_dual(activation: ABRelu, state: PairState) -> DualState:
    """One layer. Source: Cho & Saul 2009 (arc-cosine kernels); gap form derived in `iw.gap_propagation`, step 2.

    phi is the odd part (al+be)/2 z plus the even part (be-al)/2 |z|, whose duals add: the gap of the first is the old
    gap, that of |z| is sqrt(ab) (2 sin(t/2)^2 - (2/pi)(sin t - t cos t)) at the angle t between x and y or -y.
    """
    odd, even, bend = _parts(activation)
    folded, xp = state.folded(), functions_of(state.gap)
    t = folded.angle
    gap = odd**2 * state.gap + even**2 * state.scale * (2 * xp.sin(t / 2) ** 2 - 2 / math.pi * sine_minus_t_cosine(t))
    mean = odd**2 + even**2
    return DualState(mean * state.a, mean * state.b, mean * state.difference, gap, mean - bend * state.angle)


def abrelu_slopes(activation: ABRelu, state: PairState) -> SlopeState:
    """Vd = m - q t is m on the diagonal at every norm; its distance 2 q t is of first order: the kink of the kernel."""
    xp = functions_of(state.gap)
    odd, even, bend = _parts(activation)
    mean, none = odd**2 + even**2, xp.zeros_like(state.gap)
    distance, total = 2 * bend * state.angle, 4 * odd**2 + 2 * bend * state.supplement
    return SlopeState(xp.full_like(state.a, mean), xp.full_like(state.b, mean), none, distance, total)


def abrelu_mean(activation: ABRelu) -> float:
    """E phi(z) / sqrt(a) for z of variance a."""
    return _parts(activation)[1] * math.sqrt(2 / math.pi)


def sign_dual(state: PairState) -> DualState:
    """phi(z) = sign z, with sign 0 = 0: V = 1 - 2t/pi. Its derivative's dual is infinite on the diagonal."""
    xp = functions_of(state.gap)
    a, b = xp.sign(state.a), xp.sign(state.b)
    live = a * b
    gap, cogap = (live * 2 / math.pi * angle for angle in (state.angle, state.supplement))
    return DualState(a, b, a - b, gap, None, cogap)


def _parts(activation: ABRelu) -> tuple[float, float, float]:
    """(odd slope, even slope, q): m = odd^2 + even^2 = (al^2+be^2)/2 and q = 2 even^2/pi = (al-be)^2/(2 pi)."""
    odd, even = (activation.negative + activation.positive) / 2, (activation.positive - activation.negative) / 2
    return odd, even, 2 * even**2 / math.pi
