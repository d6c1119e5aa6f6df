"""PAC-Bayes-Chernoff bounds (pb.pbc, pb.pbc_oracle, pb.pbc_alpha): unbounded losses with a declared lower tail."""

from __future__ import annotations

import math
from typing import Any, Literal

from scipy.special import gammainc, gammaincc, gammaln

from ...theory.errors import AssumptionViolated, InvalidInput
from ...theory.statement import Statement
from ...theory.statements.pac_bayes.large_deviations import PBC, PBC_ALPHA, PBC_ORACLE
from ...theory.validation import finite, non_negative, sample_size
from ..certified.arithmetic import SCALAR
from ..certified.excess import excess_term
from ..certified.outward import add_up, div_up, log_down, log_up, mul_down, mul_up, sqrt_up, sub_down
from ..large_deviations.inverse_rate import SMALLEST_RATE
from ..large_deviations.mixture import mixture_inverse_rate
from ..large_deviations.tails import Declared, GaussianLosses, KnownLaws, describe, require, sub_gamma_form
from .certificate import Certificate
from .issue import issue, scalar, spend

EVENT = "PAC-Bayes-Chernoff over the sample"
QUANTITY = "true Gibbs risk"
Tail = Declared | KnownLaws


def pac_bayes_chernoff(
    *,
    risk: float,
    kl: float,
    n: int,
    tail: Tail | None = None,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Bound on the true Gibbs risk for an unbounded loss: risk + inf over l of (E_Q psi(l) + t)/l, t = (kl + ln(n/delta))/(n-1).

    Parameters
    ----------
    risk: empirical Gibbs risk on the n examples, any finite number, in the loss's units.
    kl: KL(Q||P) in nats, in [0, inf].
    n: number of examples, at least 2, fixed in advance.
    tail: what is declared about the loss: SubGaussian, SubGamma, ParameterNorm, InputGradient, SecondMoment or GaussianLosses of
        `nonvacuous.numerics.large_deviations.tails`, with numbers averaged over the posterior. `KnownLaws` (generating functions, or a
        sample in their place) gives an oracle, never a certificate. No tail: refused.
    delta, log_inv_delta: probability that this event fails, or ln of its inverse; exactly one.

    Raises `InvalidInput`, `AssumptionViolated`. Source: Casado et al. 2024; special cases derived here.
    """
    declared = require(tail)
    size = sample_size("n", n)
    if size < 2:
        raise InvalidInput(
            f"n is {n}.", "This bound divides by n - 1: it needs two examples (pac_bayes_chernoff_alpha does with one)."
        )
    spent = spend(EVENT, delta, log_inv_delta)
    divergence = float(non_negative("kl", scalar("kl", kl)))
    t = div_up(add_up(divergence, log_up(float(size)), spent.log_inv_delta), float(size - 1))
    statement = PBC_ORACLE if isinstance(declared, KnownLaws) else PBC
    inputs = {"kl": divergence, "n": size, "log_inv_delta": spent.log_inv_delta}
    return _finish(statement, risk, declared, t, spent, inputs)


def pac_bayes_chernoff_alpha(
    *,
    risk: float,
    kl: float,
    n: int,
    tail: Tail | None = None,
    alpha: float | None = None,
    anticipated_kl: float | None = None,
    moment: Literal["general", "exact"] = "general",
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """`pac_bayes_chernoff` with t = (kl + ln(C/delta))/(alpha n) for one alpha fixed in advance: no ln n.

    alpha: in (0, 1); or `anticipated_kl`, a guess of kl made before the data, from which the best alpha follows. Exactly one.
    moment: "general" for C = 1/(1-alpha); "exact" for the moment itself, known for `GaussianLosses` ((1 + (1-alpha)^(-1/2))/2).
    Other parameters, result and errors are those of `pac_bayes_chernoff`, with n >= 1. Known laws are refused: use the oracle.
    """
    declared = require(tail)
    if isinstance(declared, KnownLaws):
        raise AssumptionViolated("Known laws make an oracle.", "Use pac_bayes_chernoff, or declare a tail.")
    size = sample_size("n", n)
    spent = spend(EVENT, delta, log_inv_delta)
    if (alpha is None) == (anticipated_kl is None):
        raise InvalidInput("Give exactly one of alpha and anticipated_kl.", "Both must be fixed before the data.")
    if alpha is None:
        alpha = best_alpha(
            float(non_negative("anticipated_kl", scalar("anticipated_kl", anticipated_kl))), spent.log_inv_delta
        )
    a = float(finite("alpha", scalar("alpha", alpha)))
    if not 0 < a < 1:
        raise InvalidInput(f"alpha is {a:g}.", "It lies strictly between 0 and 1.")
    if moment not in ("general", "exact"):
        raise InvalidInput(f"moment is {moment!r}.", "Choose general or exact.")
    if moment == "exact" and not isinstance(declared, GaussianLosses):
        raise AssumptionViolated(
            f"The exact moment of {type(declared).__name__} is not known.",
            "Declare GaussianLosses, or use moment='general'.",
        )
    divergence = float(non_negative("kl", scalar("kl", kl)))
    kind = "general" if moment == "general" else "Gaussian"
    t = div_up(add_up(divergence, _log_constant(a, kind), spent.log_inv_delta), mul_down(a, float(size)))
    inputs = {"kl": divergence, "n": size, "log_inv_delta": spent.log_inv_delta, "alpha": a, "moment": kind}
    return _finish(PBC_ALPHA, risk, declared, t, spent, inputs)


def best_alpha(anticipated_kl: float, log_inv_delta: float) -> float:
    """The alpha that is best if KL(Q||P) turns out as anticipated: 1 - 1/x, x = 1 + B + ln x, B = kl + ln(1/delta)."""
    return min(1 - 1 / (1 + log_root(anticipated_kl + log_inv_delta)), 1 - 2.0**-53)


def log_root(b: float) -> float:
    """The y > 0 with y - ln(1 + y) = b, so that 1 + y = -W_{-1}(-e^{-1-b}). Newton from sqrt(2b) + b, which lies above the root of this
    convex function; any b > 0, also where e^{-b} underflows."""
    y = math.sqrt(2 * b) + b
    for _ in range(60):
        new = y - (float(excess_term(SCALAR, 1.0, y)) - b) * (1 + y) / y
        if not new < y:
            break
        y = new
    return y


def exponential_moment(alpha: float, n: int) -> float:
    """E e^{alpha n I(gen+)} for exponential losses, whatever their mean: P(Gamma(n) >= n) + sqrt(n/m) e^{s(m)-s(n)} P(Gamma(m) <= m),
    m = n (1 - alpha), s Stirling's correction. About 1e-13; `moment="exact"` does not offer it, since only an oracle knows the law.
    """
    m = n * (1 - alpha)
    return float(gammaincc(n, n) + math.sqrt(n / m) * math.exp(_stirling(m) - _stirling(n)) * gammainc(m, m))


def _stirling(x: float) -> float:
    """ln Gamma(x) - (x - 1/2) ln x + x - ln(2 pi)/2."""
    if x > 15:
        z = 1 / (x * x)
        return (1 / 12 - z * (1 / 360 - z * (1 / 1260 - z / 1680))) / x
    return float(gammaln(x)) - (x - 0.5) * math.log(x) + x - 0.5 * math.log(2 * math.pi)


def _log_constant(a: float, kind: str) -> float:
    """ln C(a), rounded up."""
    rest = sub_down(1.0, a)
    if kind == "general":
        return -log_down(rest)
    return log_up(add_up(0.5, div_up(0.5, math.nextafter(math.sqrt(rest), 0.0))))


def width_of(v: float, c: float, t: float) -> float:
    """sqrt(2 v t) + c t, rounded up: the infimum over l of (v l^2/(2 (1 - c l)) + t)/l."""
    if math.isinf(t):
        return math.inf
    return add_up(sqrt_up(mul_up(2 * v, t)), mul_up(c, t))


def _finish(statement: Statement, risk: Any, tail: Tail, t: float, spent: Any, inputs: dict[str, Any]) -> Certificate:
    r = float(finite("risk", scalar("risk", risk)))
    extra = describe(tail)
    if isinstance(tail, KnownLaws):
        found = mixture_inverse_rate(tail.law, max(t, SMALLEST_RATE), posterior_weights=tail.posterior)
        width = mul_up(float(found.value), 1 + 2 * float(found.rounding))
        extra |= {"saturated": int(found.saturated), "effective": float(found.effective)}
    else:
        width = width_of(*sub_gamma_form(tail), t)
    value = add_up(r, width)
    return issue(
        statement, value, quantity=QUANTITY, spent=(spent,), inputs={"risk": r, **inputs, **extra}, top=math.inf
    )


__all__ = ["best_alpha", "exponential_moment", "pac_bayes_chernoff", "pac_bayes_chernoff_alpha"]
