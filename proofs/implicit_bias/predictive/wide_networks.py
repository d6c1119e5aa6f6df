"""Networks near their linearisation: the trained law with the Jacobian for features, its excess over a posterior, its rate in the width."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb
from jaxtyping import Float

from ....numerics.claims import Formula, LimitWithRate
from ....numerics.implicit_bias.least_squares import UNIT_ROUNDOFF, row_space
from ....numerics.implicit_bias.linearised import excess_over_posterior, linearised_law
from ....theory.axioms import GAUSSIAN_AFFINE
from ....theory.derivation import Algebra, Axiom, Cited, Enumeration, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.implicit_bias.predictive import NTK
from ...result import ByBudget, Check, Control, Result
from ..exact_values import mutant, relative_width
from ..problems import balls, integer_design, pseudo_inverse, rational
from . import function_space
from .function_space_evidence import FunctionSpaceSetting, errors, limit_error
from .wide_networks_evidence import (
    FAR_TARGETS,
    LARGE_SCALE,
    Variance,
    WideSetting,
    compare,
    ensemble_variance,
    posterior_variance,
    prior_variance,
    train,
    variance,
)


@dataclass(frozen=True, eq=False)
class NtkSetting:
    """Jacobian (N, P) with outputs and targets (N,), test Jacobian (S, P) with outputs (S,), the prior's factor (P, R)."""

    jacobian: Float[np.ndarray, "train weights"]
    outputs: Float[np.ndarray, " train"]
    targets: Float[np.ndarray, " train"]
    test_jacobian: Float[np.ndarray, "test weights"]
    test_outputs: Float[np.ndarray, " test"]
    factor: Float[np.ndarray, "weights rank"]

    def __post_init__(self) -> None:
        linearised_law(self.jacobian, self.outputs, self.targets, **self.options)
        if not len(self.test_outputs):
            raise InvalidInput("There is no test row.", "Pass at least one.")

    @property
    def options(self) -> dict[str, Any]:
        return {"test_jacobian": self.test_jacobian, "test_outputs": self.test_outputs, "factor": self.factor}


@dataclass(frozen=True, eq=False)
class NtkPrediction:
    """Mean (S,), covariance and its excess over the noise-free posterior with the same kernel (S, S)."""

    mean: Float[np.ndarray, " test"]
    covariance: Float[np.ndarray, "test test"]
    excess: Float[np.ndarray, "test test"]


# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def one_form_for_both() -> Equations:
    """M = [1, -G] applied to outputs (x, X) with law N(f, C), then + G y: f - G f_X + G y and four terms, for C = K given f_0 or f = 0, C = NNGP."""
    import sympy

    g, f, fx, y = sympy.symbols("g f fx y", real=True)
    v, c, t = sympy.symbols("v c t", real=True)
    m = sympy.Matrix([[1, -g]])
    law = sympy.Matrix([[v, c], [c, t]])
    mean = (m * sympy.Matrix([f, fx]))[0] + g * y
    return [
        (mean, f + g * (y - fx)),
        (mean.subs({f: 0, fx: 0}), g * y),
        ((m * law * m.T)[0], v - 2 * g * c + g**2 * t),
    ]


def excess() -> Equations:
    """Rank 2, one example: A = J S_0 at X, B at x. (B - G A)(B - G A)^T - B (I - A^+ A) B^T = D D^T/K(X,X), D = B A^T - G A A^T."""
    import sympy

    a, b = (sympy.Matrix([sympy.symbols(f"{name}1:3", real=True)]) for name in "ab")
    g = sympy.Symbol("g", real=True)
    k = (a * a.T)[0]
    trained, posterior = ((b - g * a) * (b - g * a).T)[0], (b * b.T)[0] - (b * a.T)[0] ** 2 / k
    return [(trained - posterior, ((b * a.T)[0] - g * k) ** 2 / k)]


def multiples_agree() -> Equations:
    """K = c Th: K(x,X) K(X,X)^{-1} = G for two examples, so D = 0."""
    import sympy

    c, p, q, r, s, t = sympy.symbols("c p q r s t", positive=True)
    train, cross = sympy.Matrix([[p + 2, q], [q, r + 2]]), sympy.Matrix([[s, t]])
    d = c * cross - cross * train.inv() * (c * train)
    return [(entry, 0) for entry in d]


def only_multiples_agree() -> Equations:
    """One example at a time: D = 0 both ways says k(x,x') = th(x,x') r(x') = th(x,x') r(x), r = k(x,x)/th(x,x); r is then constant."""
    import sympy

    t, one, two = sympy.symbols("t one two", positive=True)
    forward, backward = t * two, t * one  # k(x, x') from the example x', and from the example x
    return [((forward - backward) / t, two - one)]


