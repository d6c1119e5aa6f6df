"""Kernels of networks with residual blocks, layer normalisation and dropout, and of attention, in ball arithmetic.

References for the float64 kernels: the recursions on covariances themselves, with precision until the enclosures are narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Literal

from flint import arb, arb_mat, ctx

from ..architectures import Activate, Dense, Dropout, Layer, LayerNorm, Residual
from ..errors import InvalidInput, NumericalFailure
from .context import to_ball
from .dual_table import dual_of

_MAX_DIGITS = 1000
_NAMES = ("xx", "yy", "xy")
_Blocks = dict[str, tuple[arb, arb]]  # second moment and tangent kernel of (x,x), (y,y), (x,y)


def network_pair(x: Sequence[float], y: Sequence[float], *, layers: Sequence[Layer], digits: int = 50) -> list[arb]:
    """K(x,y), T(x,y), K(x,x), T(x,x) of two draws, inputs and scales at their exact values, to `digits` digits (absolute below 1).

    Source: `iw.residual`, `iw.layernorm`, `iw.dropout`. Raises NumericalFailure if the precision runs out.
    """
    u, v = ([Fraction(value) for value in row] for row in (x, y))

    def evaluate() -> list[arb]:
        pairs = {"xx": (u, u), "yy": (v, v), "xy": (u, v)}
        start = {
            name: (to_ball(sum((p * q for p, q in zip(*pair, strict=True)), Fraction(0)) / len(u)), arb(0))
            for name, pair in pairs.items()
        }
        found = _chain(start, layers, same=u == v)
        return [*found["xy"], *found["xx"]]

    return _narrow(evaluate, digits)


def _narrow(evaluate: Callable[[], list[arb]], digits: int) -> list[arb]:
    working = digits + 20
    while working <= _MAX_DIGITS:
        with ctx.workdps(working):
            found, width = evaluate(), arb(10) ** (-digits)
            if all(ball.is_finite() and ball.rad() <= width * max(arb(1), ball.abs_lower()) for ball in found):
                return found
        working *= 2
    raise NumericalFailure(f"The kernels could not be enclosed with {_MAX_DIGITS} digits.")


def _chain(blocks: _Blocks, layers: Sequence[Layer], same: bool) -> _Blocks:
    for layer in layers:
        if isinstance(layer, Residual):
            branch = _chain(blocks, layer.branch, same)
            blocks = {name: (blocks[name][0] + branch[name][0], blocks[name][1] + branch[name][1]) for name in _NAMES}
        else:
            # masks differ between equal inputs
            same = same and not isinstance(layer, Dropout)
            blocks = _layer(blocks, layer, same)
    return blocks


def _layer(blocks: _Blocks, layer: Layer, same: bool) -> _Blocks:
    a, b, c = (blocks[name][0] for name in _NAMES)
    match layer:
        case Dense():
            w, s = (to_ball(Fraction(scale)) ** 2 for scale in (layer.weight_scale, layer.bias_scale))
            return {name: (w * v + s, w * (v + t) + s) for name, (v, t) in blocks.items()}
        case Activate():
            dual = dual_of(layer.activation)
            discriminant = arb(0) if same else (a * b - c * c).nonnegative_part()
            found = {"xx": dual(a, a, a, arb(0)), "yy": dual(b, b, b, arb(0)), "xy": dual(a, b, c, discriminant)}
            moved = {}
            for name, (value, slope) in found.items():
                assert slope is not None
                moved[name] = (value, slope * blocks[name][1])
            return moved
        case LayerNorm():
            e = to_ball(Fraction(layer.epsilon))
            scales = {"xx": a + e, "yy": b + e, "xy": ((a + e) * (b + e)).sqrt()}
            return {name: (v / scales[name], t / scales[name]) for name, (v, t) in blocks.items()}
        case Dropout():
            keep = to_ball(Fraction(layer.keep_rate))
            return {name: (v, t) if name == "xy" else (v / keep, t / keep) for name, (v, t) in blocks.items()}
    raise InvalidInput(
        f"A {type(layer).__name__} has no reference here.", "Use the layers of nonvacuous.theory.architectures."
    )


def attention_entries(
    nngp_xx: Any,
    nngp_xy: Any,
    nngp_yy: Any,
    ntk_xy: Any,
    *,
    query_key_scale: float,
    output_value_scale: float,
    bias_scale: float,
    mechanism: Literal["softmax", "identity"],
    scaling: Literal["1/n", "1/sqrt(n)"],
    digits: int = 50,
) -> list[arb]:
    """K' and T' of one attention layer, row by row, from blocks of exact numbers. Source: `iw.attention`."""
    xx, xy, yy, below = (
        [[Fraction(float(v)) for v in row] for row in block] for block in (nngp_xx, nngp_xy, nngp_yy, ntk_xy)
    )

    def evaluate() -> list[arb]:
        qk, ov, sb = (to_ball(Fraction(scale)) for scale in (query_key_scale, output_value_scale, bias_scale))
        k, t = (arb_mat([[to_ball(v) for v in row] for row in block]) for block in (xy, below))
        rows, columns = k.nrows(), k.ncols()
        places = [(i, j) for i in range(rows) for j in range(columns)]
        if scaling == "1/sqrt(n)":
            square = sum((k[place] ** 2 for place in places), arb(0))
            mixed = sum((k[place] * t[place] for place in places), arb(0))
            scale = (qk * ov) ** 2
            values = [scale * square * k[place] for place in places]
            moved = [
                scale * (square * t[place] + 2 * mixed * k[place]) + 4 * v
                for place, v in zip(places, values, strict=True)
            ]
        else:
            left, right = (_weights(qk, block, mechanism) for block in (xx, yy))
            full, low = ov**2 * (left * k * right.transpose()), ov**2 * (left * t * right.transpose())
            values = [full[place] for place in places]
            moved = [low[place] + 2 * full[place] for place in places]
        return [*(v + sb**2 for v in values), *(v + sb**2 for v in moved)]

    return _narrow(evaluate, digits)


def _weights(scale: arb, block: list[list[Fraction]], mechanism: str) -> arb_mat:
    rows = [[scale * to_ball(v) for v in row] for row in block]
    if mechanism == "softmax":
        rows = [[v.exp() / sum((u.exp() for u in row), arb(0)) for v in row] for row in rows]
    return arb_mat(rows)
