"""The table of dual activations, and what scaling and adding a constant do to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from ....theory.activations import ABRelu, Activation, Scaled, resolve
from ....theory.errors import AssumptionViolated
from ..arrays import functions_of
from ..pairs import DualState, Matrix, PairState, SlopeState, gap_of_distance, ratio
from . import erf, gelu, rectified, sine


@dataclass(frozen=True)
class Family:
    """Functions of (activation, state): `dual`, `slopes` (None: infinite on the diagonal), and for E phi(z), z of variance a
    or b, `means` = (at x, at y, difference)."""

    dual: Callable[[Any, PairState], DualState]
    slopes: Callable[[Any, PairState], SlopeState] | None
    means: Callable[[Any, PairState], tuple[Matrix, Matrix, Matrix]]


def _centred(activation: Any, state: PairState) -> tuple[Matrix, Matrix, Matrix]:
    xp = functions_of(state.gap)
    return xp.zeros_like(state.a), xp.zeros_like(state.b), xp.zeros_like(state.gap)


def _abrelu_means(activation: ABRelu, state: PairState) -> tuple[Matrix, Matrix, Matrix]:
    xp = functions_of(state.gap)
    mu = rectified.abrelu_mean(activation)
    return mu * xp.sqrt(state.a), mu * xp.sqrt(state.b), mu * state.root_difference


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "identity": Family(
            lambda _, s: rectified.identity_dual(s), lambda _, s: rectified.identity_slopes(s), _centred
        ),
        "abrelu": Family(rectified.abrelu_dual, rectified.abrelu_slopes, _abrelu_means),
        "sign": Family(lambda _, s: rectified.sign_dual(s), None, _centred),
        "erf": Family(lambda _, s: erf.erf_dual(s), lambda _, s: erf.erf_slopes(s), _centred),
        "gelu": Family(
            lambda _, s: gelu.gelu_dual(s),
            lambda _, s: gelu.gelu_slopes(s),
            lambda _, s: (gelu.gelu_mean(s.a), gelu.gelu_mean(s.b), gelu.gelu_mean_difference(s)),
        ),
        "sine": Family(
            sine.sine_dual,
            sine.sine_slopes,
            lambda f, s: (sine.sine_mean(f, s.a), sine.sine_mean(f, s.b), sine.sine_mean_difference(f, s)),
        ),
        "rbf": Family(
            sine.rbf_dual,
            sine.rbf_slopes,
            lambda f, s: (sine.rbf_mean(f, s.a), sine.rbf_mean(f, s.b), sine.rbf_mean_difference(f, s)),
        ),
    }
)


def family(activation: Activation) -> tuple[Family, Any]:
    """The row of the table for an activation (not `Scaled`) and its parameters."""
    found = resolve(activation)
    kind = found if isinstance(found, str) else found.kind
    return FAMILIES["sine" if kind == "cosine" else kind], found


def dual_activation(activation: Activation, state: PairState) -> DualState:
    """V = E phi(u) phi(v) and Vd = E phi'(u) phi'(v) for all pairs of a state, without cancellation at any separation.

    Raises InvalidInput for an activation without a closed form.
    """
    if isinstance(activation, Scaled):
        return _scaled(activation, state)
    row, parameters = family(activation)
    return row.dual(parameters, state)


def activation_slopes(activation: Activation, state: PairState) -> SlopeState:
    """Vd on the diagonals, with differences and distances that keep their digits.

    Raises AssumptionViolated for sign, whose Vd is infinite on the diagonal.
    """
    if isinstance(activation, Scaled):
        slopes = activation_slopes(activation.base, state.times(activation.inner**2))
        factor = (activation.outer * activation.inner) ** 2
        return SlopeState(*(factor * part for part in vars(slopes).values()))
    row, parameters = family(activation)
    if row.slopes is None:
        raise no_tangent_kernel(activation)
    return row.slopes(parameters, state)


def no_tangent_kernel(activation: Any) -> AssumptionViolated:
    """The error for an activation whose derivative has no second moment."""
    return AssumptionViolated(
        f"There is no tangent kernel through {activation!r}: dV/dc = 2/(pi sqrt(ab - c^2)) is infinite on the diagonal.",
        "Ask for the NNGP kernel (nngp_kernel), train the readout alone, or use a smooth activation such as erf.",
    )


def _scaled(activation: Scaled, state: PairState) -> DualState:
    """outer base(inner z) + constant: V -> outer^2 V(inner^2 .) + k (E phi(u) + E phi(v)) + k^2, with unchanged distances."""
    inner = state.times(activation.inner**2)
    row, parameters = family(activation.base)
    dual, power = row.dual(parameters, inner), activation.outer**2
    derivative = None if dual.derivative is None else power * activation.inner**2 * dual.derivative
    cogap = None if dual.known_cogap is None else power * dual.known_cogap
    scaled = DualState(power * dual.a, power * dual.b, power * dual.difference, power * dual.gap, derivative, cogap)
    k = activation.constant
    if k == 0:
        return scaled
    mean_a, mean_b, mean_difference = (activation.outer * mean for mean in row.means(parameters, inner))
    a, b = (v + k * (2 * mean + k) for v, mean in ((scaled.a, mean_a), (scaled.b, mean_b)))
    difference = scaled.difference + 2 * k * mean_difference
    if isinstance(parameters, ABRelu):  # means proportional to norms: the gap grows as through a bias
        xp = functions_of(state.gap)
        slope = (activation.outer * rectified.abrelu_mean(parameters)) ** 2
        total = power * (parameters.negative**2 + parameters.positive**2) / 2
        inside = total * inner.scale + k * (mean_a + mean_b) + k**2
        cross = (total - slope) * (k * inner.root_difference) ** 2
        outside = xp.sqrt(a * b)
        bent = xp.where(inside >= 0, ratio(cross, outside + abs(inside)), outside - inside)
        return replace(scaled, a=a, b=b, difference=difference, gap=scaled.gap + bent, known_cogap=None)
    gap = gap_of_distance(a, b, difference, scaled.squared_distance)
    return replace(scaled, a=a, b=b, difference=difference, gap=gap, known_cogap=None)
