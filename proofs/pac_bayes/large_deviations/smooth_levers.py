"""What makes the inverse rate small: distance from initialisation, input gradients, invariance, averaging, and the penalty's gradient.

Here the levers are judged on laws where both sides are exact. Experiments with trained networks belong in a file of their own beside
this one: they take `distance_inverse_rate`, `gradient_inverse_rate` and the penalty as they are shipped.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from flint import arb

from ....numerics.claims import Agreement, Formula, Inequality
from ....numerics.large_deviations.levers import distance_inverse_rate, gradient_inverse_rate
from ....theory.axioms import ENVELOPE, HERBST, HOLDER, JENSEN, TOTAL_VARIANCE, TOWER
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.pac_bayes.large_deviations import SMOOTH_LEVERS
from ...result import ByBudget, Check, Control, Result
from . import cramer
from .lever_laws import (
    SETTINGS,
    SMALL,
    LeverPrediction,
    LeverSetting,
    compare_averages,
    compare_bounds,
    compare_gradient,
    compare_gradient_once,
    compare_gradient_sign,
    compare_swapped,
    compare_without_invariance,
    sample,
)
from .network_levers import network_check

HALF_ULP = 2.0**-53

# --- derivation ---------------------------------------------------------------------------------------------------


def popoviciu() -> list[tuple[Any, Any]]:
    import sympy

    a, b, mu, second = sympy.symbols("a b mu m2", real=True)
    # E (b - x)(x - a) >= 0 on [a, b], E x = mu, E x^2 = m2; the last square closes the gap to (b - a)^2/4
    mean_product = (a + b) * mu - second - a * b
    return [
        (second - mu**2, (b - mu) * (mu - a) - mean_product),
        ((b - a) ** 2 / 4 - (b - mu) * (mu - a), (mu - (a + b) / 2) ** 2),
    ]


def integrated_twice() -> list[tuple[Any, Any]]:
    import sympy

    tilt, x, y, width = sympy.symbols("l x y w", positive=True)
    inner = sympy.integrate(width**2 / 4, (y, 0, x))
    M, D = sympy.symbols("M D", positive=True)
    total = sympy.integrate(inner, (x, 0, tilt))
    return [(total, tilt**2 * width**2 / 8), (total.subs(width, 2 * M * D), tilt**2 * M**2 * D**2 / 2)]


def labels() -> list[tuple[Any, Any]]:
    import sympy

    tilt, c, G, R = sympy.symbols("l c G R", positive=True)
    within, between = c * G**2 * tilt**2 / 2, tilt**2 * R**2 / 8
    return [(within + between, (c * G**2 + R**2 / 4) * tilt**2 / 2)]


def envelope_gradient() -> list[tuple[Any, Any]]:
    import sympy

    tilt, s = sympy.symbols("l s", positive=True)
    x, p = sympy.symbols("x1:4", positive=True), sympy.symbols("p1:4", positive=True)
    mass = sum(a * sympy.exp(-tilt * b) for a, b in zip(p, x, strict=True))
    mean = sum(a * b for a, b in zip(p, x, strict=True))
    value = (tilt * mean + sympy.log(mass) + s) / tilt
    return [(sympy.diff(mean + value, x[0]), 2 * p[0] - p[0] * sympy.exp(-tilt * x[0]) / mass)]


DERIVATION = (
    Algebra("a law on [a, b] has variance (b-mu)(mu-a) - E(b-x)(x-a) <= (b-a)^2/4", popoviciu),
    Uses(cramer.RESULT, "J(0) = J'(0) = 0 and J'' is a variance under a tilt, which lives on the same interval"),
    Algebra("integrated twice: J <= l^2 w^2/8; M-Lipschitz and constant at theta0: all losses lie within w = 2 M |theta - theta0|", integrated_twice),
    Axiom(HERBST, "given the label, ln E e^{l (E[loss|y] - loss)} <= c G^2 l^2/2"),
    Axiom(TOWER, "so J <= c G^2 l^2/2 + ln E_y e^{l (L - E[loss|y])}, and the last term is at most l^2 R^2/8"),
    Algebra("together (c G^2 + R^2/4) l^2/2", labels),
    Axiom(JENSEN, "invariance: e^{l (L - E_g loss(gx))} <= E_g e^{l (L - loss(gx))}, and gx has the law of x"),
    Axiom(TOTAL_VARIANCE, "Var(loss) = Var(E_g loss(gx)) + E Var_g(loss(gx))"),
    Axiom(HOLDER, "averaging: E prod e^{rho_i l (L_i - loss_i)} <= prod (E e^{l (L_i - loss_i)})^{rho_i}"),
    Axiom(ENVELOPE, "the derivative of Iinv(s) = min (J(l)+s)/l is the partial one at the optimal l"),
    Algebra("d(L + (J+s)/l)/d loss_i = 2 p_i - w_i, w the tilted weights", envelope_gradient),
    Uses(cramer.RESULT, "psi = v l^2/2 has inverse rate sqrt(2 v s)"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: LeverSetting) -> LeverPrediction:
    return LeverPrediction(
        distance_inverse_rate(s.lipschitz, s.distance, s.s),
        gradient_inverse_rate(s.constant, s.gradient, s.s, s.class_range),
    )


# --- checks -------------------------------------------------------------------------------------------------------


def exact(s: LeverSetting) -> list[Any]:
    M, D, c, G, R, level = (arb(x) for x in (s.lipschitz, s.distance, s.constant, s.gradient, s.class_range, s.s))
    # (v l/2 + s/l) at the best l = sqrt(2 s/v), term by term
    found = []
    for v in ((M * D) ** 2, c * G * G + (R / 2) ** 2):
        best = (2 * level / v).sqrt()
        found.append(v * best / 2 + level / best)
    return found


def _values(p: LeverPrediction) -> list[float]:
    return [p.distance, p.gradient]


FORMULA = Formula(
    expression=exact,
    shipped=lambda s: _values(predict(s)),
    read=_values,
    sample=sample,
    width=lambda s: 12 * HALF_ULP,  # at most 5 ulps below the root, halved, and one for it
    side="upper",
    count=60,
)


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=lambda s: [float(x) * (1 + 2.0**-48) for x in function(s)])}


CHECKS = (
    Check(
        "the shipped bounds are the last step, rounded upward",
        FORMULA,
        controls=(
            Control("sqrt(s) for sqrt(2 s)", _mutant(lambda s: [x / np.sqrt(2) for x in _values(predict(s))])),
            Control("distance squared", _mutant(lambda s: [predict(s).distance * s.distance, predict(s).gradient])),
            Control("R^2 for R^2/4", _mutant(lambda s: [predict(s).distance, gradient_inverse_rate(s.constant, s.gradient, s.s, 2 * s.class_range)])),
            Control("log-Sobolev constant dropped", _mutant(lambda s: [predict(s).distance, gradient_inverse_rate(1.0, s.gradient, s.s, s.class_range)])),
        ),
    ),
    Check(
        "laws that nearly attain the bounds",
        Inequality(),
        settings=ByBudget(quick=SMALL),
        compare=compare_bounds,
        controls=(
            Control("sqrt(s) for sqrt(2 s)", {"predict": lambda s: LeverPrediction(*(x / np.sqrt(2) for x in _values(predict(s))))}),
            Control("between-class part dropped", {"predict": lambda s: replace(predict(s), gradient=gradient_inverse_rate(s.constant, s.gradient, s.s))}),
            Control("2 percent less distance", {"predict": lambda s: replace(predict(s), distance=0.98 * predict(s).distance)}),
        ),
    ),
    Check(
        "averages over a group and over models are smoother",
        Inequality(),
        settings=ByBudget(quick=SETTINGS),
        compare=compare_averages,
        controls=(
            Control("data not invariant", {"compare": compare_without_invariance}),
            Control("averaged model rougher than the average", {"compare": compare_swapped}),
        ),
    ),
    Check(
        "gradient of the inverse-rate penalty",
        Agreement("rounding"),
        settings=ByBudget(quick=SETTINGS),
        compare=compare_gradient,
        controls=(
            Control("2 E minus 2 E plus tilted: the tilted gradient alone", {"compare": compare_gradient_sign}),
            Control("E for 2 E", {"compare": compare_gradient_once}),
        ),
    ),
    network_check(replace(SETTINGS[0], s=0.05)),
)  # fmt: skip

RESULT = Result(
    SMOOTH_LEVERS,
    predict=predict,
    example=SETTINGS[0],
    checks=CHECKS,
    uses=(cramer.RESULT,),
    derivation=DERIVATION,
    notebook="04_rate_functions_and_why_interpolators_generalise",
)
