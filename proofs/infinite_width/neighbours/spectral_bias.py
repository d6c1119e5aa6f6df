"""Spectral bias: a mode of T_XX decays at its eigenvalue, and one hidden ReLU layer has no odd degree above 1 on the sphere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import scipy.linalg
import sympy
from flint import arb
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Enclosures, Formula, Inequality
from ....numerics.kernel_regression.spectral import relu_ntk_profile, residual_modes, zonal_spectrum
from ....numerics.kernels.fully_connected import ntk_kernel
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import FUNK_HECKE, ODE, SPECTRAL
from ....theory.balls.zonal import (
    gegenbauer_coefficients,
    one_layer_eigenvalue,
    power_moment,
    projection,
    two_layer_lower,
)
from ....theory.derivation import Algebra, Axiom, Enumeration
from ....theory.errors import InvalidInput
from ....theory.statements.infinite_width.neighbours import SPECTRAL_BIAS
from ....theory.validation import finite
from ...result import ByBudget, Check, Control, Result

UNIT = 2.0**-53
Cases = Iterator[tuple[str, Fraction, str, Fraction]]


@dataclass(frozen=True, eq=False)
class SpectralSetting:
    """Sphere in R^dimension and a ReLU network of `depth` layers, degrees 0..K; T_XX (N, N), residual (N,) and a time (sum loss)."""

    dimension: int
    depth: int
    degrees: int
    ntk: Float[np.ndarray, "n n"]
    residual: Float[np.ndarray, " n"]
    time_sum_loss: float

    def __post_init__(self) -> None:
        ntk, residual = finite("ntk", self.ntk, ndim=2), finite("residual", self.residual, ndim=1)
        if ntk.shape != (len(residual), len(residual)) or self.time_sum_loss < 0:
            raise InvalidInput(f"ntk has shape {ntk.shape} for {len(residual)} residuals, time {self.time_sum_loss}.")
        if self.dimension < 2 or self.depth < 1 or self.degrees < 0:
            raise InvalidInput("dimension, depth or degrees is out of range.")


@dataclass(frozen=True)
class SpectralPrediction:
    """Eigenvalue of each degree on the sphere (K+1,), and the residual f_t - y at the setting's time (N,)."""

    spectrum: Float[np.ndarray, " degrees"]
    residual: Float[np.ndarray, " n"]


# --- derivation ---------------------------------------------------------------------------------------------------


def flow_of_one_mode() -> list[tuple[Any, Any]]:
    """r' = -h r is solved by r0 e^{-ht}."""
    t, h, r0 = sympy.symbols("t h r0", positive=True)
    component = r0 * sympy.exp(-h * t)
    return [(component.diff(t), -h * component), (component.subs(t, 0), r0)]


def odd_part() -> list[tuple[Any, Any]]:
    """T(a) - T(pi - a) = 2 cos a for one hidden layer, so its odd part in t = cos a is t."""
    a = sympy.symbols("a", positive=True)
    kernel = (2 * (sympy.pi - a) * sympy.cos(a) + sympy.sin(a)) / sympy.pi
    return [(sympy.expand_trig(kernel - kernel.subs(a, sympy.pi - a)), 2 * sympy.cos(a))]


def orthogonality() -> Cases:
    """E t P_k(t) = 0 for k = 3, 5, 7, and E P_j P_k = 0 for j < k <= 7, in dimensions 2 to 5."""
    for d in range(2, 6):
        for k in range(2, 8):
            yield f"d = {d}, k = {k}: t", projection(d, 1, k), "==", Fraction(0)
            for j in range(k):
                rows = gegenbauer_coefficients(d, j), gegenbauer_coefficients(d, k)
                inner = sum(
                    (p * q * power_moment(d, a + b) for a, p in enumerate(rows[0]) for b, q in enumerate(rows[1])),
                    Fraction(0),
                )
                yield f"d = {d}: {j}, {k}", inner, "==", Fraction(0)


def powers_are_positive() -> Cases:
    """E t^j P_k > 0 for j >= k of the same parity (j, k <= 12), 0 otherwise."""
    for d in range(2, 6):
        for k in range(9):
            for j in range(13):
                share = projection(d, j, k)
                if j >= k and (j - k) % 2 == 0:
                    yield f"d = {d}, t^{j} on {k}", Fraction(1, 10**9), "<=", share
                else:
                    yield f"d = {d}, t^{j} on {k}", share, "==", Fraction(0)


