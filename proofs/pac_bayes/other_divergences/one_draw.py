"""One predictor drawn from the posterior: certificates through the density at the draw, or through a Renyi divergence."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ....numerics.certified.kl_inverse import kl_upper
from ....numerics.certified.maurer import log_maurer_xi
from ....numerics.claims import Formula, HighProbabilityBound
from ....theory.axioms import FUBINI, HOLDER, JENSEN, MARKOV, RADON_NIKODYM
from ....theory.balls.disintegrated import (
    one_draw_catoni_ball,
    one_draw_kl_ball,
    one_draw_occam_ball,
    one_draw_renyi_ball,
)
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.pac_bayes.other_divergences import DISINTEGRATED
from ...result import ByBudget, Check, Control, Result
from ..foundations import kl_inverse, maurer
from ..kl_bounds import monte_carlo
from .one_draw_worlds import (
    FORMS,
    Form,
    OneDrawSetting,
    all_forms,
    certificate,
    compare_many_coins,
    compare_many_coins_once,
    compare_world_a,
    compare_world_a_free,
    compare_world_b,
    compare_world_b_dropped,
    predict,
)

HALF_ULP = 2.0**-53


# --- derivation ---------------------------------------------------------------------------------------------------


def weights_over_volumes() -> list[tuple[Any, Any]]:
    import sympy

    v, c, b, y, d = sympy.symbols("v c b y d", positive=True)
    # c = 1/b. A law gamma on volumes v = dP/dQ in (0, 1], and the level spent at volume v: beta(v), the integral of v gamma up to v
    gamma = c * v ** (c - 1)
    spent = c * v ** (1 + c) / (1 + c)
    # at v = e^-y, y = ln dQ/dP(h): ln(1/(delta beta(v))) with d = ln(1/delta)
    paid = d - sympy.log(c / (1 + c)) + (1 + c) * y
    return [
        (sympy.powsimp(sympy.diff(v**c, v)), gamma),  # total mass 1 on (0, 1]
        (sympy.powsimp(sympy.diff(spent, v) / (v * gamma)), sympy.Integer(1)),
        (paid.subs(c, 1 / b), sympy.log(b + 1) + d + (1 + 1 / b) * y),
    ]


def levels_add_up() -> list[tuple[Any, Any]]:
    import sympy

    a, half = sympy.symbols("a l2", positive=True)
    # (a/(a-1)) ln(2/delta) from the draw, ln(2/delta) from the sample
    return [(a / (a - 1) * half + half, (2 * a - 1) / (a - 1) * half), (((2 * a - 1) / (a - 1)).subs(a, 2), sympy.Integer(3))]  # fmt: skip


def mixture_of_priors() -> list[tuple[Any, Any]]:
    import sympy

    a, t, density = sympy.symbols("a T x", positive=True)
    # dQ/dP <= T dQ/dP_t for the uniform mixture P of T priors: the (a-1)-th power moves D_a by ln T
    return [
        (sympy.expand_log(sympy.log((t * density) ** (a - 1)), force=True) / (a - 1), sympy.log(t) + sympy.log(density))
    ]


DERIVATION = (
    Axiom(RADON_NIKODYM, "a draw has dQ/dP(h) > 0, and E_{h~Q}[e^phi (dQ/dP)^-1] <= E_{h~P} e^phi"),
    Uses(maurer.RESULT, "with phi = n kl: E_S E_P e^phi <= xi(n) (with Catoni's phi the moment is at most 1: chord of e^{-b f})"),
    Axiom(JENSEN, "e^{-b f} <= 1 - f (1 - e^-b) on [0, 1], so E_S e^phi <= 1 for phi = n(-ln(1 - r(1-e^-b)) - b rh)"),
    Axiom(MARKOV, "kl and catoni: phi(h) - ln dQ/dP(h) <= ln(C/delta) with probability at least 1-delta over the sample and the draw"),
    Uses(monte_carlo.RESULT, "occam: for fixed h, p = e^{-n kl+} has P(p <= x) <= x (the Chernoff bound for n examples)"),
    Algebra("volumes v in (0,1] with law gamma = v^(1/b-1)/b spend beta(v) = v^(1+1/b)/(b+1), d beta = v gamma dv; the bound is p(h) > delta beta(min(v,1))", weights_over_volumes, (("v", 0.1, 0.9), ("c", 0.3, 3))),
    Axiom(FUBINI, "the failure probability is E_P E_S[(1/v) 1(p <= delta beta(v))] <= E_P E_S[1/beta^-1(p/delta)], not increasing in p, so at most the integral over x of 1/beta^-1(x/delta) = delta times that of gamma = delta"),
    Axiom(HOLDER, "renyi: ln E_Q phi <= ((a-1)/a)(D_a(Q||P) + ln E_P phi^(a/(a-1)))"),
    Axiom(MARKOV, "phi(h) <= (2/delta) E_Q phi over the draw, E_P phi^(a/(a-1)) <= (2/delta) E_S E_P phi^(a/(a-1)) over the sample"),
    Algebra("the two levels add up to ((2a-1)/(a-1)) ln(2/delta), three times ln(2/delta) at a = 2", levels_add_up, (("a", 1.1, 4),)),
    Algebra("T candidate priors: their uniform mixture costs ln T at any order", mixture_of_priors, (("a", 1.1, 4),)),
    Uses(kl_inverse.RESULT, "the interval of r(h) that a bound on kl(rh(h)||r(h)) leaves"),
)  # fmt: skip

# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> OneDrawSetting:
    form: Form = FORMS[int(rng.integers(4))]
    risk = float(rng.choice([0.0, rng.uniform(0.01, 0.6)]))
    density = float(10 ** rng.uniform(-1, 3)) * (1.0 if form == "renyi" or rng.random() < 0.8 else -0.01)
    parameter = float(rng.uniform(1.2, 4) if form == "renyi" else 10 ** rng.uniform(-0.5, 0.7))
    n, level = int(10 ** rng.uniform(1, 6)), float(10 ** rng.uniform(0, 2.5))
    return OneDrawSetting(risk, density, n, level, form, parameter, int(rng.integers(1, 20)) if form == "renyi" else 1)


def _exact(s: OneDrawSetting) -> Any:
    if s.form == "renyi":
        return one_draw_renyi_ball(s.risk, s.density, s.parameter, s.n, s.candidates, s.log_inv_delta)[1]
    if s.form == "catoni":
        return one_draw_catoni_ball(s.risk, s.density, s.n, s.parameter, s.log_inv_delta)
    if s.form == "occam":
        return one_draw_occam_ball(s.risk, s.density, s.n, s.parameter, s.log_inv_delta)
    return one_draw_kl_ball(s.risk, s.density, s.n, s.log_inv_delta)[1]


def width(s: OneDrawSetting) -> float:
    """ln xi is up by 14 half-ulps, other logarithms by 4, five sums, products and quotients by 2 each: 24 of the sum of the terms'
    sizes, which a negative density can exceed the sum itself by; an inverse of kl adds 12, Catoni's two exponentials and quotient 16."""
    size = abs(s.density) + math.log(4 * s.n) + s.log_inv_delta
    total = max(s.density, 0.0) + s.log_inv_delta if s.density >= 0 else s.log_inv_delta + s.density
    return (24 * size / max(total, 1e-3) + 16) * HALF_ULP


