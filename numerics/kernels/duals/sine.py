"""Duals of A sin(B z + C), A cos(B z + C) and of the Gaussian kernel's activation, on gap coordinates.

V = A^2/2 (s1 - k s2), Vd = A^2 B^2/2 (s1 + k s2) with k = cos 2C, s1 = exp(-w), s2 = exp(-z), where 2w/B^2 and 2z/B^2 are
the squared norms of x - y and of x + y.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ....theory.activations import Cosine, Rbf, Sine
from ..arrays import functions_of
from ..pairs import DualState, Matrix, PairState, SlopeState, gap_of_distance


@dataclass(frozen=True)
class _Wave:
    """A^2, B^2, and k = cos 2C with 1 + k and 1 - k, each with its own digits."""

    power: float
    square: float
    k: float
    one_plus: float
    one_minus: float

    @property
    def derivative(self) -> _Wave:
        """A B cos(B z + C): another wave, a quarter turn on."""
        return _Wave(self.power * self.square, self.square, -self.k, self.one_minus, self.one_plus)


def sine_dual(activation: Sine | Cosine, state: PairState) -> DualState:
    """One layer. Source: the characteristic function of a Gaussian, E cos X = exp(-Var X/2) at mean 0."""
    wave, xp = _wave(activation), functions_of(state.gap)
    a, b, difference, distance = _coordinates(wave, state)
    w, z = wave.square * state.squared_distance / 2, wave.square * state.squared_sum / 2
    inner = 2 * wave.square * state.nngp  # z - w
    # exp(-w) - exp(-z) where k < 0: the smaller exponent goes out
    apart = xp.where(inner >= 0, -xp.exp(-w) * xp.expm1(-abs(inner)), xp.exp(-z) * xp.expm1(-abs(inner)))
    both = xp.exp(-w) + wave.k * xp.exp(-z) if wave.k >= 0 else apart + wave.one_plus * xp.exp(-z)
    derivative = wave.power * wave.square / 2 * both
    return DualState(a, b, difference, gap_of_distance(a, b, difference, distance), derivative)


def sine_slopes(activation: Sine | Cosine, state: PairState) -> SlopeState:
    """Vd is the dual of the wave A B cos(B z + C)."""
    wave, xp = _wave(activation).derivative, functions_of(state.gap)
    w, z = wave.square * state.squared_distance / 2, wave.square * state.squared_sum / 2
    apart = -xp.expm1(-z) + wave.one_minus * xp.exp(-z)  # 1 - k e^-z
    total = wave.power * ((1 + xp.exp(-w)) * apart - wave.k * _decay(wave.square, state) ** 2 / 2)
    return SlopeState(*_coordinates(wave, state), total)


def sine_mean(activation: Sine | Cosine, variance: Matrix) -> Matrix:
    """E phi(z) = A sin(C) exp(-B^2 a/2) for z of variance a (cos C for the cosine)."""
    return _height(activation) * functions_of(variance).exp(-(activation.frequency**2) * variance / 2)


def sine_mean_difference(activation: Sine | Cosine, state: PairState) -> Matrix:
    """E phi(u) - E phi(v) without cancellation."""
    return -_height(activation) * _decay(activation.frequency**2 / 2, state)


def rbf_dual(activation: Rbf, state: PairState) -> DualState:
    """V = exp(-gamma |x - y|^2), Vd = 2 gamma V. Source: Rahimi & Recht 2007."""
    xp = functions_of(state.gap)
    gamma, one_a, one_b = activation.gamma, xp.ones_like(state.a), xp.ones_like(state.b)
    exponent = gamma * state.squared_distance
    none = xp.zeros_like(exponent)
    return DualState(one_a, one_b, none, -xp.expm1(-exponent), 2 * gamma * xp.exp(-exponent))


def rbf_slopes(activation: Rbf, state: PairState) -> SlopeState:
    """Vd = 2 gamma V."""
    gamma, value = activation.gamma, rbf_dual(activation, state)
    distance, total = 4 * gamma * value.gap, 4 * gamma * (1 + value.value)
    return SlopeState(2 * gamma * value.a, 2 * gamma * value.b, value.difference, distance, total)


def rbf_mean(activation: Rbf, variance: Matrix) -> Matrix:
    """E phi(z) = exp(-gamma a)."""
    return functions_of(variance).exp(-activation.gamma * variance)


def rbf_mean_difference(activation: Rbf, state: PairState) -> Matrix:
    """E phi(u) - E phi(v) without cancellation."""
    return -_decay(activation.gamma, state)


def _wave(activation: Sine | Cosine) -> _Wave:
    s, c = math.sin(activation.phase), math.cos(activation.phase)
    k = math.cos(2 * activation.phase)
    wave = _Wave(activation.amplitude**2, activation.frequency**2, k, 2 * c**2, 2 * s**2)
    if isinstance(activation, Cosine):  # cos(z + C) = sin(z + C + pi/2)
        return _Wave(wave.power, wave.square, -wave.k, wave.one_minus, wave.one_plus)
    return wave


def _height(activation: Sine | Cosine) -> float:
    turn = math.cos if isinstance(activation, Cosine) else math.sin
    return activation.amplitude * turn(activation.phase)


def _decay(rate: float, state: PairState) -> Matrix:
    """exp(-rate b) - exp(-rate a), with the sign and the digits of a - b."""
    xp = functions_of(state.difference)
    apart = xp.expm1(-rate * abs(state.difference))
    return -xp.sign(state.difference) * xp.exp(-rate * xp.minimum(state.a, state.b)) * apart


def _coordinates(wave: _Wave, state: PairState) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """V(x,x), V(y,y), their difference, and the squared distance of the features,

        A^2 [ (1 - e^-w) (1 + k e^-z) - k (e^(-B^2 a) - e^(-B^2 b))^2/2 ],

    in which the second term takes at most about half of the first away.
    """
    rate, xp = 2 * wave.square, functions_of(state.gap)
    a, b = (wave.power / 2 * (-xp.expm1(-rate * v) + wave.one_minus * xp.exp(-rate * v)) for v in (state.a, state.b))
    w, z = wave.square * state.squared_distance / 2, wave.square * state.squared_sum / 2
    sum_term = -xp.expm1(-z) + wave.one_plus * xp.exp(-z)  # 1 + k e^-z
    distance = wave.power * (-xp.expm1(-w) * sum_term - wave.k * _decay(wave.square, state) ** 2 / 2)
    return a, b, wave.power / 2 * wave.k * _decay(rate, state), distance
