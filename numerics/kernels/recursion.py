"""The recursion of a fully connected network through its layers, from the coordinates of the first: K, T and their squared distances."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...theory.activations import Activation, Numerical
from .arrays import Matrix, functions_of, mirrored, require_finite
from .duals.table import activation_slopes, dual_activation, no_tangent_kernel
from .pairs import DualState, PairState, affine
from .quadrature import converged

Dual = Callable[[PairState], DualState]
Trained = Literal["all", "all but the readout bias", "readout", "hidden"]


@dataclass(frozen=True)
class Recursion:
    """A checked call: the coordinates of the first layer, the activation, sw, sb of the later layers, and whether both inputs are the same."""

    start: PairState
    activation: Activation | Numerical
    scales: tuple[tuple[float, float], ...]
    symmetric: bool = False

    def layers(self, function: Dual) -> Iterator[tuple[PairState, DualState, PairState, float, bool]]:
        """For each hidden layer: state below, dual, state above, sw, and whether the layer above is the readout."""
        state = self.start
        for index, (weight, bias) in enumerate(self.scales):
            dual = function(state)
            above = affine(dual, weight, bias)
            yield state, dual, above, weight, index == len(self.scales) - 1
            state = above

    def solve(self, compute: Callable[[Dual], tuple[Matrix, ...]]) -> tuple[tuple[Matrix, ...], float | None]:
        """`compute` with the closed form of the dual, or with quadrature to the accuracy asked for, and its error. Raises InvalidInput for
        what overflows."""
        with np.errstate(over="ignore", invalid="ignore"):  # reported as one typed error
            error: float | None
            activation, gap = self.activation, self.start.gap
            if isinstance(activation, Numerical):
                found, error = converged(activation, compute, len(gap) * gap.shape[1] * len(self.scales))
            else:
                found, error = compute(lambda state: dual_activation(activation, state)), None
        require_finite(*found)
        return tuple(mirrored(kernel) for kernel in found) if self.symmetric else found, error

    def nngp(self, function: Dual) -> tuple[Matrix]:
        """K of the output."""
        return ([above for _, _, above, _, _ in self.layers(function)][-1].nngp,)

    def kernels(self, function: Dual, trained: Trained) -> tuple[Matrix, Matrix]:
        """K and T of the output; T counts the parameters that are trained."""
        ntk = self.start.nngp
        for _, dual, above, weight, last in self.layers(function):
            nngp = above.nngp
            if trained == "readout":
                ntk = nngp
                continue
            if dual.derivative is None:
                raise no_tangent_kernel(self.activation)
            hidden = weight**2 * dual.derivative * ntk
            if not last or trained == "all":
                ntk = nngp + hidden
            else:
                ntk = hidden if trained == "hidden" else weight**2 * dual.value + hidden
        return nngp, ntk

    def distances(self, function: Dual) -> tuple[Matrix, Matrix]:
        """dK and dT: dT starts at dK and becomes dK' + sw^2 (Vd dT + (T(x,x)+T(y,y))/2 dVd + (Vd(x,x)-Vd(y,y)) (T(x,x)-T(y,y))/2) with
        dVd = Vd(x,x) + Vd(y,y) - 2 Vd. Where Vd and T have opposite signs, the sum of products is taken as it stands; where both are negative
        at the input, the same with sums of features in place of distances."""
        state, activation, xp = self.start, self.activation, functions_of(self.start.gap)
        assert not isinstance(activation, Numerical)
        a, b, difference, ntk = state.a, state.b, state.difference, state.nngp
        distance, total = state.squared_distance, state.squared_sum
        for below, dual, above, weight, _ in self.layers(function):
            slopes, w, vd = activation_slopes(activation, below), weight**2, dual.derivative
            assert vd is not None
            mixed = slopes.difference * difference / 2
            hidden = vd * distance + (a + b) / 2 * slopes.distance + mixed
            if below is self.start:
                hidden = xp.where(vd < 0, -vd * total + (a + b) / 2 * slopes.sum + mixed, hidden)
            hidden = xp.where(vd * ntk < 0, slopes.a * a + slopes.b * b - 2 * vd * ntk, hidden)
            distance, ntk = above.squared_distance + w * hidden, above.nngp + w * vd * ntk
            difference = above.difference + w * (
                (slopes.a + slopes.b) * difference / 2 + slopes.difference * (a + b) / 2
            )
            a, b, state = above.a + w * slopes.a * a, above.b + w * slopes.b * b, above
        return state.squared_distance, distance