def series_of_a_layer() -> list[tuple[Any, Any]]:
    """K(t) = [sqrt(1-t^2) + (pi/2 + asin t) t]/pi has derivative (pi/2 + asin t)/pi and K(0) = 1/pi; asin' = (1-t^2)^(-1/2)."""
    t = sympy.symbols("t", positive=True)
    kernel = (sympy.sqrt(1 - t**2) + (sympy.pi / 2 + sympy.asin(t)) * t) / sympy.pi
    slope = (sympy.pi / 2 + sympy.asin(t)) / sympy.pi
    return [
        (kernel.diff(t), slope),
        (kernel.subs(t, 0), 1 / sympy.pi),
        (slope.diff(t), 1 / (sympy.pi * sympy.sqrt(1 - t**2))),
    ]


DERIVATION = (
    Axiom(SPECTRAL, "T_XX is diagonal in an orthonormal basis"),
    Axiom(ODE, "f_t(X) - y = e^{-t T_XX} (f_0(X) - y)"),
    Algebra("so each component decays at its own eigenvalue", flow_of_one_mode),
    Axiom(FUNK_HECKE, "on the sphere the eigenfunctions are harmonics, with eigenvalue E T P_k"),
    Algebra("one hidden layer: the odd part of T is t", odd_part, (("a", 0.1, 3),)),
    Enumeration("which is P_1, orthogonal to all other degrees: no odd degree above 1", orthogonality),
    Algebra("a layer's power series is 1/pi + t/2 + (1/pi) int asin, and asin's slope is (1-t^2)^(-1/2): no coefficient is negative", series_of_a_layer, (("t", 0, 1),)),
    Enumeration("a power t^j adds to degrees k <= j of its parity, and to no other", powers_are_positive),
    Axiom(FUNK_HECKE, "two layers: a series in 1/pi + t/2 + t^2/(2 pi) + .. with positive coefficients holds every power, so every degree is positive"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def spectrum(s: SpectralSetting) -> np.ndarray:
    return zonal_spectrum(profile=relu_ntk_profile(depth=s.depth), dimension=s.dimension, degrees=s.degrees).eigenvalues


def predict(s: SpectralSetting) -> SpectralPrediction:
    modes = residual_modes(ntk=s.ntk, residual=s.residual, time_sum_loss=s.time_sum_loss)
    vectors = np.linalg.eigh((s.ntk + s.ntk.T) / 2)[1]
    return SpectralPrediction(spectrum(s), vectors @ modes.now[0])


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> SpectralSetting:
    return SpectralSetting(int(rng.integers(2, 7)), 1, int(rng.integers(1, 8)), np.eye(1), np.ones(1), 0.0)


def exact(s: SpectralSetting) -> list[arb]:
    return [one_layer_eigenvalue(s.dimension, k) for k in range(s.degrees + 1)]


def width(s: SpectralSetting) -> np.ndarray:
    """A mean of T P_k, at most 2, over 128 nodes of positive weight: (128 + 10 (k + d)) u each way; relative where it is not 0."""
    absolute = 2 * (128 + 10 * (s.degrees + s.dimension)) * 2 * UNIT
    found = spectrum(s)
    vanishing = (np.arange(s.degrees + 1) % 2 == 1) & (np.arange(s.degrees + 1) > 1)
    return absolute / np.where(vanishing, 1.0, np.abs(found))


FORMULA = Formula(expression=exact, shipped=spectrum, read=lambda p: p.spectrum, sample=sample, width=width, count=12)


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=function)}


def _other(s: SpectralSetting, *, profile: Any = None, dimension: int = 0) -> np.ndarray:
    chosen = profile or relu_ntk_profile(depth=s.depth)
    return zonal_spectrum(profile=chosen, dimension=s.dimension + dimension, degrees=s.degrees).eigenvalues


def readout_alone(angle: np.ndarray) -> np.ndarray:
    return np.asarray((np.sin(angle) + (np.pi - angle) * np.cos(angle)) / np.pi)