def witness() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    """One hidden linear layer with unit scales and biases, wide: K = u + 1 and Th = 2 u + 1 with u = x x' + 1. One example X, one test x."""
    half = Fraction(1, 2)
    for x, example in ((Fraction(0), Fraction(1)), (Fraction(2), Fraction(1)), (half, Fraction(-1))):
        u = {"xx": x * x + 1, "xX": x * example + 1, "XX": example * example + 1}
        k, th = ({name: a * value + 1 for name, value in u.items()} for a in (1, 2))
        for name, kernel, gain in (
            ("ensemble", k, th["xX"] / th["XX"]),
            ("posterior", k, k["xX"] / k["XX"]),
            ("Th", th, th["xX"] / th["XX"]),
        ):
            law = kernel["xx"] - 2 * gain * kernel["xX"] + gain**2 * kernel["XX"]
            gap = law - (kernel["xx"] - kernel["xX"] ** 2 / kernel["XX"])
            d = kernel["xX"] - gain * kernel["XX"]
            yield f"{name} at {x}: excess", gap, "==", d * d / kernel["XX"]
            if name == "ensemble" and u["xX"] != u["XX"]:
                yield f"{name} at {x}: no posterior", Fraction(1, 1000), "<=", gap
            if name != "ensemble":
                yield f"{name} at {x}: a posterior", gap, "==", Fraction(0)


DERIVATION = (
    Uses(function_space.RESULT, "the linearisation is a linear model in d with features J, targets y - f_0(X) and prior N(0, S_0 S_0^T)"),
    Cited("lee2019", "infinitely wide networks start at N(0, NNGP) and train with a constant tangent kernel; iw.lin_cov_inf holds trained networks to their law"),
    Axiom(GAUSSIAN_AFFINE, "both laws are images of Gaussian outputs under f -> f(x) - G f(X) + G y: of f_0 + J S_0 z with f_0 known, and of f_0 itself"),
    Algebra("so they have one form, with kernel K and mean f_0 in one case, the NNGP kernel and 0 in the other", one_form_for_both),
    Algebra("either exceeds the noise-free posterior with its kernel by D K(X,X)^+ D^T, D = K(x,X) - G K(X,X)", excess),
    Algebra("D = 0 for every X if K is a multiple of Th", multiples_agree),
    Algebra("if D = 0 for every single example, k(x,x)/th(x,x) is one number wherever th(x,x') is not 0: K is that multiple of Th", only_multiples_agree),
    Enumeration("NNGP and tangent kernel of one linear hidden layer, in fractions: the ensemble's law is no posterior, K = Th would make it one", witness),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: NtkSetting) -> NtkPrediction:
    law = linearised_law(s.jacobian, s.outputs, s.targets, **s.options)
    extra = excess_over_posterior(s.jacobian, test_jacobian=s.test_jacobian, factor=s.factor)
    return NtkPrediction(law.mean, law.covariance, extra)


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> NtkSetting:
    jacobian = integer_design(rng)
    n, p = jacobian.shape
    factor = rng.normal(size=(p, int(rng.integers(1, 4))))
    return NtkSetting(jacobian, rng.normal(size=(n,)), rng.normal(size=(n,)), rng.normal(size=(2, p)), rng.normal(size=(2,)), factor)  # fmt: skip


def last_steps(s: NtkSetting) -> list[arb]:
    """Kernel by kernel in fractions; K(X,X)^+ by its own pseudo-inverse."""
    x, phi, factor = rational(s.jacobian), rational(s.test_jacobian), rational(s.factor)
    sigma, gain = factor * factor.transpose(), phi * x.transpose() * pseudo_inverse(x * x.transpose())
    train, cross = x * sigma * x.transpose(), phi * sigma * x.transpose()
    mean = rational(s.test_outputs) + gain * (rational(s.targets) - rational(s.outputs))
    mixed = cross * gain.transpose()
    law = phi * sigma * phi.transpose() - mixed - mixed.transpose() + gain * train * gain.transpose()
    off = cross - gain * train
    return [*balls(mean), *balls(law), *balls(off * pseudo_inverse(train) * off.transpose())]


def flat(p: NtkPrediction) -> np.ndarray:
    return np.concatenate([p.mean, p.covariance.ravel(), p.excess.ravel()])


