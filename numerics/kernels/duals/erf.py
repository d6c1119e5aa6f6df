"""Dual activation of erf on gap coordinates.

V = (2/pi) arcsin(2c/S), Vd = (4/pi)/sqrt(S^2 - 4c^2), S^2 = (1+2a)(1+2b).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..arrays import functions_of
from ..pairs import DualState, Matrix, PairState, SlopeState, gap_of_distance, ratio


@dataclass(frozen=True)
class Arcsine:
    """The kernel arcsin(2c/S) at (x,x), (y,y): `a` and `b`; `difference` = a - b, `distance` = a + b - 2 arcsin(2c/S), and
    `cosine` = S cos = sqrt(S^2 - 4c^2) at (x,y)."""

    a: Matrix
    b: Matrix
    difference: Matrix
    distance: Matrix
    cosine: Matrix


def arcsine(state: PairState) -> Arcsine:
    """Source: Williams 1997 (the kernel); the cancellation-free form below is derived here.

    Write al, be, ga for the arcsines at (x,x), (y,y), (x,y): sin al = 1 - 1/A, A = 1+2a (likewise be, B) and
    sin ga = 2c/S, S = sqrt(AB). With m = (al+be)/2 and h = (al-be)/2 the distance is 2(m - ga), and
    tan((m-ga)/2) = (sin m - sin ga)/(cos m + cos ga), whose numerator has no negative term:

        2 gap/S + 2 D^2 (1+e+Z) / (S^2 (ra+rb)^2 (sqrt A + sqrt B)^2) + (4ab + a + b) 2 sin(h/2)^2 / (S^2 cos h)

    with ra = sqrt a, rb = sqrt b, p = ra rb, D = a - b, e = S - 2p = (1+2(a+b))/(S+2p) and
    Z = a + b - 2pe = 2 D^2/((S+2p)^2 - 1).
    """
    xp = functions_of(state.gap)
    a, b, difference, gap, p = state.a, state.b, state.difference, state.gap, state.scale
    total = a + b
    A, B = 1 + 2 * a, 1 + 2 * b
    S = xp.sqrt(A * B)
    cosine = xp.sqrt(1 + 2 * total + 4 * gap * state.cogap)

    tan_a, tan_b = 2 * a / xp.sqrt(1 + 4 * a), 2 * b / xp.sqrt(1 + 4 * b)
    tan_difference = ratio(4 * difference * (total + 4 * p * p), (1 + 4 * a) * (1 + 4 * b) * (tan_a + tan_b))
    h = xp.arctan2(tan_difference, 1 + tan_a * tan_b) / 2

    e = (1 + 2 * total) / (S + 2 * p)
    Z = ratio(2 * difference**2, (S + 2 * p) ** 2 - 1)
    sine_difference = (
        2 * gap / S
        + 2 * state.root_difference**2 * (1 + e + Z) / (A * B * (xp.sqrt(A) + xp.sqrt(B)) ** 2)
        + (4 * p * p + total) * 2 * xp.sin(h / 2) ** 2 / (A * B * xp.cos(h))
    )
    cosine_sum = (xp.sqrt(1 + 4 * a) / A + xp.sqrt(1 + 4 * b) / B) / (2 * xp.cos(h)) + cosine / S
    return Arcsine(xp.arctan(tan_a), xp.arctan(tan_b), 2 * h, 4 * xp.arctan2(sine_difference, cosine_sum), cosine)


def inverse_root_distance(a: Matrix, b: Matrix, difference: Matrix, determinant: Matrix) -> Matrix:
    """1/sqrt A + 1/sqrt B - 2/sqrt(M + d) for A = 1+a, B = 1+b, M = (A+B)/2, d = `determinant` >= 0, `difference` = a - b.

    A sum of two non-negative terms: with G = sqrt(AB), M - G = (A-B)^2/(4(M+G)), the distance at d = 0 is
    2 (M-G)(M+2G) / ((sqrt(2M(M+G)) + 2G) G sqrt M), and the rest is 2d/(sqrt M sqrt(M+d) (sqrt M + sqrt(M+d))).
    """
    xp = functions_of(determinant)
    A, B = 1 + a, 1 + b
    M, G = 1 + (a + b) / 2, xp.sqrt(A * B)
    root, full = xp.sqrt(M), xp.sqrt(M + determinant)
    spread = difference**2 / (4 * (M + G))
    apart = 2 * spread * (M + 2 * G) / ((xp.sqrt(2 * M * (M + G)) + 2 * G) * G * root)
    return apart + 2 * determinant / (root * full * (root + full))


def erf_dual(state: PairState) -> DualState:
    """One erf layer: V = (2/pi) arcsine.

    The new gap is the squared distance less the squared difference of norms, both exact to rounding; it can be
    negative by rounding of the former, where the features are nearly collinear.
    """
    kernel, scale = arcsine(state), 2 / math.pi
    a, b, difference = scale * kernel.a, scale * kernel.b, scale * kernel.difference
    gap = gap_of_distance(a, b, difference, scale * kernel.distance)
    return DualState(a, b, difference, gap, 4 / (math.pi * kernel.cosine))


def erf_slopes(state: PairState) -> SlopeState:
    """Vd = (4/pi)/sqrt(1 + 2(a+b) + 4(ab - c^2)); on the diagonal (4/pi)/sqrt(1+4a)."""
    xp = functions_of(state.gap)
    root_a, root_b = xp.sqrt(1 + 4 * state.a), xp.sqrt(1 + 4 * state.b)
    distance = inverse_root_distance(4 * state.a, 4 * state.b, 4 * state.difference, 4 * state.gap * state.cogap)
    difference = -4 * state.difference / (root_a * root_b * (root_a + root_b))
    scale = 4 / math.pi
    total = 1 / root_a + 1 / root_b + 2 / xp.sqrt(1 + 2 * (state.a + state.b) + 4 * state.gap * state.cogap)
    return SlopeState(scale / root_a, scale / root_b, *(scale * part for part in (difference, distance, total)))