FORMULA = Formula(
    expression=_exact, shipped=lambda s: certificate(s).raw, read=lambda p: p.upper, sample=sample, width=width, side="upper", count=120
)  # fmt: skip


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=function)}


def _only(form: Form, other: Any) -> dict[str, Any]:
    """A control that changes one form."""
    return _mutant(lambda s: other(s) if s.form == form else certificate(s).raw)


def renyi_with(
    s: OneDrawSetting, factor: float, log_two: float = math.log(2), log_priors: float | None = None
) -> float:
    priors = math.log(s.candidates) if log_priors is None else log_priors
    total = factor * (log_two + s.log_inv_delta) + s.density + priors + float(log_maurer_xi(s.n))
    return float(kl_upper(s.risk, total / s.n))


def occam_with(s: OneDrawSetting, base: float, power: float) -> float:
    return float(kl_upper(s.risk, (math.log(base) + s.log_inv_delta + power * max(0.0, s.density)) / s.n))


CHECKS = (
    Check(
        "the shipped certificates are the last steps, rounded upward",
        FORMULA,
        controls=(
            Control("kl: ln xi(n) dropped", _only("kl", lambda s: float(kl_upper(s.risk, max(0.0, s.density + s.log_inv_delta) / s.n)))),
            Control("kl: 2 sqrt(n) for xi(n)", _only("kl", lambda s: float(kl_upper(s.risk, max(0.0, s.density + s.log_inv_delta + math.log(2 * math.sqrt(s.n))) / s.n)))),
            Control("density dropped", _mutant(lambda s: certificate(replace(s, density=0.0)).raw)),
            Control("delta halved", _mutant(lambda s: certificate(s, log_inv_delta=s.log_inv_delta + math.log(2)).raw)),
            Control("n + 1 for n", _mutant(lambda s: certificate(s, n=s.n + 1).raw)),
            Control("catoni: e^-t for 1 - e^-t below", _only("catoni", lambda s: -math.expm1(-s.parameter * s.risk - max(0.0, s.density + s.log_inv_delta) / s.n) / math.exp(-s.parameter))),
            Control("occam: b for b + 1", _only("occam", lambda s: occam_with(s, s.parameter, 1 + 1 / s.parameter))),
            Control("occam: density once", _only("occam", lambda s: occam_with(s, s.parameter + 1, 1.0))),
            Control("renyi: ln(2/delta) once", _only("renyi", lambda s: renyi_with(s, 1.0))),
            Control("renyi: factor a/(a-1)", _only("renyi", lambda s: renyi_with(s, s.parameter / (s.parameter - 1)))),
            Control("renyi: delta for delta/2", _only("renyi", lambda s: renyi_with(s, (2 * s.parameter - 1) / (s.parameter - 1), 0.0))),
            Control("renyi: candidates not paid for", _only("renyi", lambda s: renyi_with(s, (2 * s.parameter - 1) / (s.parameter - 1), log_priors=0.0))),
            Control("renyi: T^3 for T", _only("renyi", lambda s: renyi_with(s, (2 * s.parameter - 1) / (s.parameter - 1), log_priors=3 * math.log(s.candidates)))),
        ),
    ),
    Check(
        "world A, draws from a Gibbs posterior: exact failure probability",
        HighProbabilityBound(),
        settings=ByBudget(quick=all_forms(math.log(10))),
        compare=compare_world_a,
        controls=(Control("1 in place of xi(n)", {"compare": compare_world_a_free}),),
    ),
    Check(
        "world B, draws from the best in hindsight: exact failure probability",
        HighProbabilityBound(),
        settings=ByBudget(quick=all_forms(math.log(5))),
        compare=compare_world_b,
        controls=(Control("density dropped", {"compare": compare_world_b_dropped}),),
    ),
    Check(
        "renyi, 2048 coins: exact failure probability",
        HighProbabilityBound(),
        settings=ByBudget(quick=all_forms(math.log(10))[3:]),
        compare=compare_many_coins,
        controls=(Control("delta in place of delta^3/8", {"compare": compare_many_coins_once}),),
    ),
)  # fmt: skip

RESULT = Result(
    DISINTEGRATED,
    predict=predict,
    example=OneDrawSetting(0.05, 12.0, 5000, float(-np.log(0.05))),
    checks=CHECKS,
    uses=(maurer.RESULT, kl_inverse.RESULT, monte_carlo.RESULT),
    derivation=DERIVATION,
)
