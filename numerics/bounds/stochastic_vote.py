"""The stochastic majority vote (pb.mv_dirichlet): weights drawn from a Dirichlet law, exact risks, and the PAC-Bayes-kl bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import betainc, digamma, gammaln, polygamma

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.majority_vote import MV_DIRICHLET
from ...theory.validation import finite, log_inverse_delta, sample_size
from ..certified.divergences import kl_dirichlet
from ..certified.half_beta import LARGEST, half_beta_upper
from ..certified.kl_derivatives import kl_upper_derivatives
from ..certified.kl_inverse import kl_upper
from ..certified.maurer import log_maurer_xi
from ..certified.outward import add_down, add_up, div_up, mul_up
from .certificate import Certificate
from .issue import issue, spend
from .majority_vote import RISK_EVENT, Rate, exact_rate, rate_up, stored
from .search_options import search_options
from .seeger import complexity

FloatArray = NDArray[np.float64]
QUANTITY = "risk of the stochastic majority vote"
LOG_RANGE = (-7.0, 12.0)  # of the fitted ln concentrations
_STEP = 1e-5  # of the central differences in dI/da, relative: error of order step^2


def stochastic_vote_risk(wrong: ArrayLike, concentrations: ArrayLike) -> float:
    """Mean over examples of I_{1/2}(A, B), the probability that a vote with Dirichlet weights errs, rounded up.

    wrong: (voters, examples), whether each voter errs on each example; every voter is needed on every example. concentrations: (voters,)
    positive. A and B are the sums over voters that are right and wrong. With more than two classes it bounds the probability from above.
    Raises `InvalidInput`.
    """
    errs, a = _votes(wrong), concentrations_of("concentrations", concentrations)
    if errs.shape[0] != a.size:
        raise InvalidInput(f"There are {errs.shape[0]} voters and {a.size} concentrations.", "Give one for each voter.")
    patterns, counts = np.unique(errs.T, axis=0, return_counts=True)
    # sums rounded towards the vote that errs more often: I falls in A and grows in B
    right = np.array([add_down(*a[~row]) for row in patterns])
    lost = np.array([add_up(*a[row]) for row in patterns])
    total = add_up(*(mul_up(float(x), int(k)) for x, k in zip(half_beta_upper(right, lost), counts, strict=True)))
    return div_up(total, errs.shape[1])


def stochastic_majority_vote(
    *,
    risk: Rate,
    concentrations: ArrayLike,
    prior: ArrayLike,
    n: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Certificate for the mean risk of the vote whose weights are drawn from Dirichlet(concentrations): `value` =
    UP(risk, (KL(Dir(concentrations)||Dir(prior)) + ln(xi(n)/delta))/n).

    Parameters
    ----------
    risk: `stochastic_vote_risk` on the n examples, in [0, 1].
    concentrations, prior: (voters,) positive; the prior's chosen before seeing the n examples.
    n: number of examples. delta, log_inv_delta: probability that this event fails, or ln of its inverse; exactly one.

    It certifies the vote with random weights, not the one with their mean. Raises `InvalidInput`. Source: Zantedeschi et al. 2021.
    """
    rate = exact_rate("risk", risk)
    a, b = concentrations_of("concentrations", concentrations), concentrations_of("prior", prior)
    if a.size != b.size:
        raise InvalidInput(
            f"There are {a.size} concentrations and {b.size} in the prior.", "Give both one for each voter."
        )
    size = sample_size("n", n)
    spent = spend(RISK_EVENT, delta, log_inv_delta)
    c = complexity(kl_dirichlet(a, b), size, spent.log_inv_delta)
    inputs: dict[str, Any] = {
        "risk": stored(rate),
        "concentrations": tuple(float(x) for x in a),
        "prior": tuple(float(x) for x in b),
        "n": size,
        "log_inv_delta": spent.log_inv_delta,
    }
    return issue(MV_DIRICHLET, float(kl_upper(rate_up(rate), c)), quantity=QUANTITY, spent=(spent,), inputs=inputs)


@dataclass(frozen=True)
class DirichletFit:
    """Concentrations that minimise the bound, the bound there (float64, not rounded outward), the largest entry of its gradient in
    ln(concentrations), the steps taken and whether the optimiser reached its tolerance."""

    concentrations: FloatArray
    objective: float
    gradient: float
    steps: int
    converged: bool


