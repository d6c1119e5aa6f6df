"""Cumulants, rate function and inverse rate of any loss: duality with worst-case reweighting, saturation, and the Chernoff bound."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ....numerics.certified.binary_kl import binary_kl
from ....numerics.claims import Agreement, Comparison, Coverage, HighProbabilityBound
from ....numerics.large_deviations.inverse_rate import inverse_rate
from ....numerics.large_deviations.rate import rate
from ....numerics.store import Rows
from ....theory.axioms import CHERNOFF, INDEPENDENCE, LEGENDRE, MONOTONE_INVERSE
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.pac_bayes.large_deviations import CRAMER
from ...result import ByBudget, Check, Control, Result
from ..foundations import change_of_measure
from ..real_losses_world import MEANS, REAL_LOSSES, world_c
from ..small_worlds import OUTCOMES
from . import exponential_law, finite_law
from .finite_law import FiniteLawSetting, RatePrediction, predict

HALF_ULP = 2.0**-53

# --- derivation ---------------------------------------------------------------------------------------------------


def derivatives() -> list[tuple[Any, Any]]:
    import sympy

    tilt, mean = sympy.symbols("l L", positive=True)
    x, p = sympy.symbols("x1:4", positive=True), sympy.symbols("p1:4", positive=True)
    # the weights need not be normalised for the derivatives: J = l L + ln M0
    M0, M1, M2 = (sum(a * b**k * sympy.exp(-tilt * b) for a, b in zip(p, x, strict=True)) for k in range(3))
    cgf = tilt * mean + sympy.log(M0)
    return [(sympy.diff(cgf, tilt), mean - M1 / M0), (sympy.diff(cgf, tilt, 2) * M0**2, M2 * M0 - M1**2)]


def variance_is_a_sum_of_squares() -> list[tuple[Any, Any]]:
    import sympy

    w, x = sympy.symbols("w1:4", positive=True), sympy.symbols("x1:4", positive=True)
    M0, M1, M2 = (sum(a * b**k for a, b in zip(w, x, strict=True)) for k in range(3))
    squares = sum(w[i] * w[j] * (x[i] - x[j]) ** 2 for i in range(3) for j in range(i))
    return [(M2 * M0 - M1**2, squares)]


def optimality() -> list[tuple[Any, Any]]:
    import sympy

    tilt, s = sympy.symbols("l s", positive=True)
    cgf = sympy.Function("J")(tilt)
    divergence = tilt * sympy.diff(cgf, tilt) - cgf
    # J as a free function, replaced by a polynomial with free coefficients so that both sides can be evaluated
    c = sympy.symbols("c2:6", positive=True)
    polynomial = sum(a * tilt ** (k + 2) for k, a in enumerate(c))
    pairs = [
        (sympy.diff((cgf + s) / tilt, tilt), (divergence - s) / tilt**2),
        (sympy.diff(divergence, tilt), tilt * sympy.diff(cgf, tilt, 2)),
    ]
    return [tuple(side.subs(cgf, polynomial).doit() for side in pair) for pair in pairs]


def divergence_of_the_tilt() -> list[tuple[Any, Any]]:
    import sympy

    tilt, mean, z = sympy.symbols("l L Z", positive=True)
    w1, w2 = sympy.symbols("w1 w2", positive=True)
    x = sympy.symbols("x1:4", positive=True)
    w = (w1, w2, 1 - w1 - w2)
    # the density of the tilt is e^{-l x}/Z with Z = E e^{-l x}, so J = l L + ln Z and J' = L - E_w x
    divergence = sum(a * (-tilt * b - sympy.log(z)) for a, b in zip(w, x, strict=True))
    tilted_mean = sum(a * b for a, b in zip(w, x, strict=True))
    return [(divergence, tilt * (mean - tilted_mean) - (tilt * mean + sympy.log(z)))]


def saturation() -> list[tuple[Any, Any]]:
    import sympy

    tilt, a, b, p, q, r = sympy.symbols("l a b p q r", positive=True)
    u, v = sympy.symbols("u v", positive=True)  # e^{-l a} and e^{-l b}: losses m, m + a, m + b
    rest = sympy.log(p + q * sympy.exp(-tilt * a) + r * sympy.exp(-tilt * b))  # J(l) - l (L - m)
    slope = tilt * sympy.diff(rest, tilt)
    in_u = slope.subs({sympy.exp(-tilt * a): u, sympy.exp(-tilt * b): v})
    return [
        (rest.subs({sympy.exp(-tilt * a): 0, sympy.exp(-tilt * b): 0}), sympy.log(p)),
        (in_u, -(a * q * tilt * u + b * r * tilt * v) / (p + q * u + r * v)),
        (sympy.limit(tilt * sympy.exp(-tilt), tilt, sympy.oo), sympy.Integer(0)),
    ]


def small_s() -> list[tuple[Any, Any]]:
    import sympy

    w, v = sympy.symbols("w V", positive=True)
    k3 = sympy.Symbol("k3", real=True)
    # w = sqrt(2 s); J = V l^2/2 - k3 l^3/6 + ..., so G = V l^2/2 - k3 l^3/3 + ... and l = w/sqrt(V) + c w^2
    c = k3 / (3 * v**2)
    tilt = w / sympy.sqrt(v) + c * w**2
    divergence = sympy.expand(v * tilt**2 / 2 - k3 * tilt**3 / 3)
    value = sympy.expand(v * tilt - k3 * tilt**2 / 2)
    return [
        (divergence.coeff(w, 2), sympy.Rational(1, 2)),
        (divergence.coeff(w, 3), sympy.Integer(0)),
        (value.coeff(w, 1), sympy.sqrt(v)),
        (value.coeff(w, 2), -k3 / (3 * v) / 2),
    ]


def bernoulli() -> list[tuple[Any, Any]]:
    import sympy

    q, r, qc, rc = sympy.symbols("q r qc rc", positive=True)  # qc = 1 - q and rc = 1 - r, q = L - a, r = L
    power = q * rc / (r * qc)  # e^{-l} at the best tilt
    tilted = r * power / (rc + r * power)  # mean of the tilted law
    best = -sympy.expand_log(sympy.log(power), force=True)
    # l a - J = l (r - q) - l r - ln(rc + r e^{-l}), and rc + r e^{-l} = rc/qc
    value = -q * best - (q + qc) * sympy.expand_log(sympy.log(rc / qc))
    kl = q * sympy.log(q / r) + qc * sympy.log(qc / rc)
    return [
        (tilted.subs(qc, 1 - q).subs(rc, 1 - r), q),
        ((rc + r * power).subs(rc, 1 - r).subs(qc, 1 - q), (1 - r) / (1 - q)),
        (sympy.expand_log(value, force=True), sympy.expand_log(kl, force=True)),
    ]


def closed_forms() -> list[tuple[Any, Any]]:
    import sympy

    v, c, s = sympy.symbols("v c s", positive=True)
    # psi = v l^2/(2(1 - c l)): with x = l/(1 - c l), (psi + s)/l = v x/2 + s/x + c s, least at x = sqrt(2 s/v)
    x = sympy.sqrt(2 * s / v)
    tilt = x / (1 + c * x)
    value = (v * tilt**2 / (2 * (1 - c * tilt)) + s) / tilt
    y = sympy.Symbol("y", positive=True)
    free = (v * (y / (1 + c * y)) ** 2 / (2 * (1 - c * y / (1 + c * y))) + s) / (y / (1 + c * y))
    return [
        (free, v * y / 2 + s / y + c * s),
        (sympy.simplify(value), sympy.sqrt(2 * v * s) + c * s),
        (v * y / 2 + s / y - sympy.sqrt(2 * v * s), (sympy.sqrt(v * y / 2) - sympy.sqrt(s / y)) ** 2),
    ]


DERIVATION = (
    Algebra("J' = L - E_{nu_l} loss, and J'' = the variance under the tilt nu_l (three points, free weights)", derivatives),
    Algebra("a variance is a sum of squares, so J is convex", variance_is_a_sum_of_squares),
    Algebra("G = l J' - J has G' = l J'' >= 0, and d/dl (J(l)+s)/l = (G(l) - s)/l^2: the infimum is where G = s, with value J'", optimality),
    Axiom(LEGENDRE, "I is the Legendre transform of the closed convex J, so inf over l of (J(l) + s)/l inverts it; an infimum of affine functions of s is concave, a supremum of affine functions of a convex"),
    Uses(change_of_measure.RESULT, "with f = -l loss: every law within divergence s has mean at least L - (J(l) + s)/l"),
    Algebra("KL(nu_l||nu) = l J' - J: the tilt with G = s attains it, so Iinv(s) = L - min {E loss : KL <= s}", divergence_of_the_tilt),
    Algebra("as l grows J(l) - l (L - m) -> ln P(loss = m) and G -> ln(1/P(loss = m)): beyond that s the value is L - m", saturation),
    Algebra("small s: Iinv(s) = sqrt(2 Var s) - k3 s/(3 Var) + ...", small_s),
    Axiom(INDEPENDENCE, "n independent losses have cumulant generating function n J"),
    Axiom(CHERNOFF, "P(L - Lh >= a) <= exp(n (J(l) - l a)) for every l >= 0, at best exp(-n I(a))"),
    Axiom(MONOTONE_INVERSE, "so n I(max(L - Lh, 0)) >= x has probability at most e^{-x}: it lies stochastically below Exp(1)"),
    Algebra("Bernoulli loss: the best tilt is ln(L(1-q)/(q(1-L))), q = L - a, and I(a) = kl(L - a||L)", bernoulli, (("q", 0.1, 0.4), ("r", 0.5, 0.9))),
    Algebra("Gaussian (c = 0) and sub-gamma laws: Iinv(s) = sqrt(2 v s) + c s", closed_forms),
    *exponential_law.STEPS,
)  # fmt: skip

# --- checks: facts 6, 7 and 8 -------------------------------------------------------------------------------------

WORLD = ByBudget(
    quick=tuple(FiniteLawSetting(row, OUTCOMES, float(np.log(d)) / 12) for row in REAL_LOSSES for d in (2, 5, 10, 100))
)


def compare_chernoff(s: FiniteLawSetting, p: RatePrediction, rows: Rows) -> Coverage:
    """World C, 12 examples: P(L > Lh + Iinv(ln(1/delta)/12)), and the largest e^x P(X >= x), X = 12 I(gen+): at most 1."""
    world = world_c()
    index = int(np.argmax((s.losses == REAL_LOSSES).all(axis=1)))
    gap = MEANS[index] - world.empirical[:, index]
    failed = gap > p.inverse_rate * (1 + 1e-12)
    levels, where = np.unique(np.round(gap, 9), return_inverse=True)
    tail = np.cumsum(np.bincount(where, world.probability)[::-1])[::-1]
    inside = levels > 0
    # the largest gap is mean - minimum, as the shipped function computes it
    largest = float(inverse_rate(s.losses, np.inf, weights=s.weights).value)
    x = 12 * rate(np.tile(s.losses, (int(inside.sum()), 1)), np.minimum(levels[inside], largest), weights=s.weights)
    moment = float((np.exp(x) * tail[inside]).max())
    return Coverage(float(np.exp(-12 * s.s)), moment, 1.0, float(world.probability[failed].sum()))


BERNOULLI = ByBudget(
    quick=tuple(
        FiniteLawSetting(np.array([0.0, 1.0]), np.array([1 - r, r]), s)
        for r in (0.01, 0.3, 0.9)
        for s in (1e-9, 1e-3, 0.2)
    )
)


def compare_bernoulli(s: FiniteLawSetting, p: RatePrediction, rows: Rows) -> Comparison:
    """kl(L - a||L) at the predicted a, against s (or ln(1/P(0)) beyond saturation), and I at another gap.

    kl at the rounded a: condition number a I'(a)/I(a) = l a/I = 1 + J/I, times the width of a; kl's q = L - a is rounded once more,
    an error of u L/a relatively in a.
    """
    r, (a, _) = float(s.weights[1]), finite_law.arguments(s)
    at = min(s.s, -float(np.log1p(-r)))
    observed = np.array(
        [float(binary_kl(r - p.inverse_rate, r)) if p.inverse_rate < r else -np.log1p(-r), float(binary_kl(r - a, r))]
    )
    W = float(finite_law.solved(s).at_s.rounding)

    def bound(gap: float, value: float) -> float:
        q = max(r - gap, 2.0**-53)
        tilt = np.log(r * (1 - q) / (q * (1 - r)))
        return float((tilt * gap * (W + 4 * HALF_ULP * r / gap) / value + W + 16 * HALF_ULP) * value)

    bounds = np.array([bound(p.inverse_rate, at), bound(a, observed[1])])
    return Comparison(observed, np.array([at, p.rate]), bounds, observed)


def _wrong(function: Any) -> dict[str, Any]:
    return {"predict": lambda s: replace(predict(s), inverse_rate=float(function(s)))}


CHECKS = (
    *finite_law.CHECKS,
    *exponential_law.CHECKS,
    Check(
        "world C: exact failure probability of the Chernoff bound, and n I(gen+) below Exp(1)",
        HighProbabilityBound(),
        settings=WORLD,
        compare=compare_chernoff,
        controls=(
            Control("half of s", _wrong(lambda s: inverse_rate(s.losses, s.s / 4, weights=s.weights).value)),
            Control("ln(1/delta)/(n + 20)", _wrong(lambda s: inverse_rate(s.losses, s.s * 12 / 32, weights=s.weights).value)),
        ),
    ),
    Check(
        "Bernoulli loss: the rate is the binary relative entropy",
        Agreement("rounding"),
        settings=BERNOULLI,
        compare=compare_bernoulli,
        controls=(
            Control("kl(L||L - a)", _wrong(lambda s: inverse_rate(-s.losses, s.s, weights=s.weights).value)),
            Control("a^2/(2 L (1 - L))", {"predict": lambda s: replace(predict(s), rate=finite_law.arguments(s)[0] ** 2 / (2 * s.weights[1] * s.weights[0]))}),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    CRAMER,
    predict=predict,
    example=FiniteLawSetting(REAL_LOSSES[0], OUTCOMES, 0.2),
    checks=CHECKS,
    uses=(change_of_measure.RESULT,),
    derivation=DERIVATION,
    notebook="04_rate_functions_and_why_interpolators_generalise",
)
