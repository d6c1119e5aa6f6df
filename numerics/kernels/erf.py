"""Dual activation of erf on gap coordinates.

V = (2/pi) arcsin(2c/S), Vd = (4/pi)/sqrt(S^2 - 4c^2), S^2 = (1+2a)(1+2b).
"""

from __future__ import annotations

import numpy as np

from .pairs import DualState, PairState, ratio


def erf_dual(state: PairState) -> DualState:
    """One erf layer. Source: Williams 1997 (the arcsine kernel); the cancellation-free form below is derived here.

    Write V(x,x) = (2/pi) al, V(y,y) = (2/pi) be, V(x,y) = (2/pi) ga with sin al = 1 - 1/A, A = 1+2a (likewise be, B)
    and sin ga = 2c/S, S = sqrt(AB). With m = (al+be)/2 and h = (al-be)/2 the squared distance of the features is
    (4/pi)(m - ga), and tan((m-ga)/2) = (sin m - sin ga)/(cos m + cos ga), whose numerator has no negative term:

        2 gap/S + 2 D^2 (1+e+Z) / (S^2 (ra+rb)^2 (sqrt A + sqrt B)^2) + (4ab + a + b) 2 sin(h/2)^2 / (S^2 cos h)

    with ra = sqrt a, rb = sqrt b, p = ra rb, D = a - b, e = S - 2p = (1+2(a+b))/(S+2p) and
    Z = a + b - 2pe = 2 D^2/((S+2p)^2 - 1).

    The new gap is the squared distance less the squared difference of norms, both exact to rounding; it can be
    negative by rounding of the former, where the features are nearly collinear.
    """
    a, b, difference, gap, p = state.a, state.b, state.difference, state.gap, state.scale
    total = a + b
    A, B = 1 + 2 * a, 1 + 2 * b
    S = np.sqrt(A * B)
    discriminant = np.sqrt(1 + 2 * total + 4 * gap * (2 * p - gap))  # sqrt(AB - 4c^2) = S cos(gamma)

    tan_a, tan_b = 2 * a / np.sqrt(1 + 4 * a), 2 * b / np.sqrt(1 + 4 * b)
    tan_difference = ratio(4 * difference * (total + 4 * p * p), (1 + 4 * a) * (1 + 4 * b) * (tan_a + tan_b))
    h = np.arctan2(tan_difference, 1 + tan_a * tan_b) / 2
    alpha, beta = np.arctan(tan_a), np.arctan(tan_b)

    e = (1 + 2 * total) / (S + 2 * p)
    Z = ratio(2 * difference**2, (S + 2 * p) ** 2 - 1)
    root_difference = ratio(difference, np.sqrt(a) + np.sqrt(b))
    sine_difference = (
        2 * gap / S
        + 2 * root_difference**2 * (1 + e + Z) / (A * B * (np.sqrt(A) + np.sqrt(B)) ** 2)
        + (4 * p * p + total) * 2 * np.sin(h / 2) ** 2 / (A * B * np.cos(h))
    )
    cosine_sum = (np.sqrt(1 + 4 * a) / A + np.sqrt(1 + 4 * b) / B) / (2 * np.cos(h)) + discriminant / S
    squared_distance = 8 / np.pi * np.arctan2(sine_difference, cosine_sum)

    norm_difference = ratio(np.sqrt(2 / np.pi) * 2 * h, np.sqrt(alpha) + np.sqrt(beta))
    return DualState(
        2 / np.pi * alpha,
        2 / np.pi * beta,
        4 / np.pi * h,
        np.where(p == 0, 0.0, (squared_distance - norm_difference**2) / 2),
        4 / (np.pi * discriminant),
    )
