"""Dual activations by quadrature, on gap coordinates: for tanh, sigmoid, SiLU, softplus and your own functions.

In polar coordinates u = sqrt(a) r cos psi, v = sqrt(b) r cos(psi - t), with t the angle of the pair,

    E f(u, v) = (1/2 pi) int_0^{2 pi} dpsi int_0^inf r e^{-r^2/2} f(u, v) dr.

The trapezoidal rule in psi is exact to the last digits for smooth periodic integrands (one with a kink at 0 is broken
where u or v changes sign), Gauss-Legendre in r on [0, 12] for smooth f of polynomial growth (e^{-72} is left).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import expit

from ...theory.activations import Numerical, Quadrature
from ...theory.errors import InvalidInput, NumericalFailure
from .arrays import Matrix, block, functions_of, is_tensor, placed, require_finite
from .pairs import DualState, PairState, gap_of_distance

RADIUS = 12.0
LEVELS = ((32, 24), (64, 48), (128, 96), (256, 192), (512, 384))  # nodes in psi and in r
_EPS = float(np.finfo(np.float64).eps)
_BUDGET = 4e9  # function values of one level
_BLOCK = 1 << 20  # float64 entries of one block: 8 MiB

Function = Callable[[Any], Any]


def _sigmoid(z: Any) -> Any:
    return functions_of(z).special.expit(z) if is_tensor(z) else expit(z)


def _sigmoid_slope(z: Any) -> Any:
    return _sigmoid(z) * _sigmoid(-z)


def _softplus(z: Any) -> Any:
    return functions_of(z).logaddexp(z.new_zeros(()), z) if is_tensor(z) else np.logaddexp(0.0, z)


NAMED: dict[str, tuple[Function, Function]] = {
    "tanh": (lambda z: functions_of(z).tanh(z), lambda z: 4 * _sigmoid_slope(2 * z)),
    "sigmoid": (_sigmoid, _sigmoid_slope),
    "silu": (lambda z: z * _sigmoid(z), lambda z: _sigmoid(z) + z * _sigmoid_slope(z)),
    "softplus": (_softplus, _sigmoid),
}


def functions(activation: Numerical) -> tuple[Function, Function, bool]:
    """phi, phi' and whether phi has a kink at 0."""
    if isinstance(activation, Quadrature):
        return *NAMED[activation.name], False
    return activation.function, activation.derivative, activation.kink


