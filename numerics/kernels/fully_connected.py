"""NNGP and NTK kernels of fully connected networks in the NTK parametrisation, exact to rounding at any separation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args, overload

import numpy as np

from ...theory.activations import Activation, Numerical, resolve
from ...theory.errors import InvalidInput
from ...theory.validation import finite, sample_size
from .arrays import Matrix, checked_rows, chosen_device, is_tensor
from .pairs import input_state
from .recursion import Recursion, Trained

if TYPE_CHECKING:
    from torch import Tensor

    from .arrays import Device

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


@dataclass(frozen=True, eq=False)
class TorchKernels:
    """What belongs to the NNGP kernel and to the tangent kernel, (n, m) each, as float64 tensors on the device that computed them: Gram
    matrices or squared distances; `error` as in `FullyConnectedKernels`."""

    nngp: Tensor
    ntk: Tensor
    error: float | None = None


@dataclass(frozen=True)
class FullyConnectedDistances:
    """k(x,x) + k(y,y) - 2 k(x,y) for the NNGP kernel and for the tangent kernel, (n, m), to all digits."""

    nngp: Matrix
    ntk: Matrix


@overload
def fully_connected_kernels(
    x: Any,
    y: Any = None,
    *,
    depth: int,
    activation: Activation | Numerical,
    weight_scale: float | Sequence[float],
    bias_scale: float | Sequence[float],
    trained: Trained = "all",
    device: None = None,
) -> FullyConnectedKernels: ...
@overload
def fully_connected_kernels(
    x: Any,
    y: Any = None,
    *,
    depth: int,
    activation: Activation | Numerical,
    weight_scale: float | Sequence[float],
    bias_scale: float | Sequence[float],
    trained: Trained = "all",
    device: Device,
) -> TorchKernels: ...
def fully_connected_kernels(
    x: Any,
    y: Any = None,
    *,
    depth: int,
    activation: Activation | Numerical,
    weight_scale: float | Sequence[float],
    bias_scale: float | Sequence[float],
    trained: Trained = "all",
    device: Device | None = None,
) -> FullyConnectedKernels | TorchKernels:
    """Infinite-width kernels of `depth` hidden layers between the rows of x (n, d) and y (m, d); y = None means y = x.

    `K^1 = sw^2 x.y/d + sb^2`, `K' = sw^2 V(K) + sb^2`, `T^1 = K^1`, `T' = K' + sw^2 Vd(K) T` with the derivative
    factor at the layer below. `activation` is a name or a dataclass of `nonvacuous.theory.activations`; Quadrature and
    QuadratureOf stand for functions without a closed form.
    `weight_scale` and `bias_scale` are sw and sb: one number, or depth + 1 numbers with the readout last. `trained`
    says which parameters T counts: all; all but the readout bias (T less sb^2); the readout (T = K); or the hidden
    layers under a frozen readout (T - K). Only with "all" is T - K the hidden layers' share, which Bayesian random
    network distillation rests on. float64 only: float32 loses half the digits that this recursion exists to keep.
    `device`: None computes in NumPy; "cpu", "cuda" or "cuda:0" in torch there, by the same formulas, which gives `TorchKernels`, as a torch
    tensor for x or y does, on its own device (QuadratureOf then needs functions of tensors; no gradients are kept).
    Source: Jacot et al. 2018; Lee et al. 2018. Raises InvalidInput, also for squared norms outside 1e-150 to 1e150 and for a device that is
    not there, AssumptionViolated for a tangent kernel through sign, NumericalFailure for a quadrature that misses its tolerance, MissingExtra
    for a device without torch.
    """
    problem = _problem(x, y, depth, activation, weight_scale, bias_scale, device)
    if trained not in get_args(Trained):
        raise InvalidInput(f"trained is {trained!r}.", f"Use one of {', '.join(map(repr, get_args(Trained)))}.")
    (nngp, ntk), error = problem.solve(lambda dual: problem.kernels(dual, trained))
    return kernels_found(nngp, ntk, error)


def kernels_found(nngp: Matrix, ntk: Matrix, error: float | None = None) -> FullyConnectedKernels | TorchKernels:
    """The result that belongs to arrays, or to tensors."""
    found: Any = (nngp, ntk, error)
    return TorchKernels(*found) if is_tensor(nngp) else FullyConnectedKernels(*found)


@overload
def fully_connected_distances(
    x: Any, y: Any = None, *, device: None = None, **architecture: Any
) -> FullyConnectedDistances: ...
@overload
def fully_connected_distances(x: Any, y: Any = None, *, device: Device, **architecture: Any) -> TorchKernels: ...
def fully_connected_distances(
    x: Any, y: Any = None, *, device: Device | None = None, **architecture: Any
) -> FullyConnectedDistances | TorchKernels:
    """Squared distances dK = K(x,x) + K(y,y) - 2 K(x,y) and dT of the features behind K and T, (n, m), without
    cancellation at any separation; arguments of `fully_connected_kernels` without `trained`.

    dT starts at dK and becomes dK' + sw^2 (Vd dT + (T(x,x)+T(y,y))/2 dVd + (Vd(x,x)-Vd(y,y)) (T(x,x)-T(y,y))/2) with
    dVd = Vd(x,x) + Vd(y,y) - 2 Vd (`iw.gap_propagation`, step 5, for any activation). Where Vd and T have opposite
    signs, the sum of products is taken as it stands; where both are negative at the input (even activations, nearly
    opposite inputs), the same with sums of features in place of distances. Raises as `fully_connected_kernels` does.
    Bias-free ReLU networks lose eps/separation of dT where inputs of different norm are collinear up to rounding.
    """
    problem = _problem(x, y, **_architecture(**architecture), device=device)
    if isinstance(problem.activation, Numerical):
        raise InvalidInput(
            "Distances need an activation with a closed form.", "Subtract the kernels, which are as exact as asked for."
        )
    found: Any = problem.solve(problem.distances)[0]
    return TorchKernels(*found) if is_tensor(found[0]) else FullyConnectedDistances(*found)


@overload
def nngp_kernel(x: Any, y: Any = None, *, device: None = None, **architecture: Any) -> Matrix: ...
@overload
def nngp_kernel(x: Any, y: Any = None, *, device: Device, **architecture: Any) -> Tensor: ...
def nngp_kernel(x: Any, y: Any = None, *, device: Any = None, **architecture: Any) -> Any:
    """Covariance of the network's output at initialisation, (n, m); arguments of `fully_connected_kernels` without
    `trained`."""
    problem = _problem(x, y, **_architecture(**architecture), device=device)
    (nngp,), _ = problem.solve(problem.nngp)
    return nngp


@overload
def ntk_kernel(x: Any, y: Any = None, *, device: None = None, **architecture: Any) -> Matrix: ...
@overload
def ntk_kernel(x: Any, y: Any = None, *, device: Device, **architecture: Any) -> Tensor: ...
def ntk_kernel(x: Any, y: Any = None, *, device: Any = None, **architecture: Any) -> Any:
    """Neural tangent kernel of the infinitely wide network, (n, m); arguments of `fully_connected_kernels`."""
    return fully_connected_kernels(x, y, **architecture, device=device).ntk


def _architecture(
    *, depth: int, activation: Activation | Numerical, weight_scale: Any, bias_scale: Any
) -> dict[str, Any]:
    return {"depth": depth, "activation": activation, "weight_scale": weight_scale, "bias_scale": bias_scale}


def _problem(
    x: Any, y: Any, depth: int, activation: Activation | Numerical, weight_scale: Any, bias_scale: Any, device: Any
) -> Recursion:
    left, right, sw, sb = checked_architecture(x, y, depth, activation, weight_scale, bias_scale, device)
    with np.errstate(over="ignore", invalid="ignore"):
        state = input_state(left, right, sw[0], sb[0])
    require_norms(state.a, state.b)
    return Recursion(state, activation, tuple(zip(sw[1:], sb[1:], strict=True)), symmetric=y is None)


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


def checked_architecture(
    x: Any, y: Any, depth: int, activation: Activation | Numerical, weight_scale: Any, bias_scale: Any, device: Any
) -> tuple[Matrix, Matrix, tuple[float, ...], tuple[float, ...]]:
    """Inputs as float64 (x twice for y = None), tensors where a device or tensors are given, and one sw and sb per layer, of a known activation.
    Raises InvalidInput, and MissingExtra for a device without torch."""
    place = chosen_device(device, x, y)
    sw, sb = checked_scales(depth, weight_scale, bias_scale)
    if not isinstance(activation, Numerical):
        resolve(activation)
    left = checked_rows("x", x, place)
    right = left if y is None else checked_rows("y", y, place)
    if left.shape[1] != right.shape[1]:
        raise InvalidInput(f"x has {left.shape[1]} columns and y has {right.shape[1]}.", "Both need the same features.")
    return left, right, sw, sb


def require_norms(*norms: Matrix) -> None:
    """Refuse squared norms whose products leave float64's range from below. Raises InvalidInput."""
    if any(((values > 0) & (values < _SMALLEST)).any() for values in norms):
        raise InvalidInput("A squared norm of the first layer is below 1e-150.", "Bring inputs and scales nearer to 1.")