def compare_flow(s: SpectralSetting, p: SpectralPrediction, rows: Rows, *, rate: float = 1.0) -> Comparison:
    """The matrix exponential of the flow; backward stable to its norm times h u."""
    flow = scipy.linalg.expm(-rate * s.time_sum_loss * s.ntk)
    observed = flow @ s.residual
    scale = float(np.linalg.norm(s.residual))
    doubt = 40 * len(s.residual) * UNIT * (1 + s.time_sum_loss * float(np.linalg.norm(s.ntk, 2))) * scale
    return Comparison(observed, p.residual, np.full_like(observed, doubt), scale)


def compare_profile(s: SpectralSetting, p: Any, rows: Rows, *, layers: int = 0, scale: float = 1.0) -> Comparison:
    """The shipped tangent kernel on the unit sphere, first layer without its 1/d, from far apart to 1e-9 apart."""
    angles = np.array([1e-9, 1e-4, 0.1, 1.0, 2.0, 3.0, np.pi])
    x = np.array([[1.0, 0.0]])
    y = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    scales = (scale * np.sqrt(2), *(np.sqrt(2),) * (s.depth + layers))
    found = ntk_kernel(x, y, depth=s.depth + layers, activation="relu", weight_scale=scales, bias_scale=0.0)[0]
    expected = relu_ntk_profile(depth=s.depth)(angles)
    return Comparison(found, expected, np.full_like(found, 100 * (s.depth + 1) * UNIT), 1.0)


def compare_two_layers(s: SpectralSetting, p: Any, rows: Rows, *, depth: int = 2) -> Enclosures:
    """Degrees 0..8 less half of their lower bounds from power series: positive, as the lower bounds are; d = 2, 3, 5."""
    low = []
    for dimension in (2, 3, 5):
        found = zonal_spectrum(profile=relu_ntk_profile(depth=depth), dimension=dimension, degrees=8)
        lower = np.array([float(value) for value in two_layer_lower(dimension, 8)])
        low += (found.eigenvalues - found.error - lower / 2).tolist() + lower.tolist() + (lower - 1e-8).tolist()
    return Enclosures(np.array(low), np.array(low))


def _example() -> SpectralSetting:
    x = generator(0, "circle").normal(size=(6, 2))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    ntk = ntk_kernel(x, depth=2, activation="relu", weight_scale=1.5, bias_scale=0.3)
    return SpectralSetting(3, 1, 7, (ntk + ntk.T) / 2, np.sin(3 * x[:, 0]), 2.0)


EXAMPLE = _example()
ONE = ByBudget(quick=(EXAMPLE,))

CHECKS = (
    Check(
        "shipped spectrum of one hidden layer",
        FORMULA,
        controls=(
            Control("readout trained alone", _mutant(lambda s: _other(s, profile=readout_alone))),
            Control("weight of the next dimension", _mutant(lambda s: _other(s, dimension=1))),
            Control("two hidden layers", _mutant(lambda s: _other(s, profile=relu_ntk_profile(depth=2)))),
            Control("odd degrees of size 1e-10", _mutant(lambda s: spectrum(s) + 1e-10)),
        ),
    ),
    Check(
        "component-wise exponential: the matrix exponential of the flow",
        Agreement("rounding"),
        settings=ByBudget(quick=(EXAMPLE, replace(EXAMPLE, time_sum_loss=50.0))),
        compare=compare_flow,
        controls=(
            Control("mean loss for the sum", {"compare": partial(compare_flow, rate=1 / 6)}),
            Control("twice the rate", {"compare": partial(compare_flow, rate=2.0)}),
        ),
    ),
    Check(
        "the profile is the tangent kernel of the network",
        Agreement("rounding"),
        settings=ByBudget(quick=tuple(replace(EXAMPLE, depth=depth) for depth in (1, 2, 4))),
        compare=compare_profile,
        controls=(
            Control("one layer more", {"compare": partial(compare_profile, layers=1)}),
            Control("inputs divided by sqrt(d)", {"compare": partial(compare_profile, scale=2**-0.5)}),
        ),
    ),
    Check(
        "two hidden layers: every degree is positive",
        Inequality(),
        settings=ONE,
        compare=compare_two_layers,
        controls=(Control("one hidden layer", {"compare": partial(compare_two_layers, depth=1)}),),
    ),
)  # fmt: skip

RESULT = Result(SPECTRAL_BIAS, predict, EXAMPLE, CHECKS, derivation=DERIVATION)
