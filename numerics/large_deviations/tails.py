"""What may be declared about the lower tail of an unbounded loss: each turns into E_Q psi(theta, l) = v l^2/(2 (1 - c l)).

A declaration is an assumption about the distribution, made before the data: nothing in a sample can replace it (pb.cgf_estimation).
`KnownLaws` is the exception: it holds the laws themselves, or a sample in their place, and never leads to a certificate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...theory.errors import AssumptionViolated, InvalidInput
from ...theory.validation import finite, non_negative
from ..certified.outward import add_up, mul_up
from .laws import ExponentialLaw, FiniteLaw, GaussianLaw, Law, models, posterior


def _checked(declared: Any, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(declared, name, float(non_negative(name, finite(name, value, ndim=0))))


@dataclass(frozen=True)
class SubGaussian:
    """ln E e^{l (L - loss)} <= s(theta)^2 l^2/2 for l >= 0; `variance` is E_Q s^2 (loss units squared)."""

    variance: float

    def __post_init__(self) -> None:
        _checked(self, variance=self.variance)


@dataclass(frozen=True)
class SubGamma:
    """ln E e^{l (L - loss)} <= v(theta) l^2/(2 (1 - c l)) for 0 <= l < 1/c; `variance` is E_Q v, `scale` the common c."""

    variance: float
    scale: float

    def __post_init__(self) -> None:
        _checked(self, variance=self.variance, scale=self.scale)


@dataclass(frozen=True)
class ParameterNorm:
    """The loss is M-Lipschitz in theta for every example, and at theta0 it is the same for all examples: then
    J <= M^2 |theta - theta0|^2 l^2/2. `lipschitz` is M, `mean_squared_distance` E_Q |theta - theta0|^2."""

    lipschitz: float
    mean_squared_distance: float

    def __post_init__(self) -> None:
        _checked(self, lipschitz=self.lipschitz, mean_squared_distance=self.mean_squared_distance)


@dataclass(frozen=True)
class InputGradient:
    """The inputs obey a log-Sobolev inequality Ent(f^2) <= 2 c E|grad f|^2 (N(0,S): c = |S|), given the label if there are labels, and
    |grad_x loss| <= G(theta) almost surely. `constant` is c, `mean_squared_gradient` E_Q G^2, `mean_squared_class_range` E_Q R^2, R the range of
    the class-mean losses (0 without labels; not 0 merely because G is: a loss of the label alone has G = 0 and a variance).

    `assumption="average_gradient"` declares the same with E_x|grad_x loss|^2 in place of G^2: an assumption of its own, not a consequence.
    """

    constant: float
    mean_squared_gradient: float
    mean_squared_class_range: float = 0.0
    assumption: Literal["bounded_gradient", "average_gradient"] = "bounded_gradient"

    def __post_init__(self) -> None:
        _checked(
            self,
            constant=self.constant,
            mean_squared_gradient=self.mean_squared_gradient,
            mean_squared_class_range=self.mean_squared_class_range,
        )
        if self.assumption not in ("bounded_gradient", "average_gradient"):
            raise InvalidInput(f"assumption is {self.assumption!r}.", "Choose bounded_gradient or average_gradient.")


@dataclass(frozen=True)
class SecondMoment:
    """Losses >= 0 with E loss^2 <= B2(theta): then J <= B2 l^2/2. `value` is E_Q B2."""

    value: float

    def __post_init__(self) -> None:
        _checked(self, value=self.value)


@dataclass(frozen=True)
class GaussianLosses:
    """The loss of each model is Gaussian with variance at most v(theta); `variance` is E_Q v. The exact moment is then known."""

    variance: float

    def __post_init__(self) -> None:
        _checked(self, variance=self.variance)


@dataclass(frozen=True)
class KnownLaws:
    """The law of the loss of each model (or a sample, models x examples) and the posterior's weights on the models."""

    law: Any
    posterior: Any

    def __post_init__(self) -> None:
        law = self.law if isinstance(self.law, Law) else FiniteLaw(np.atleast_2d(finite("law", self.law)))
        object.__setattr__(self, "law", law)
        object.__setattr__(self, "posterior", posterior(self.posterior, models(law)))


