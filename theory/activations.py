"""Activations whose Gaussian expectations have closed forms: names for the plain ones, frozen dataclasses for the others.

In JSON a dataclass is told apart by its `kind`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from .errors import InvalidInput

Plain = Literal["identity", "relu", "abs", "sign", "erf", "gelu", "sin", "cos"]


def _check(**values: Any) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InvalidInput(f"{name} is {value!r}.", "Pass a finite number.")


def _check_tolerance(tolerance: Any) -> None:
    _check(tolerance=tolerance)
    if not 1e-13 <= tolerance <= 1e-2:
        raise InvalidInput(f"tolerance is {tolerance!r}.", "Pass a number from 1e-13 to 1e-2.")


def _not_zero(**values: float) -> None:
    for name, value in values.items():
        if value == 0:
            raise InvalidInput(f"{name} is 0.", "Such a layer forgets its input.")


@dataclass(frozen=True)
class ABRelu:
    """negative min(z, 0) + positive max(z, 0)."""

    negative: float
    positive: float
    kind: Literal["abrelu"] = "abrelu"

    def __post_init__(self) -> None:
        _check(negative=self.negative, positive=self.positive)
        if self.negative == self.positive == 0:
            raise InvalidInput("Both slopes are 0.", "Such a layer forgets its input.")


@dataclass(frozen=True)
class LeakyRelu:
    """max(z, 0) + slope min(z, 0)."""

    slope: float
    kind: Literal["leaky"] = "leaky"

    def __post_init__(self) -> None:
        _check(slope=self.slope)


@dataclass(frozen=True)
class Sine:
    """amplitude sin(frequency z + phase)."""

    amplitude: float = 1.0
    frequency: float = 1.0
    phase: float = 0.0
    kind: Literal["sine"] = "sine"

    def __post_init__(self) -> None:
        _check(amplitude=self.amplitude, frequency=self.frequency, phase=self.phase)
        _not_zero(amplitude=self.amplitude, frequency=self.frequency)


@dataclass(frozen=True)
class Cosine:
    """amplitude cos(frequency z + phase)."""

    amplitude: float = 1.0
    frequency: float = 1.0
    phase: float = 0.0
    kind: Literal["cosine"] = "cosine"

    def __post_init__(self) -> None:
        _check(amplitude=self.amplitude, frequency=self.frequency, phase=self.phase)
        _not_zero(amplitude=self.amplitude, frequency=self.frequency)


@dataclass(frozen=True)
class Rbf:
    """sqrt(2) sin(sqrt(2 gamma) z + pi/4), whose dual is the Gaussian kernel exp(-gamma |x - y|^2)."""

    gamma: float = 1.0
    kind: Literal["rbf"] = "rbf"

    def __post_init__(self) -> None:
        _check(gamma=self.gamma)
        if self.gamma <= 0:
            raise InvalidInput(f"gamma is {self.gamma!r}.", "It must be positive.")


Base = Plain | ABRelu | LeakyRelu | Sine | Cosine | Rbf


@dataclass(frozen=True)
class Scaled:
    """outer base(inner z) + constant."""

    base: Base
    outer: float = 1.0
    inner: float = 1.0
    constant: float = 0.0
    kind: Literal["scaled"] = "scaled"

    def __post_init__(self) -> None:
        _check(outer=self.outer, inner=self.inner, constant=self.constant)
        _not_zero(outer=self.outer, inner=self.inner)
        if isinstance(self.base, Scaled) or not isinstance(self.base, str | ABRelu | LeakyRelu | Sine | Cosine | Rbf):
            raise InvalidInput(f"The base of Scaled is {self.base!r}.", "Pass one of the other activations.")
        resolve(self.base)


@dataclass(frozen=True)
class Quadrature:
    """An activation without a closed form, integrated numerically.

    `tolerance` is the largest estimated error of a kernel relative to its largest entry; beyond it, an error is raised.
    """

    name: Literal["tanh", "sigmoid", "silu", "softplus"]
    tolerance: float = 1e-10
    kind: Literal["quadrature"] = "quadrature"

    def __post_init__(self) -> None:
        if self.name not in ("tanh", "sigmoid", "silu", "softplus"):
            raise InvalidInput(
                f"{self.name!r} is not integrated by name.", "Use QuadratureOf(function, derivative) for your own."
            )
        _check_tolerance(self.tolerance)


@dataclass(frozen=True)
class QuadratureOf:
    """Your own activation: `function` and `derivative` map float64 arrays entrywise. Not for JSON.

    `kink` = True where it is smooth but for z = 0: the integrals are then broken where a sign changes.
    """

    function: Callable[[Any], Any]
    derivative: Callable[[Any], Any]
    tolerance: float = 1e-10
    kink: bool = False

    def __post_init__(self) -> None:
        if not (callable(self.function) and callable(self.derivative)):
            raise InvalidInput("function or derivative is not callable.", "Pass two functions of float64 arrays.")
        _check_tolerance(self.tolerance)


Activation = Base | Scaled
Numerical = Quadrature | QuadratureOf
NAMES: tuple[str, ...] = get_args(Plain)
_PARAMETRISED = (ABRelu, LeakyRelu, Sine, Cosine, Rbf, Scaled)
_MEANING: dict[str, Any] = {
    "relu": ABRelu(0.0, 1.0),
    "abs": ABRelu(-1.0, 1.0),
    "sin": Sine(),
    "cos": Cosine(),
}
Resolved = Literal["identity", "sign", "erf", "gelu"] | ABRelu | Sine | Cosine | Rbf | Scaled


def resolve(activation: Any) -> Resolved:
    """The member of its family that an activation is: "relu" is ABRelu(0, 1), LeakyRelu(s) is ABRelu(s, 1), and so on.

    Raises InvalidInput for anything without a closed form.
    """
    if isinstance(activation, str) and activation in NAMES:
        return cast(Resolved, _MEANING.get(activation, activation))
    if isinstance(activation, LeakyRelu):
        return ABRelu(activation.slope, 1.0)
    if isinstance(activation, ABRelu | Sine | Cosine | Rbf | Scaled):
        return activation
    raise InvalidInput(
        f"The activation {activation!r} has no closed form here.",
        f"Use one of {', '.join(NAMES)}, or {', '.join(cls.__name__ for cls in _PARAMETRISED)}; any other function goes "
        "through Quadrature or QuadratureOf (nonvacuous.theory.activations).",
    )
