"""Exact means over networks with signs for weights, and the symmetry of max(z,0) under a flipped unit."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import Any

import sympy

Cases = Iterator[tuple[str, Fraction, str, Fraction]]


def any_number_of_units() -> Cases:
    """Units with signs for weights, two inputs, exact means over all networks of 1, 2 and 3 units: they do not depend on n."""
    x, y = (2, 1), (1, -2)
    units = []
    for w1, w2, v in product((-1, 1), repeat=3):
        z = [w1 * p[0] + w2 * p[1] for p in (x, y)]
        phi, slope = [max(value, 0) for value in z], [int(value > 0) for value in z]
        inner = x[0] * y[0] + x[1] * y[1] + 1
        units.append((phi[0] * phi[1], v * v * slope[0] * slope[1] * inner))
    for n in (1, 2, 3):
        networks = list(product(units, repeat=n))
        for index, name in ((0, "K"), (1, "T - K")):
            total = sum((Fraction(sum(unit[index] for unit in network), n) for network in networks), Fraction(0))
            one = Fraction(sum(unit[index] for unit in units), len(units))
            yield f"{name}, {n} units", total / len(networks), "==", one


def flipped_unit() -> list[tuple[Any, Any]]:
    """max(z,0)^2 + max(-z,0)^2 = z^2 and 1[z>0] + 1[-z>0] = 1, away from 0; so each mean is half of the quadratic form's."""
    z = sympy.symbols("z", positive=True)
    pairs = [(sympy.Max(s * z, 0) ** 2 + sympy.Max(-s * z, 0) ** 2, z**2) for s in (1, -1)]
    masks = [(sympy.Heaviside(s * z) + sympy.Heaviside(-s * z), sympy.Integer(1)) for s in (1, -1)]
    return [*pairs, *masks]


def all_signs() -> Cases:
    """Two hidden layers of two units, one input, weights and biases all signs: the mean of T_0(x,x) over 4096 networks is the recursion's."""
    first, second = Fraction(1, 2), Fraction(1, 3)  # bias scales; no pre-activation is 0
    total = Fraction(0)
    signs = (-1, 1)
    for w1, b1 in product(product(signs, repeat=2), repeat=2):
        z1 = [w + first * b for w, b in zip(w1, b1, strict=True)]
        h1, m1 = [max(z, Fraction(0)) for z in z1], [int(z > 0) for z in z1]
        k1 = 1 + first**2
        k2 = h1[0] ** 2 + h1[1] ** 2 + second**2
        for w2, b2, w3 in product(product(signs, repeat=4), product(signs, repeat=2), product(signs, repeat=2)):
            z2 = [w2[2 * i] * h1[0] + w2[2 * i + 1] * h1[1] + second * b2[i] for i in range(2)]
            delta2 = [w3[i] * int(z2[i] > 0) for i in range(2)]
            delta1 = [m1[j] * sum(w2[2 * i + j] * delta2[i] for i in range(2)) for j in range(2)]
            total += sum(max(z, Fraction(0)) ** 2 for z in z2) + k2 * (delta2[0] ** 2 + delta2[1] ** 2)
            total += k1 * (delta1[0] ** 2 + delta1[1] ** 2)
    kernel = tangent = 1 + first**2  # factors of the weights are 1: sw^2 = 2 for two units
    for bias in (second**2, Fraction(0)):
        kernel = 2 * kernel / 2 + bias
        tangent = kernel + 2 * tangent / 2
    yield "mean over all signs", total / 4096, "==", tangent
