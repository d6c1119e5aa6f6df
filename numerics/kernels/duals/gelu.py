"""Dual activation of GELU, z Phi(z), on gap coordinates.

phi is z/2 plus the even function z erf(z/sqrt 2)/2, whose duals add: V = c/4 + V_e with
2 pi V_e = c G + 1/D + D (1 - r - s), D^2 = (1+a)(1+b) - c^2 = 1 + a + b + (ab - c^2), G = atan2(c, D),
r = 1/(1+a), s = 1/(1+b). V_e is even in c, so it is computed at x and y or -y, whichever is closer, with c >= 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..arrays import functions_of
from ..pairs import DualState, Matrix, PairState, SlopeState, gap_of_distance, ratio
from .erf import Arcsine, arcsine, inverse_root_distance

_TURN = 2 * math.pi


@dataclass(frozen=True)
class _Terms:
    """What value and slope share; `c` and `distance` (a + b - 2c) belong to the closer of x, y and x, -y.

    `ra`, `rb` = 1/(1+a), 1/(1+b); `qa`, `qb`, `q` = 1/D at (x,x), (y,y), (x,y); `ma`, `mb` = a qa, b qb. Names that end
    in `_d` are differences, value at x less value at y; `q_distance` = qa + qb - 2q.
    """

    angles: Arcsine
    c: Matrix
    distance: Matrix
    determinant: Matrix
    ra: Matrix
    rb: Matrix
    r_d: Matrix
    qa: Matrix
    qb: Matrix
    q: Matrix
    q_d: Matrix
    q_distance: Matrix
    ma: Matrix
    mb: Matrix
    m_d: Matrix


def gelu_dual(state: PairState) -> DualState:
    """One GELU layer. Closed form and cancellation-free form are derived in `iw.dual.gelu`.

    2 pi times the squared distance of the even features is, with c = (a + b - distance)/2 put into c G,

        distance G + (a+b)/2 [Ga + Gb - 2G] + (a-b)(Ga - Gb)/2 + [1/Da + 1/Db - 2/D] + (a-b)(Da - Db) r s
        - (1 - r - s) [2D - Da - Db]

    The last term is the only negative one; it takes at most the part sqrt(a+b) of the digits away.
    """
    t, xp = _terms(state), functions_of(state.gap)
    a, b, D = state.a, state.b, state.difference
    root_a, root_b = xp.sqrt(1 + 2 * a), xp.sqrt(1 + 2 * b)
    middle = xp.sqrt(1 + (a + b))
    root_d = 2 * D / (root_a + root_b)
    bulge = 2 * t.determinant / (middle + 1 / t.q) + root_d**2 / (root_a + root_b + 2 * middle)  # 2D - Da - Db
    gamma = xp.arctan2(t.c, 1 / t.q)
    even = (
        t.distance * gamma
        + (a + b) / 2 * t.angles.distance
        + D * t.angles.difference / 2
        + t.q_distance
        + D * root_d * (t.ra * t.rb)
        - (1 - (t.ra + t.rb)) * bulge
    )
    va, vb = (
        value * (0.25 + (angle + 2 * r * m) / _TURN)
        for value, angle, r, m in ((a, t.angles.a, t.ra, t.ma), (b, t.angles.b, t.rb, t.mb))
    )
    # a Ga + 2 r a ma has the difference of a product in each term
    difference = (
        D / 4
        + (
            D * (t.angles.a + t.angles.b) / 2
            + (a + b) / 2 * t.angles.difference
            - t.r_d * (t.ma + t.mb)
            + (a * t.ra + b * t.rb) * t.m_d
        )
        / _TURN
    )
    gap = gap_of_distance(va, vb, difference, state.squared_distance / 4 + even / _TURN)
    sign = xp.where(state.gap <= state.cogap, 1.0, -1.0)
    derivative = 0.25 + sign * (gamma + t.c * t.q * (t.q**2 + (t.ra + t.rb))) / _TURN
    return DualState(va, vb, difference, gap, derivative)


def gelu_slopes(state: PairState) -> SlopeState:
    """Vd = 1/4 + [G + c (1/D^3 + (r+s)/D)]/(2 pi): distances of G, of c/D^3 and of c (r+s)/D, each as a mild sum."""
    t, xp = _terms(state), functions_of(state.gap)
    a, b, D, q = state.a, state.b, state.difference, t.q
    rho, mean, half = t.ra + t.rb, (t.qa + t.qb) / 2, t.q_d / 2
    cubes = t.q_distance * (mean**2 + mean * q + q**2) + 6 * mean * half**2  # qa^3 + qb^3 - 2 q^3
    cube_d = t.q_d * (t.qa**2 + t.qb**2 + t.qa * t.qb)
    near = (
        t.angles.distance
        + (t.distance * q**3 + (a + b) / 2 * cubes + D * cube_d / 2)
        + rho * (t.distance * q + (a + b) / 2 * t.q_distance + D * t.q_d / 2)
        + t.r_d * t.m_d
    )
    ends = [angle + m * q_end**2 + 2 * r * m for angle, m, r, q_end in
            ((t.angles.a, t.ma, t.ra, t.qa), (t.angles.b, t.mb, t.rb, t.qb))]  # fmt: skip
    # Vd - 1/4 is odd in c: at -c distance and sum trade places, but for the constant
    far = ends[0] + ends[1] + 2 * (xp.arctan2(t.c, 1 / q) + t.c * q * (q**2 + rho))
    difference = (
        t.angles.difference
        + t.m_d * (t.qa**2 + t.qb**2) / 2
        + (t.ma + t.mb) * t.q_d * mean
        + t.r_d * (t.ma + t.mb)
        + rho * t.m_d
    )
    close = state.gap <= state.cogap
    distance, total = xp.where(close, near, far) / _TURN, 1 + xp.where(close, far, near) / _TURN
    return SlopeState(0.25 + ends[0] / _TURN, 0.25 + ends[1] / _TURN, difference / _TURN, distance, total)


def gelu_mean(variance: Matrix) -> Matrix:
    """E phi(z) = a / sqrt(2 pi (1+a)) for z of variance a."""
    return variance / functions_of(variance).sqrt(_TURN * (1 + variance))


def gelu_mean_difference(state: PairState) -> Matrix:
    """E phi(u) - E phi(v) without cancellation."""
    a, b, xp = state.a, state.b, functions_of(state.gap)
    root_a, root_b = xp.sqrt(1 + a), xp.sqrt(1 + b)
    top = state.difference * (a + b + a * b)
    return ratio(top, math.sqrt(_TURN) * (root_a * root_b) * (a * root_b + b * root_a))


def _terms(state: PairState) -> _Terms:
    a, b, D, xp = state.a, state.b, state.difference, functions_of(state.gap)
    near = state.folded()
    angles = arcsine(near.times(0.5))
    root_a, root_b = xp.sqrt(1 + 2 * a), xp.sqrt(1 + 2 * b)
    determinant = state.gap * state.cogap
    ra, rb = 1 / (1 + a), 1 / (1 + b)
    return _Terms(
        angles,
        c=(near.cogap - near.gap) / 2,
        distance=near.squared_distance,
        determinant=determinant,
        ra=ra,
        rb=rb,
        r_d=-D * (ra * rb),
        qa=1 / root_a,
        qb=1 / root_b,
        q=1 / angles.cosine,
        q_d=-2 * D / (root_a * root_b * (root_a + root_b)),
        q_distance=inverse_root_distance(2 * a, 2 * b, 2 * D, determinant),
        ma=a / root_a,
        mb=b / root_b,
        m_d=ratio(D * (a + b + 2 * a * b), root_a * root_b * (a * root_b + b * root_a)),
    )