Declared = SubGaussian | SubGamma | ParameterNorm | InputGradient | SecondMoment | GaussianLosses
NAMES: dict[str, type] = {
    "sub-Gaussian": SubGaussian,
    "sub-gamma": SubGamma,
    "parameter norm": ParameterNorm,
    "input gradient": InputGradient,
    "second moment": SecondMoment,
    "Gaussian": GaussianLosses,
}


def require(tail: Any) -> Any:
    """`tail` if something was declared; otherwise the reason why no bound exists. {"name": "sub-gamma", "numbers": [1, 0.5]} says the same
    in words, numbers in the order of the fields."""
    if isinstance(tail, Mapping):
        if set(tail) != {"name", "numbers"} or tail["name"] not in NAMES:
            raise InvalidInput(
                f"The tail {dict(tail)!r} is unknown.", f"Give name (one of {', '.join(NAMES)}) and numbers."
            )
        try:
            return NAMES[tail["name"]](*tail["numbers"])
        except TypeError as error:
            raise InvalidInput(f"The numbers of the tail {tail['name']!r} do not fit.", str(error)) from error
    if isinstance(tail, Declared | KnownLaws):
        return tail
    raise AssumptionViolated(
        "No tail of the loss was declared.",
        "Without one an unbounded loss has no certificate: a sample cannot exclude a rare, enormous loss, and a bound on E e^{-l loss} "
        "cancels L from both sides. Declare SubGaussian, SubGamma, ParameterNorm, InputGradient or SecondMoment, or clip the loss to [0, 1].",
    )


def sub_gamma_form(tail: Declared) -> tuple[float, float]:
    """(v, c) with E_Q psi(l) <= v l^2/(2 (1 - c l)), rounded up."""
    match tail:
        case SubGaussian() | GaussianLosses():
            return float(tail.variance), 0.0
        case SubGamma():
            return float(tail.variance), float(tail.scale)
        case ParameterNorm():
            return mul_up(mul_up(tail.lipschitz, tail.lipschitz), tail.mean_squared_distance), 0.0
        case InputGradient():
            between = (
                tail.mean_squared_class_range / 4
                if tail.mean_squared_class_range > 1e-300
                else tail.mean_squared_class_range
            )
            return add_up(mul_up(tail.constant, tail.mean_squared_gradient), between), 0.0
        case SecondMoment():
            return float(tail.value), 0.0


def describe(tail: Declared | KnownLaws) -> dict[str, Any]:
    """A tail as the inputs of a certificate: its name and its numbers."""
    if isinstance(tail, KnownLaws):
        return {"tail": "known laws", **describe_law(tail.law), "posterior": tuple(map(float, tail.posterior))}
    name = next(name for name, kind in NAMES.items() if type(tail) is kind)
    numbers = tuple(float(x) for x in vars(tail).values() if not isinstance(x, str))
    extra = {"tail_assumption": tail.assumption} if isinstance(tail, InputGradient) else {}
    return {"tail": name, "tail_numbers": numbers, **extra}


def describe_law(law: Law) -> dict[str, Any]:
    match law:
        case FiniteLaw():
            rows = np.atleast_2d(law.losses)
            return {
                "law": "finite",
                "models": len(rows),
                "losses": tuple(map(float, rows.ravel())),
                "weights": tuple(map(float, law.weight.ravel())),
            }
        case ExponentialLaw():
            return {"law": "exponential", "models": len(law.mean), "parameters": tuple(map(float, law.mean))}
        case GaussianLaw():
            return {"law": "gaussian", "models": len(law.variance), "parameters": tuple(map(float, law.variance))}
