"""NNGP and NTK of a convolutional network for one pair of small images, from the defining sums in ball arithmetic.

The reference for the float64 kernels: covariances themselves, position by position and offset by offset, and precision until
the enclosure is as narrow as asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from flint import arb, ctx

from ..activations import Activation
from ..errors import InvalidInput, NumericalFailure
from .context import to_ball
from .dual_table import Dual, dual_of

_MAX_DIGITS = 1000

Image = Sequence[Sequence[Sequence[float]]]  # height, width, channels
Place = tuple[int, int]
Table = dict[tuple[Place, Place], arb]


def convolutional_pair(
    x: Image,
    y: Image,
    *,
    filter_size: tuple[int, int],
    padding: Literal["zero", "circular"],
    readout: Literal["flatten", "average"],
    activation: Activation,
    weight_scale: Sequence[float | Fraction],
    bias_scale: Sequence[float | Fraction],
    digits: int = 50,
) -> tuple[arb, arb]:
    """K(x,y) and T(x,y), inputs taken at their exact values, to `digits` digits of sqrt(K(x,x) K(y,y)), sqrt(T(x,x) T(y,y)) or so:
    absolute width 10^-digits, or that many relative digits where the kernels are larger.

    `weight_scale`, `bias_scale`: one entry per layer, the readout last. Source: `iw.conv`, `iw.pool`. Raises InvalidInput for
    unequal shapes, NumericalFailure if the precision runs out.
    """
    shapes = {(len(image), len(image[0]), len(image[0][0])) for image in (x, y)}
    if len(shapes) != 1 or len(weight_scale) != len(bias_scale) or len(weight_scale) < 2:
        raise InvalidInput("Images differ in shape, or the scales in length.", "Two entries of scales at least.")
    height, width, _ = shapes.pop()
    geometry = _Geometry(height, width, filter_size, padding == "circular")
    scales = [(Fraction(w), Fraction(b)) for w, b in zip(weight_scale, bias_scale, strict=True)]
    exact = [[[[Fraction(v) for v in cell] for cell in row] for row in image] for image in (x, y)]
    working = digits + 20
    while working <= _MAX_DIGITS:
        with ctx.workdps(working):
            found = _network(exact[0], exact[1], geometry, dual_of(activation), scales, readout)
            width_ = arb(10) ** (-digits)
            if all(ball.is_finite() and ball.rad() <= width_ * max(arb(1), ball.abs_lower()) for ball in found):
                return found
        working *= 2
    raise NumericalFailure(f"The kernels could not be enclosed with {_MAX_DIGITS} digits.")


@dataclass(frozen=True)
class _Geometry:
    height: int
    width: int
    filter_size: tuple[int, int]
    circular: bool

    @property
    def places(self) -> list[Place]:
        return [(i, j) for i in range(self.height) for j in range(self.width)]

    @property
    def steps(self) -> list[Place]:
        rows, columns = (range(-((k - 1) // 2), k // 2 + 1) for k in self.filter_size)
        return [(i, j) for i in rows for j in columns]

    def step(self, place: Place, by: Place) -> Place | None:
        """Where a step leads, None beyond a border of zeros."""
        i, j = place[0] + by[0], place[1] + by[1]
        if self.circular:
            return i % self.height, j % self.width
        return (i, j) if 0 <= i < self.height and 0 <= j < self.width else None

    def mean(self, term: Callable[[Place, Place], Any], i: Place, j: Place, zero: Any) -> Any:
        """(1/q) sum_o term(i + o, j + o)."""
        total = zero
        for by in self.steps:
            left, right = self.step(i, by), self.step(j, by)
            if left is not None and right is not None:
                total = total + term(left, right)
        return total / len(self.steps)


def _network(
    x: Any, y: Any, geometry: _Geometry, dual: Dual, scales: list[tuple[Fraction, Fraction]], readout: str
) -> tuple[arb, arb]:
    images = {"xx": (x, x), "yy": (y, y), "xy": (x, y)}
    places = geometry.places
    pairs = {
        "xx": [(i, i) for i in places],
        "yy": [(i, i) for i in places],
        # equal positions move together, so the flattened readout needs no others
        "xy": [(i, j) for i in places for j in places if readout == "average" or i == j],
    }

    def inner(name: str, i: Place, j: Place) -> Fraction:
        left, right = images[name]
        u, v = left[i[0]][i[1]], right[j[0]][j[1]]
        return sum((p * q for p, q in zip(u, v, strict=True)), Fraction(0)) / len(u)

    weight, bias = scales[0]
    first = {
        name: {
            (i, j): weight**2 * geometry.mean(lambda p, q, n=name: inner(n, p, q), i, j, Fraction(0)) + bias**2  # type: ignore[misc]
            for i, j in pairs[name]
        }
        for name in pairs
    }
    kernels: dict[str, Table] = {name: {key: to_ball(v) for key, v in table.items()} for name, table in first.items()}
    tangent = dict(kernels["xy"])
    same = x == y
    discriminants: Table = {
        (i, j): to_ball(first["xx"][i, i] * first["yy"][j, j] - first["xy"][i, j] ** 2) for i, j in pairs["xy"]
    }
    for weight, bias in scales[1:-1]:
        w, s = to_ball(weight) ** 2, to_ball(bias) ** 2
        values, hidden = _features(kernels, tangent, discriminants, dual)

        def averaged(table: Table, i: Place, j: Place) -> Any:
            return geometry.mean(lambda p, q: table[p, q], i, j, arb(0))

        kernels = {
            name: {(i, j): w * averaged(values[name], i, j) + s for i, j in pairs[name]} for name in pairs
        }  # fmt: skip
        tangent = {(i, j): kernels["xy"][i, j] + w * averaged(hidden, i, j) for i, j in pairs["xy"]}
        discriminants = {
            (i, j): arb(0)
            if same and i == j
            else (kernels["xx"][i, i] * kernels["yy"][j, j] - kernels["xy"][i, j] ** 2).nonnegative_part()
            for i, j in pairs["xy"]
        }
    values, hidden = _features(kernels, tangent, discriminants, dual)
    w, s = to_ball(scales[-1][0]) ** 2, to_ball(scales[-1][1]) ** 2
    keys = [(i, i) for i in places] if readout == "flatten" else [(i, j) for i in places for j in places]
    count = len(places) ** (1 if readout == "flatten" else 2)
    nngp = w * sum((values["xy"][key] for key in keys), arb(0)) / count + s
    return nngp, nngp + w * sum((hidden[key] for key in keys), arb(0)) / count


def _features(
    kernels: dict[str, Table],
    tangent: Table,
    discriminants: Table,
    dual: Dual,
) -> tuple[dict[str, Table], Table]:
    """V of the three tables of covariances, and Vd T."""
    values: dict[str, Table] = {"xy": {}}
    for name in ("xx", "yy"):
        values[name] = {key: dual(a, a, a, arb(0))[0] for key, a in kernels[name].items()}
    hidden = {}
    for (i, j), c in kernels["xy"].items():
        value, slope = dual(kernels["xx"][i, i], kernels["yy"][j, j], c, discriminants[i, j])
        assert slope is not None
        values["xy"][i, j], hidden[i, j] = value, slope * tangent[i, j]
    return values, hidden
