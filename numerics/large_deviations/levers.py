"""Bounds on the inverse rate from what can be controlled: distance from initialisation and input gradients (pb.smooth_levers)."""

from __future__ import annotations

from ...theory.validation import finite, non_negative
from ..certified.outward import mul_up, sqrt_up
from .tails import InputGradient, ParameterNorm, sub_gamma_form


def distance_inverse_rate(lipschitz: float, distance: float, s: float) -> float:
    """M |theta - theta0| sqrt(2 s), rounded up: for a loss M-Lipschitz in theta and constant over examples at theta0.

    lipschitz: M >= 0; distance: |theta - theta0| >= 0; s >= 0 nats for each example. Raises `InvalidInput`.
    """
    d = float(non_negative("distance", finite("distance", distance, ndim=0)))
    return _gaussian(sub_gamma_form(ParameterNorm(lipschitz, mul_up(d, d)))[0], s)


def gradient_inverse_rate(constant: float, gradient: float, s: float, class_range: float = 0.0) -> float:
    """sqrt(2 (c G^2 + R^2/4) s), rounded up: inputs with log-Sobolev constant c given the label, |grad_x loss| <= G, class means of
    the loss within a range R (0 without labels). s >= 0 nats for each example. Raises `InvalidInput`.
    """
    g = float(non_negative("gradient", finite("gradient", gradient, ndim=0)))
    r = float(non_negative("class_range", finite("class_range", class_range, ndim=0)))
    return _gaussian(sub_gamma_form(InputGradient(constant, mul_up(g, g), mul_up(r, r)))[0], s)


def _gaussian(variance: float, s: float) -> float:
    return sqrt_up(mul_up(2 * variance, float(non_negative("s", finite("s", s, ndim=0)))))
