"""Which parts of a target are learned first: modes of the tangent kernel, and its spectrum on a sphere (iw.spectral_bias)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...theory.errors import InvalidInput, NumericalFailure
from ...theory.validation import finite, sample_size

Vector = NDArray[np.float64]

_START, _LARGEST = 64, 1024  # nodes of the quadrature
_TOLERANCE = 1e-13


@dataclass(frozen=True)
class ResidualModes:
    """Eigenvalues l (N,) ascending, `initial` components of the residual (N,), and `now` = e^(-t l) initial, (times, N)."""

    eigenvalues: Vector
    initial: Vector
    now: Vector


def residual_modes(*, ntk: Any, residual: Any, time_sum_loss: Any) -> ResidualModes:
    """Components of the residual f_t - y in the eigenvectors of T_XX under gradient flow: each decays as e^(-t l).

    `ntk` (N, N), `residual` f_0 - y (N,), `time_sum_loss` one time or several, of flow at unit rate on `1/2 sum (f-y)^2`.
    """
    t, r = finite("ntk", ntk, ndim=2), finite("residual", residual, ndim=1)
    times = np.atleast_1d(finite("time_sum_loss", time_sum_loss))
    if t.shape != (len(r), len(r)) or not len(r):
        raise InvalidInput(f"ntk has shape {t.shape} for a residual of {len(r)}.", "Pass the Gram matrix on X.")
    if times.ndim != 1 or times.min() < 0:
        raise InvalidInput("A time is negative.", "Pass times of at least 0.")
    values, vectors = np.linalg.eigh((t + t.T) / 2)
    if values[0] < -len(r) * np.finfo(np.float64).eps * abs(values[-1]):
        raise InvalidInput(f"ntk has the eigenvalue {values[0]:.2e}.", "Pass a positive semi-definite matrix.")
    start = vectors.T @ r
    return ResidualModes(values, start, np.exp(-times[:, None] * np.maximum(values, 0.0)) * start)


@dataclass(frozen=True)
class ZonalSpectrum:
    """Eigenvalue of each degree 0..K of a rotation-invariant kernel on the unit sphere of R^d, and its multiplicity.

    `error` bounds the quadrature's error as estimated from half the nodes, absolute, for all degrees.
    """

    eigenvalues: Vector
    multiplicities: tuple[int, ...]
    error: float


def zonal_spectrum(*, profile: Callable[[Vector], Vector], dimension: int, degrees: int) -> ZonalSpectrum:
    """Spectrum of k(x, y) = profile(angle between x and y) under the uniform law on the sphere in R^d, d >= 2.

    `l_k = int k P_k(cos a) sin(a)^(d-2) da / int sin(a)^(d-2) da` with the Gegenbauer polynomial P_k(1) = 1 (cos(k a) on
    the circle). Gauss-Legendre in the angle, in which kernels of deep ReLU networks are smooth up to both ends; nodes are
    doubled until two rules agree to 1e-13. Raises NumericalFailure otherwise. Source: Bietti and Mairal 2019.
    """
    d, top = sample_size("dimension", dimension), int(finite("degrees", degrees, ndim=0))
    if d < 2 or top < 0:
        raise InvalidInput(f"dimension is {d} and degrees {top}.", "Use d >= 2 and degrees >= 0.")
    nodes, last = _START, _rule(profile, d, top, _START)
    while nodes < _LARGEST:
        nodes *= 2
        found = _rule(profile, d, top, nodes)
        scale = max(1.0, float(np.abs(found).max()))
        error = float(np.abs(found - last).max())
        if error <= _TOLERANCE * scale:
            return ZonalSpectrum(found, tuple(_multiplicity(d, k) for k in range(top + 1)), error)
        last = found
    raise NumericalFailure(
        "The profile is too rough for the quadrature.", "Pass a profile that is smooth in the angle."
    )


def _rule(profile: Callable[[Vector], Vector], d: int, top: int, nodes: int) -> Vector:
    x, w = np.polynomial.legendre.leggauss(nodes)
    angle, weight = np.pi * (x + 1) / 2, w * np.pi / 2
    mass = weight * np.sin(angle) ** (d - 2)
    values = np.asarray(profile(angle), dtype=np.float64)
    if values.shape != angle.shape or not np.isfinite(values).all():
        raise InvalidInput(
            "The profile returned another shape or numbers that are not finite.", "It maps angles to values."
        )
    return np.array([np.sum(mass * values * row) for row in gegenbauer(np.cos(angle), d, top)]) / mass.sum()


def gegenbauer(cosine: Vector, dimension: int, degrees: int) -> Vector:
    """P_0..P_K at the given cosines, (K+1, ...), with P_k(1) = 1: `(k+d-2) P_{k+1} = (2k+d-2) t P_k - k P_{k-1}`."""
    rows = [np.ones_like(cosine), np.asarray(cosine, dtype=np.float64)]
    for k in range(1, degrees):
        rows.append(((2 * k + dimension - 2) * cosine * rows[k] - k * rows[k - 1]) / (k + dimension - 2))
    return np.array(rows[: degrees + 1])


def _multiplicity(d: int, k: int) -> int:
    """Dimension of the spherical harmonics of degree k in R^d."""
    if k == 0:
        return 1
    return math.comb(k + d - 1, d - 1) - (math.comb(k + d - 3, d - 1) if k >= 2 else 0)


def relu_ntk_profile(*, depth: int) -> Callable[[Vector], Vector]:
    """Tangent kernel of `depth` hidden ReLU layers without biases on the unit sphere, as a function of the angle.

    sw^2 = 2 in every layer but sw^2 = d in the first (so that K^1 is the cosine): K(x,x) = 1 at every layer, and with
    gaps g = 1 - K nothing is lost at small angles.
    """
    layers = sample_size("depth", depth)

    def profile(angle: Vector) -> Vector:
        a = np.asarray(angle, dtype=np.float64)
        ntk = np.cos(a)
        for layer in range(layers):
            kernel = (np.sin(a) + (np.pi - a) * np.cos(a)) / np.pi
            ntk = kernel + (np.pi - a) / np.pi * ntk
            if layer + 1 < layers:
                gap = 2 * np.sin(a / 2) ** 2 - _sine_moment(a) / np.pi
                a = 2 * np.arcsin(np.sqrt(np.maximum(gap, 0.0) / 2))
        return ntk

    return profile


def _sine_moment(a: Vector) -> Vector:
    """sin a - a cos a, by its series below 0.3."""
    small = np.where(a < 0.3, a, 0.0)
    series, term = np.zeros_like(small), small**3
    for k in range(1, 10):
        series = series + (-1) ** (k + 1) * 2 * k * term / math.factorial(2 * k + 1)
        term = term * small**2
    return np.where(a < 0.3, series, np.sin(a) - a * np.cos(a))
