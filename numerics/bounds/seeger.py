"""The PAC-Bayes-kl bound (pb.kl) and its split-sample form (pb.data_prior)."""

from __future__ import annotations

import math
from typing import Any, Literal

from ...theory.errors import InvalidInput
from ...theory.statement import Statement
from ...theory.statements.pac_bayes.kl_bounds import DATA_PRIOR, SEEGER_KL
from ...theory.validation import finite, non_negative, sample_size, unit_interval
from ..certified import kl_lower, kl_upper, log_maurer_xi_upper
from .certificate import Certificate
from .issue import issue, scalar, spend

EVENT = "PAC-Bayes-kl over the sample"
CONSTANTS = ("exact", "2sqrt")
# Both logarithms arrive rounded up; two sums and a quotient of non-negative numbers lose half an ulp each.
_OUTWARD = 1 + 4 * 2.0**-53


def complexity(kl: float, n: int, log_inv_delta: float, constant: Literal["exact", "2sqrt"] = "exact") -> float:
    """(kl + ln(xi(n)/delta))/n rounded upward; `constant="2sqrt"` has 2 sqrt(n) in place of xi(n), as in older papers."""
    if constant not in CONSTANTS:
        raise InvalidInput(f"constant is {constant!r}.", f"Choose one of {CONSTANTS}.")
    # ln(2 sqrt n): the root is off by half an ulp, which moves a logarithm above 0.69 by less than one; so does the logarithm
    log_constant = (
        float(log_maurer_xi_upper(n)) if constant == "exact" else math.log(2 * math.sqrt(n)) * (1 + 3 * 2.0**-52)
    )
    return (kl + log_constant + log_inv_delta) / n * _OUTWARD


def seeger_kl(
    *,
    risk: float | Certificate,
    kl: float,
    n: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
    constant: Literal["exact", "2sqrt"] = "exact",
) -> Certificate:
    """Certificate for the true Gibbs risk of a posterior: `value` = UP(risk, (kl + ln(xi(n)/delta))/n).

    Parameters
    ----------
    risk: empirical Gibbs risk of the posterior on the n examples, in [0, 1] (mean over Q of the mean loss), or a `Certificate`
        that bounds it from above (for example `gibbs_monte_carlo`); its delta is then added to the ledger.
    kl: KL(Q||P) in nats, in [0, inf]. Infinity gives the bound 1.
    n: number of examples that `risk` was averaged over and that the prior never saw.
    delta, log_inv_delta: probability that this event fails, or ln of its inverse; exactly one.
    constant: "exact" for Maurer's xi(n), "2sqrt" for 2 sqrt(n).

    Returns the two-sided certificate (the lower side holds on the same event, at the same delta; none when `risk` is itself only an
    upper bound). Raises `InvalidInput`. Source: Seeger 2002; Maurer 2004; Germain et al. 2015.
    """
    return _certify(SEEGER_KL, risk, kl, n, delta, log_inv_delta, constant, {})


def seeger_kl_split(
    *,
    risk: float | Certificate,
    kl: float,
    n: int,
    n_prior: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
    constant: Literal["exact", "2sqrt"] = "exact",
) -> Certificate:
    """`seeger_kl` with a prior learned from `n_prior` of the `n` examples: the bound counts the other n - n_prior only.

    `risk` is the empirical Gibbs risk on those n - n_prior examples; the posterior may have used all n. Other parameters, result and
    errors are those of `seeger_kl`; `n_prior` must leave at least one example.
    """
    total, used = sample_size("n", n), sample_size("n_prior + 1", finite("n_prior", n_prior, ndim=0) + 1) - 1
    if used >= total:
        raise InvalidInput(f"n_prior is {n_prior} of n = {total}.", "Leave at least one example for the bound.")
    return _certify(
        DATA_PRIOR, risk, kl, total - used, delta, log_inv_delta, constant, {"n_total": total, "n_prior": used}
    )


def _certify(
    statement: Statement,
    risk: float | Certificate,
    kl: float,
    n: int,
    delta: Any,
    log_inv_delta: Any,
    constant: Any,
    extra: dict[str, float | int | str],
) -> Certificate:
    part = risk if isinstance(risk, Certificate) else None
    q = float(unit_interval("risk", scalar("risk", part.value if part else risk)))
    divergence = float(non_negative("kl", scalar("kl", kl)))
    size = sample_size("n", n)
    spent = spend(EVENT, delta, log_inv_delta)
    level = spent.log_inv_delta
    c = complexity(divergence, size, level, constant)
    value = float(kl_upper(q, c))
    return issue(
        statement,
        value,
        lower=None if part is not None else float(kl_lower(q, c)),
        quantity="true Gibbs risk",
        spent=(spent,),
        inputs={"risk": q, "kl": divergence, "n": size, "log_inv_delta": level, "constant": constant, **extra},
        parts={"risk": part} if part is not None else {},  # it also says what was seen of the losses and the draws
    )
