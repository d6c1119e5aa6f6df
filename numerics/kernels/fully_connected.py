"""NNGP and NTK kernels of fully connected networks in the NTK parametrisation, exact to rounding at any separation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from ...theory.activations import Activation, Numerical, resolve
from ...theory.errors import InvalidInput
from ...theory.validation import finite, sample_size
from .duals.table import activation_slopes, dual_activation, no_tangent_kernel
from .pairs import DualState, Matrix, PairState, affine, input_state
from .quadrature import converged

Dual = Callable[[PairState], DualState]
Trained = Literal["all", "all but the readout bias", "readout", "hidden"]

_SMALLEST = 1e-150  # products of two squared norms must stay in float64's range


@dataclass(frozen=True)
class FullyConnectedKernels:
    """Gram matrices (n, m): `nngp` is the covariance of the output at initialisation, `ntk` the neural tangent kernel.

    `ntk - nngp` is the share of the hidden layers: with a trained Gaussian readout (weights and bias) the readout's
    share of the tangent kernel is the NNGP kernel itself (`iw.readout_split`). `error` estimates (no bound: see
    `quadrature.converged`) the largest error relative to the largest entry where integrals were done numerically; closed
    forms are exact to rounding (None).
    """

    nngp: Matrix
    ntk: Matrix
    error: float | None = None


@dataclass(frozen=True)
class FullyConnectedDistances:
    """k(x,x) + k(y,y) - 2 k(x,y) for the NNGP kernel and for the tangent kernel, (n, m), to all digits."""

    nngp: Matrix
    ntk: Matrix


@dataclass(frozen=True)
class _Problem:
    """A checked call: the coordinates of the first layer, the activation, and sw, sb of the later layers."""

    start: PairState
    activation: Activation | Numerical
    scales: tuple[tuple[float, float], ...]

    def layers(self, function: Dual) -> Iterator[tuple[PairState, DualState, PairState, float, bool]]:
        """For each hidden layer: state below, dual, state above, sw, and whether the layer above is the readout."""
        state = self.start
        for index, (weight, bias) in enumerate(self.scales):
            dual = function(state)
            above = affine(dual, weight, bias)
            yield state, dual, above, weight, index == len(self.scales) - 1
            state = above

    def solve(self, compute: Callable[[Dual], tuple[Matrix, ...]]) -> tuple[tuple[Matrix, ...], float | None]:
        """`compute` with the closed form of the dual, or with quadrature to the accuracy asked for, and its error."""
        with np.errstate(over="ignore", invalid="ignore"):  # reported as one typed error
            activation = self.activation
            if isinstance(activation, Numerical):
                return converged(activation, compute, self.start.gap.size * len(self.scales))
            found = compute(lambda state: dual_activation(activation, state))
        if not all(np.isfinite(kernel).all() for kernel in found):
            raise InvalidInput(
                "The kernels overflow float64.", "Bring inputs and scales nearer to 1 (inputs below 1e70)."
            )
        return found, None


def fully_connected_kernels(
    x: Any,
    y: Any = None,
    *,
    depth: int,
    activation: Activation | Numerical,
    weight_scale: float | Sequence[float],
    bias_scale: float | Sequence[float],
    trained: Trained = "all",
) -> FullyConnectedKernels:
    """Infinite-width kernels of `depth` hidden layers between the rows of x (n, d) and y (m, d); y = None means y = x.

    `K^1 = sw^2 x.y/d + sb^2`, `K' = sw^2 V(K) + sb^2`, `T^1 = K^1`, `T' = K' + sw^2 Vd(K) T` with the derivative
    factor at the layer below. `activation` is a name or a dataclass of `nonvacuous.theory.activations`; Quadrature and
    QuadratureOf stand for functions without a closed form.
    `weight_scale` and `bias_scale` are sw and sb: one number, or depth + 1 numbers with the readout last. `trained`
    says which parameters T counts: all; all but the readout bias (T less sb^2); the readout (T = K); or the hidden
    layers under a frozen readout (T - K). Only with "all" is T - K the hidden layers' share, which Bayesian random
    network distillation rests on. float64 only: float32 loses half the digits that this recursion exists to keep.
    Source: Jacot et al. 2018; Lee et al. 2018. Raises InvalidInput, also for squared norms outside 1e-150 to 1e150,
    AssumptionViolated for a tangent kernel through sign, NumericalFailure for a quadrature that misses its tolerance.
    """
    problem = _problem(x, y, depth, activation, weight_scale, bias_scale)
    if trained not in get_args(Trained):
        raise InvalidInput(f"trained is {trained!r}.", f"Use one of {', '.join(map(repr, get_args(Trained)))}.")
    (nngp, ntk), error = problem.solve(lambda dual: _kernels(problem, dual, trained))
    return FullyConnectedKernels(nngp, ntk, error)


def _kernels(problem: _Problem, function: Dual, trained: Trained) -> tuple[Matrix, Matrix]:
    ntk = problem.start.nngp
    for _, dual, above, weight, last in problem.layers(function):
        nngp = above.nngp
        if trained == "readout":
            ntk = nngp
            continue
        if dual.derivative is None:
            raise no_tangent_kernel(problem.activation)
        hidden = weight**2 * dual.derivative * ntk
        if not last or trained == "all":
            ntk = nngp + hidden
        else:
            ntk = hidden if trained == "hidden" else weight**2 * dual.value + hidden
    return nngp, ntk


def fully_connected_distances(x: Any, y: Any = None, **architecture: Any) -> FullyConnectedDistances:
    """Squared distances dK = K(x,x) + K(y,y) - 2 K(x,y) and dT of the features behind K and T, (n, m), without
    cancellation at any separation; arguments of `fully_connected_kernels` without `trained`.

    dT starts at dK and becomes dK' + sw^2 (Vd dT + (T(x,x)+T(y,y))/2 dVd + (Vd(x,x)-Vd(y,y)) (T(x,x)-T(y,y))/2) with
    dVd = Vd(x,x) + Vd(y,y) - 2 Vd (`iw.gap_propagation`, step 5, for any activation). Where Vd and T have opposite
    signs, the sum of products is taken as it stands; where both are negative at the input (even activations, nearly
    opposite inputs), the same with sums of features in place of distances. Raises as `fully_connected_kernels` does.
    Bias-free ReLU networks lose eps/separation of dT where inputs of different norm are collinear up to rounding.
    """
    problem = _problem(x, y, **_architecture(**architecture))
    if isinstance(problem.activation, Numerical):
        raise InvalidInput(
            "Distances need an activation with a closed form.", "Subtract the kernels, which are as exact as asked for."
        )
    found, _ = problem.solve(lambda dual: _distances(problem, dual))
    return FullyConnectedDistances(*found)


def _distances(problem: _Problem, function: Dual) -> tuple[Matrix, Matrix]:
    state, activation = problem.start, problem.activation
    assert not isinstance(activation, Numerical)
    a, b, difference, ntk = state.a, state.b, state.difference, state.nngp
    distance, total = state.squared_distance, state.squared_sum
    for below, dual, above, weight, _ in problem.layers(function):
        slopes, w, vd = activation_slopes(activation, below), weight**2, dual.derivative
        assert vd is not None
        mixed = slopes.difference * difference / 2
        hidden = vd * distance + (a + b) / 2 * slopes.distance + mixed
        if below is problem.start:
            hidden = np.where(vd < 0, -vd * total + (a + b) / 2 * slopes.sum + mixed, hidden)
        hidden = np.where(vd * ntk < 0, slopes.a * a + slopes.b * b - 2 * vd * ntk, hidden)
        distance, ntk = above.squared_distance + w * hidden, above.nngp + w * vd * ntk
        difference = above.difference + w * ((slopes.a + slopes.b) * difference / 2 + slopes.difference * (a + b) / 2)
        a, b, state = above.a + w * slopes.a * a, above.b + w * slopes.b * b, above
    return state.squared_distance, distance


def nngp_kernel(x: Any, y: Any = None, **architecture: Any) -> Matrix:
    """Covariance of the network's output at initialisation, (n, m); arguments of `fully_connected_kernels` without
    `trained`."""
    problem = _problem(x, y, **_architecture(**architecture))
    (nngp,), _ = problem.solve(lambda dual: ([above for _, _, above, _, _ in problem.layers(dual)][-1].nngp,))
    return nngp


def ntk_kernel(x: Any, y: Any = None, **architecture: Any) -> Matrix:
    """Neural tangent kernel of the infinitely wide network, (n, m); arguments of `fully_connected_kernels`."""
    return fully_connected_kernels(x, y, **architecture).ntk


def _architecture(
    *, depth: int, activation: Activation | Numerical, weight_scale: Any, bias_scale: Any
) -> dict[str, Any]:
    return {"depth": depth, "activation": activation, "weight_scale": weight_scale, "bias_scale": bias_scale}


def _problem(
    x: Any, y: Any, depth: int, activation: Activation | Numerical, weight_scale: Any, bias_scale: Any
) -> _Problem:
    left, right, sw, sb = checked_architecture(x, y, depth, activation, weight_scale, bias_scale)
    with np.errstate(over="ignore", invalid="ignore"):
        state = input_state(left, right, sw[0], sb[0])
    require_norms(state.a, state.b)
    return _Problem(state, activation, tuple(zip(sw[1:], sb[1:], strict=True)))


def layer_scales(name: str, value: float | Sequence[float], depth: int) -> tuple[float, ...]:
    """One scale per weight layer (depth + 1 of them, the readout last), each finite and not negative."""
    array = finite(name, value)
    if array.ndim > 1 or (array.ndim == 1 and array.shape[0] != depth + 1):
        raise InvalidInput(
            f"{name} has shape {array.shape}.", f"Pass one number or {depth + 1}: one per layer, readout last."
        )
    if (array < 0).any():
        raise InvalidInput(f"{name} is negative.", "Scales are standard deviations.")
    if name == "weight_scale" and (array == 0).any():
        raise InvalidInput("weight_scale contains 0.", "Such a layer ignores its input; remove it.")
    return tuple(float(entry) for entry in np.broadcast_to(array, (depth + 1,)))


def checked_scales(depth: int, weight_scale: Any, bias_scale: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """One sw and one sb per layer. Raises InvalidInput."""
    depth = sample_size("depth", depth)
    return layer_scales("weight_scale", weight_scale, depth), layer_scales("bias_scale", bias_scale, depth)


def _inputs(name: str, value: Any) -> Matrix:
    if getattr(value, "dtype", None) in (np.dtype(np.float32), np.dtype(np.float16)):
        raise InvalidInput(f"{name} is {value.dtype}.", "Kernels are computed in float64: pass float64 inputs.")
    array = finite(name, value, ndim=2)
    if not array.shape[0] or not array.shape[1]:
        raise InvalidInput(f"{name} has shape {array.shape}.", "Pass at least one row and one column.")
    return array


def checked_architecture(
    x: Any, y: Any, depth: int, activation: Activation | Numerical, weight_scale: Any, bias_scale: Any
) -> tuple[Matrix, Matrix, tuple[float, ...], tuple[float, ...]]:
    """Inputs as float64 (x twice for y = None) and one sw and sb per layer, of a known activation. Raises InvalidInput."""
    sw, sb = checked_scales(depth, weight_scale, bias_scale)
    if not isinstance(activation, Numerical):
        resolve(activation)
    left = _inputs("x", x)
    right = left if y is None else _inputs("y", y)
    if left.shape[1] != right.shape[1]:
        raise InvalidInput(f"x has {left.shape[1]} columns and y has {right.shape[1]}.", "Both need the same features.")
    return left, right, sw, sb


def require_norms(*norms: Matrix) -> None:
    """Refuse squared norms whose products leave float64's range from below. Raises InvalidInput."""
    if any(((values > 0) & (values < _SMALLEST)).any() for values in norms):
        raise InvalidInput("A squared norm of the first layer is below 1e-150.", "Bring inputs and scales nearer to 1.")


def kernels_from_state(
    state: PairState, activation: Activation, scales: tuple[tuple[float, float], ...], *, nngp_only: bool
) -> tuple[Matrix, Matrix]:
    """(nngp, ntk) of a tile whose first layer is `state`; with `nngp_only` the second is the first again."""
    problem = _Problem(state, activation, scales)
    return _kernels(problem, lambda s: dual_activation(activation, s), "readout" if nngp_only else "all")