def fit_dirichlet(
    wrong: ArrayLike,
    prior: ArrayLike,
    *,
    delta: float,
    seed: int,
    restarts: int = 0,
    tolerance: float = 1e-8,
    max_steps: int = 500,
) -> DirichletFit:
    """Minimise the certificate of `stochastic_majority_vote` over the concentrations (L-BFGS in their logarithms).

    wrong: (voters, examples); prior: (voters,). It starts at the prior, and `restarts` more times at random concentrations around it
    drawn from `seed`. `tolerance` is on the largest entry of the projected gradient. The gradient of the divergence is exact (trigamma),
    that of I_{1/2} central differences. For training only: certify the result with `stochastic_majority_vote`. Raises `InvalidInput`.
    """
    errs, b = _votes(wrong), concentrations_of("prior", prior)
    entropy, again, most, tolerance = search_options(seed, restarts, max_steps, tolerance)
    if errs.shape[0] != b.size:
        raise InvalidInput(f"There are {errs.shape[0]} voters and {b.size} in the prior.", "Give one for each voter.")
    patterns, counts = np.unique(errs.T, axis=0, return_counts=True)
    lost, share = patterns.astype(np.float64), counts / errs.shape[1]
    constant = float(log_maurer_xi(errs.shape[1])) + log_inverse_delta(delta)

    def objective(x: FloatArray) -> tuple[float, FloatArray]:
        return bound_and_gradient(x, lost, share, b, errs.shape[1], constant)

    rng, start, found = np.random.default_rng(entropy), np.clip(np.log(b), *LOG_RANGE), []
    for trial in range(again + 1):
        x = start if trial == 0 else np.clip(start + rng.normal(size=b.size), *LOG_RANGE)
        options = {"maxiter": most, "gtol": tolerance, "ftol": 0.0}
        found.append(minimize(objective, x, jac=True, method="L-BFGS-B", bounds=[LOG_RANGE] * b.size, options=options))
    best = min(found, key=lambda result: float(result.fun))
    value, slope = objective(best.x)
    free = np.where((best.x <= LOG_RANGE[0]) & (slope > 0) | (best.x >= LOG_RANGE[1]) & (slope < 0), 0.0, slope)
    size = float(np.abs(free).max())
    return DirichletFit(np.exp(best.x), value, size, int(best.nit), size <= tolerance)


def bound_and_gradient(
    x: FloatArray, lost: FloatArray, share: FloatArray, prior: FloatArray, n: int, constant: float
) -> tuple[float, FloatArray]:
    """UP(mean I, (KL + constant)/n) and its gradient in x = ln a; `lost` (patterns, voters) is 1 where a voter errs."""
    a = np.exp(x)
    wrong_sum = lost @ a
    right_sum = (1 - lost) @ a
    floor = 1e-12
    p, q = np.maximum(right_sum, floor), np.maximum(wrong_sum, floor)
    risk = float(share @ betainc(p, q, 0.5))
    by_right, by_wrong = (
        share * (betainc(p * (1 + i * _STEP), q * (1 + j * _STEP), 0.5) - betainc(p * (1 - i * _STEP), q * (1 - j * _STEP), 0.5)) / (2 * _STEP * z)
        for i, j, z in ((1, 0, p), (0, 1, q))
    )  # fmt: skip
    risk_slope = ((1 - lost).T @ by_right + lost.T @ by_wrong) * a
    total, divergence, slope = a.sum(), _divergence(a, prior), (a - prior) * polygamma(1, a)
    kl_slope = (slope - (total - prior.sum()) * polygamma(1, total)) * a
    q_hat = max(risk, 1e-12)
    c = (divergence + constant) / n
    derivative = kl_upper_derivatives(q_hat, c)
    value = float(kl_upper(q_hat, c))
    return value, float(derivative.dq) * risk_slope + float(derivative.dc) * kl_slope / n


def _divergence(a: FloatArray, b: FloatArray) -> float:
    inner = (a - b) * (digamma(a) - digamma(a.sum())) - gammaln(a) + gammaln(b)
    return max(0.0, float(inner.sum() + gammaln(a.sum()) - gammaln(b.sum())))


def concentrations_of(name: str, value: Any) -> FloatArray:
    """Positive concentrations, one for each voter."""
    array = finite(name, value, ndim=1)
    if not array.size or array.min() < 1e-100 or array.sum() > LARGEST:
        raise InvalidInput(
            f"{name} are not positive, or too large.", f"Give one in [1e-100, {LARGEST:g}] for each voter."
        )
    return array


def _votes(wrong: Any) -> NDArray[np.bool_]:
    array = finite("wrong", wrong, ndim=2)
    if not array.size or not np.isin(array, (0.0, 1.0)).all():
        raise InvalidInput(
            f"wrong has shape {array.shape} or other values than 0 and 1.", "Rows are voters, columns examples."
        )
    return array.astype(bool)