def width(s: NtkSetting) -> np.ndarray:
    """Those of `ib.function_space` for shifts from f_0; the excess adds the projector's error: row space of V^T S_0 (V of the Jacobian, itself off by
    max(N, P) 2 u cond) off by 2 (its error)/(its smallest singular value)."""
    shifted = FunctionSpaceSetting(s.jacobian, s.targets - s.outputs, s.test_jacobian, np.zeros(len(s.factor)), s.factor)  # fmt: skip
    off, tests = limit_error(shifted), len(s.test_outputs)
    base, size = errors(shifted, off), float(np.linalg.norm(s.test_jacobian))
    space, spread = row_space(s.jacobian), float(np.linalg.norm(s.factor))
    inverse = size / float(space.singular_values[-1])
    base[:tests] += 2 * UNIT_ROUNDOFF * (np.abs(s.test_outputs) + np.abs(predict(s).mean))
    base[:tests] += 2 * UNIT_ROUNDOFF * inverse * float(np.linalg.norm(np.abs(s.targets) + np.abs(s.outputs)))
    turned = 2 * max(s.jacobian.shape) * UNIT_ROUNDOFF * space.norm / float(space.singular_values[-1])
    seen = row_space(space.right.T @ s.factor).singular_values
    projector = 2 * (2 * turned + 4 * sum(s.factor.shape) * UNIT_ROUNDOFF) * spread / float(seen[-1])
    last = 2 * float(base[-1]) + 2 * size**2 * spread**2 * projector
    return relative_width(flat(predict(s)), np.append(base, np.full(tests**2, last)))


FORMULA = Formula(
    expression=last_steps, shipped=lambda s: flat(predict(s)), read=flat, sample=sample, width=width, count=20
)


def without_outputs(s: NtkSetting) -> np.ndarray:
    """The prior mean of an ensemble, 0, in place of f_0."""
    return flat(predict(replace(s, outputs=0 * s.outputs, test_outputs=0 * s.test_outputs)))


def as_posterior(s: NtkSetting) -> np.ndarray:
    p = predict(s)
    return flat(replace(p, covariance=p.covariance - p.excess))


def rule(change: Callable[[WideSetting], Variance]) -> Mapping[str, Any]:
    return {"predict": change}


# two inputs that the tangent kernel separates well: its condition number is below 3 for every network of width 32 or more
WIDE = WideSetting(
    np.array([[1.5, 0.0, 1.5], [-0.75, 1.5, -0.75]]), np.array([[1.0, 1.0, -1.0], [-1.0, -1.0, 0.5], [0.0, -1.5, 0.3]]),
    np.array([0.1, -0.1]), 2, 1e-5,
)  # fmt: skip
PLAN = ByBudget(
    quick=tuple({"width": n, "members": 112} for n in (32, 64, 128, 256)),
    standard=tuple({"width": n, "members": 64, "part": part} for n in (64, 128, 256, 512, 1024) for part in range(6)),
    full=tuple({"width": n, "members": 64, "part": part} for n in (64, 128, 256, 512, 1024, 2048, 4096) for part in range(16)),
)  # fmt: skip
FEW = ByBudget(quick=tuple({"width": n, "members": m} for n, m in ((16, 192), (64, 96), (256, 48))))
RATE = LimitWithRate(rate=(-0.75, -0.35), top=5, order=0.5, resolution=0.1)

EXAMPLE = NtkSetting(
    np.array([[1.0, 2.0, 0.0]]), np.array([0.4]), np.array([0.5]), np.array([[0.0, 1.0, 1.0], [1.0, 2.0, 0.0]]), np.array([-0.2, 0.4]),
    np.array([[1.0, 0.0], [0.5, 1.0], [0.0, 2.0]]),
)  # fmt: skip

CHECKS = (
    Check(
        "shipped law and excess against the kernel form",
        FORMULA,
        controls=(
            Control("off by 1e-9", mutant(FORMULA, lambda s: (1 + 1e-9) * flat(predict(s)))),
            Control("prior mean zero, as for an ensemble", mutant(FORMULA, without_outputs)),
            Control("posterior with kernel K", mutant(FORMULA, as_posterior)),
            Control("posterior with the tangent kernel (S_0 = 1)", mutant(FORMULA, lambda s: flat(predict(replace(s, factor=np.eye(len(s.factor))))))),
        ),
    ),
    Check(
        "predictive variance of trained tanh networks, all weights uncertain",
        RATE,
        settings=ByBudget(quick=(WIDE,)),
        experiment=train,
        plan=PLAN,
        compare=compare,
        predict=lambda s: variance,
        controls=(
            Control("NNGP kernel in place of J S_0 S_0^T J^T (the ensemble's law)", rule(ensemble_variance)),
            Control("no projection: K(x, x)", rule(lambda s: prior_variance)),
            Control("noise-free posterior with the tangent kernel", rule(lambda s: posterior_variance)),
            Control("n^-1", {"claim": replace(RATE, rate=(-1.3, -1.0))}),
            Control("no rate", {"claim": replace(RATE, rate=(-0.1, 0.1))}),
            Control("factor with entries of 1/2: outside the linear region", {"experiment": LARGE_SCALE, "plan": FEW}),
            Control("targets of order n^3/4", {"experiment": FAR_TARGETS, "plan": FEW}),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    NTK, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(function_space.RESULT,), derivation=DERIVATION
)
RESULTS = (RESULT,)