def quadrature_dual(activation: Numerical, state: PairState, nodes: tuple[int, int]) -> DualState:
    """V and Vd of one layer with the given numbers of nodes in psi and r.

    The gap comes from E (phi(u) - phi(v))^2, so nearly equal inputs keep the digits of that difference. Raises
    InvalidInput where phi returns something other than finite numbers of its input's shape.
    """
    phi, slope, kink = functions(activation)
    radii, weights = _half_line(nodes[1])
    gauss = weights * np.exp(-(radii**2) / 2) / np.sqrt(2 * np.pi)
    xp = functions_of(state.gap)
    z, w = (placed(np.concatenate(halves), state.gap) for halves in ((radii, -radii), (gauss, gauss)))
    at_a, at_b = (_values(phi, xp.sqrt(v)[..., None] * z) for v in (state.a, state.b))
    a, b = at_a**2 @ w, at_b**2 @ w
    difference = xp.empty_like(state.gap)
    rows = max(1, block(state.gap, _BLOCK) // max(1, math.prod(at_b.shape)))
    for start in range(0, len(at_a), rows):
        left = at_a[start : start + rows]
        difference[start : start + rows] = ((left - at_b) * (left + at_b)) @ w
    distance, derivative = _plane(phi, slope, kink, state, nodes)
    return DualState(a, b, difference, gap_of_distance(a, b, difference, distance), derivative)


def converged(
    activation: Numerical, compute: Callable[[Callable[[PairState], DualState]], tuple[Matrix, ...]], pairs: int
) -> tuple[tuple[Matrix, ...], float]:
    """`compute` of the dual with more and more nodes, until its matrices change by at most the tolerance; with that change, relative to each
    matrix's largest entry.

    The change is an estimate of the finer result's error, no bound. For tanh, sigmoid, SiLU and softplus, which are analytic in a strip, the error
    falls geometrically once nodes are closer than the strip is wide, and the change is then far above it; before that, and for functions of
    one's own, both levels can agree and be wrong: a feature narrower than the distance of the nodes (about |x|/500 at the last level) that no
    node meets is not seen at all, whatever its weight. Nor does the estimate see the mass beyond r = 12 (e^-72, times the growth of phi).
    Raises NumericalFailure where the last level still changes by more.
    """
    before, change = None, np.inf
    for nodes in LEVELS:
        if nodes[0] * nodes[1] * pairs > _BUDGET:
            break
        found = compute(lambda state, nodes=nodes: quadrature_dual(activation, state, nodes))  # type: ignore[misc]  # a lambda with a default
        require_finite(*found)
        if before is not None:
            change = max(_change(new, old) for new, old in zip(found, before, strict=True))
            if change <= activation.tolerance:
                return found, change + 100 * _EPS
        before = found
    raise NumericalFailure(
        f"Quadrature of {activation} still changes by {change:.1e} with {nodes[0]} x {nodes[1]} nodes.",
        "Raise the tolerance, bring the inputs nearer to 1, or pass fewer pairs; a kink at 0 needs kink=True.",
    )


def _change(new: Matrix, old: Matrix) -> float:
    scale = float(abs(new).max())
    return float(abs(new - old).max()) / scale if scale else 0.0


@lru_cache
def _legendre(count: int) -> tuple[Matrix, Matrix]:
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return (nodes + 1) / 2, weights / 2


def _half_line(count: int) -> tuple[Matrix, Matrix]:
    nodes, weights = _legendre(count)
    return RADIUS * nodes, RADIUS * weights


def _values(function: Function, z: Matrix) -> Matrix:
    found: Any = _of_tensor(function, z) if is_tensor(z) else np.asarray(function(z), dtype=np.float64)
    if found.shape != z.shape or not functions_of(z).isfinite(found).all():
        raise InvalidInput(
            "The activation does not map finite arrays to finite arrays of their shape.",
            "Check function and derivative.",
        )
    return found


def _of_tensor(function: Function, z: Any) -> Any:
    """A user's function of a tensor. Raises InvalidInput where it was written for arrays."""
    try:
        found = function(z)
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise InvalidInput(
            f"The activation does not take tensors: {error}",
            "Write function and derivative with torch for a device, or leave out device.",
        ) from error
    if not is_tensor(found) or found.dtype != z.dtype or found.device != z.device:
        raise InvalidInput(
            "The activation does not give float64 tensors on the device of its argument.",
            "Write function and derivative with torch for a device, or leave out device.",
        )
    return found.detach()


def _plane(
    phi: Function, slope: Function, kink: bool, state: PairState, nodes: tuple[int, int]
) -> tuple[Matrix, Matrix]:
    """E (phi(u) - phi(v))^2 and E phi'(u) phi'(v), shape (n,m)."""
    xp = functions_of(state.gap)
    radii, weights = _half_line(nodes[1])
    radii, weights = (placed(v, state.gap) for v in (radii, weights * radii * np.exp(-(radii**2) / 2)))
    shape = state.gap.shape
    sizes = [xp.sqrt(xp.broadcast_to(v, shape)).ravel() for v in (state.a, state.b)]
    angle = xp.broadcast_to(state.angle, shape).ravel()
    distance, derivative = xp.empty_like(angle), xp.empty_like(angle)
    turns, shares = _angles(angle, nodes[0], kink)
    rows = max(1, block(angle, _BLOCK) // len(radii))
    for start in range(0, len(angle), rows):
        part = slice(start, start + rows)
        ra, rb = (size[part, None] * radii for size in sizes)
        far, near = xp.zeros_like(angle[part]), xp.zeros_like(angle[part])
        for psi, share in zip(turns[:, part], shares[:, part], strict=True):
            u, v = ra * xp.cos(psi)[:, None], rb * xp.cos(psi - angle[part])[:, None]
            far += share * ((_values(phi, u) - _values(phi, v)) ** 2 @ weights)
            near += share * ((_values(slope, u) * _values(slope, v)) @ weights)
        distance[part], derivative[part] = far, near
    return distance.reshape(shape), derivative.reshape(shape)


def _angles(angle: Matrix, count: int, kink: bool) -> tuple[Matrix, Matrix]:
    """Values of psi and their weights, (nodes, pairs), summing to 1 over the circle.

    With a kink: Gauss-Legendre between the zeros of cos psi and of cos(psi - t), at -pi/2, t - pi/2, pi/2, t + pi/2.
    """
    xp = functions_of(angle)
    if not kink:
        psi = placed(2 * np.pi * np.arange(count) / count, angle)
        turn = xp.broadcast_to(psi[:, None], (count, len(angle)))
        return turn, xp.broadcast_to(xp.full_like(psi, 1 / count)[:, None], turn.shape)
    nodes, weights = (placed(v, angle) for v in _legendre(count // 2))
    turns, shares = [], []
    quarter, none = np.pi / 2, xp.zeros_like(angle)
    for start, length in ((none - quarter, angle), (angle - quarter, np.pi - angle)):
        for half in (0.0, np.pi):
            turns.append(start + half + length * nodes[:, None])
            shares.append(length * weights[:, None] / (2 * np.pi))
    return xp.concatenate(turns), xp.concatenate(shares)
