"""A number that carries a bound on its rounding error, so that a kernel can be run on it and its own error bound be judged.

First order, in units of u = 2^-53: every operation adds u of its result, a logarithm 2u, to what its operands bring in. Arrays of dtype
object pass it through NumPy's arithmetic; `RunningNumpy` stands in for the module `np` of a kernel that takes logarithms.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np


class Rounded:
    """`value`, wrong by at most `error` half-ulps of 1."""

    def __init__(self, value: float, error: float = 0.0) -> None:
        self.value, self.error = float(value), error

    def _sum(self, other: Any, sign: float) -> Rounded:
        other = rounded(other)
        value = self.value + sign * other.value
        return Rounded(value, self.error + other.error + abs(value))

    def __add__(self, other: Any) -> Rounded:
        return self._sum(other, 1.0)

    def __sub__(self, other: Any) -> Rounded:
        return self._sum(other, -1.0)

    def __rsub__(self, other: Any) -> Rounded:
        return rounded(other)._sum(self, -1.0)

    def __mul__(self, other: Any) -> Rounded:
        other = rounded(other)
        value = self.value * other.value
        return Rounded(value, abs(self.value) * other.error + abs(other.value) * self.error + abs(value))

    def __truediv__(self, other: Any) -> Rounded:
        other = rounded(other)
        value = self.value / other.value
        return Rounded(value, (self.error + abs(value) * other.error) / abs(other.value) + abs(value))

    def __rtruediv__(self, other: Any) -> Rounded:
        return rounded(other) / self

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Rounded:
        return Rounded(-self.value, self.error)

    def __abs__(self) -> Rounded:
        return Rounded(abs(self.value), self.error)

    def __lt__(self, other: Any) -> bool:
        return self.value < rounded(other).value

    def __gt__(self, other: Any) -> bool:
        return self.value > rounded(other).value

    def __le__(self, other: Any) -> bool:
        return self.value <= rounded(other).value

    def __ge__(self, other: Any) -> bool:
        return self.value >= rounded(other).value

    def log(self) -> Rounded:
        value = math.log(self.value)
        return Rounded(value, self.error / self.value + 2 * abs(value))

    def log1p(self) -> Rounded:
        value = math.log1p(self.value)
        return Rounded(value, self.error / (1 + self.value) + 2 * abs(value))


def rounded(x: Any) -> Rounded:
    return x if isinstance(x, Rounded) else Rounded(x)


def row(*values: float) -> np.ndarray:
    return np.array([Rounded(x) for x in values], dtype=object)


class RunningNumpy:
    """NumPy, whose logarithms take Rounded numbers too."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def log(self, x: np.ndarray) -> np.ndarray:
        return np.array([rounded(z).log() for z in x], dtype=object)

    def log1p(self, x: np.ndarray) -> np.ndarray:
        return np.array([rounded(z).log1p() for z in x], dtype=object)
