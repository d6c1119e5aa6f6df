"""PAC2-Bayes (pb.pac2): a bound on the log-loss of the averaged model, from the mean loss of pairs of models, at twice the KL."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.diversity import PAC2, PAC2_ORACLE
from ...theory.validation import finite, non_negative, sample_size
from ..certified import kl_upper
from ..certified.outward import add_up, div_up, log_down, log_up, mul_up
from ..diversity.jensen import loss_array
from .certificate import Certificate
from .issue import issue, scalar, spend
from .seeger import complexity

EVENT = "PAC-Bayes-kl over the sample, for pairs"
ORACLE_EVENT = "linear PAC-Bayes bound over the sample, for pairs"
QUANTITY = "true log-loss of the average of the clamped probabilities"
_UNIT = 2.0**-53


def pac2(
    *,
    risk: float,
    kl: float,
    n: int,
    p_min: float,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Certificate for the log-loss of the averaged model: B UP(risk/B, (2 kl + ln(xi(n)/delta))/n), B = ln(1/p_min).

    Parameters
    ----------
    risk: `pair_log_loss` on the n examples, in [0, B]: mean over pairs from rho x rho of (-ln p - ln p')/2 - (p - p')^2/4, with
        probabilities clamped to [p_min, 1].
    kl: KL(rho||P) of one model, in [0, inf]; pairs cost twice that.
    n: number of examples that the risk was averaged over and that the prior never saw.
    p_min: in (0, 1), fixed before the data.
    delta, log_inv_delta: exactly one.

    What is bounded is the log-loss of the average of the *clamped* probabilities. Raises `InvalidInput`. Source: Masegosa 2020, re-derived.
    """
    floor = _p_min(p_min)
    low, high = -log_up(floor), -log_down(floor)
    r = float(non_negative("risk", finite("risk", scalar("risk", risk))))
    if r > high * (1 + 2.0**-40):
        raise InvalidInput(f"risk is {r:g}, above ln(1/p_min) = {high:g}.", "Compute it with `pair_log_loss`.")
    divergence, size = float(non_negative("kl", scalar("kl", kl))), sample_size("n", n)
    spent = spend(EVENT, delta, log_inv_delta)
    c = complexity(2 * divergence, size, spent.log_inv_delta)
    value = mul_up(high, float(kl_upper(min(1.0, div_up(r, low)), c)))
    inputs = {"risk": r, "kl": divergence, "n": size, "p_min": floor, "log_inv_delta": spent.log_inv_delta}
    return issue(PAC2, value, quantity=QUANTITY, spent=(spent,), inputs=inputs, top=high)


def pac2_oracle(
    *,
    risk: float,
    kl: float,
    tilt: float,
    log_moment: float,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Oracle for the log-loss of the averaged model: risk + (2 kl + ln(1/delta) + Psi2)/l for one l fixed in advance.

    risk: empirical mean over pairs of -ln p - (p^2 - p p')/(2 m_x^2), m_x an upper bound of p(x|theta) that depends neither on rho nor on
    the data, any finite number; kl: KL(rho||P); tilt: l > 0; log_moment: Psi2 = ln E_{P x P} E_S e^{l (L2 - L2h)} or more, which belongs to the
    distribution; delta, log_inv_delta: exactly one. Raises `InvalidInput`.
    """
    r, psi = (float(finite(name, scalar(name, x))) for name, x in (("risk", risk), ("log_moment", log_moment)))
    divergence = float(non_negative("kl", scalar("kl", kl)))
    level = float(finite("tilt", scalar("tilt", tilt)))
    if level <= 0:
        raise InvalidInput(f"tilt is {level:g}.", "It must be positive.")
    spent = spend(ORACLE_EVENT, delta, log_inv_delta)
    value = add_up(r, div_up(add_up(2 * divergence, spent.log_inv_delta, psi), level))
    inputs = {"risk": r, "kl": divergence, "tilt": level, "log_moment": psi, "log_inv_delta": spent.log_inv_delta}
    quantity = "true log-loss of the averaged model"
    return issue(PAC2_ORACLE, value, quantity=quantity, spent=(spent,), inputs=inputs, top=math.inf)


def pair_log_loss(losses: ArrayLike, *, p_min: float, weights: ArrayLike | None = None) -> float:
    """Mean over examples and over pairs from rho x rho of (-ln p - ln p')/2 - (p - p')^2/4, rounded up: the risk that `pac2` takes.

    losses: (models, examples) of -ln p(y|x), not negative up to rounding (negative ones count as 0), p clamped to [p_min, 1]; weights: rho,
    sum 1 (default: equal). Equal to the mean over examples of E_rho(-ln p) - Var_rho(p)/2. Raises `InvalidInput`.
    """
    floor = _p_min(p_min)
    array, rho = loss_array(losses, weights)
    clamped = np.clip(array, 0.0, -log_down(floor))
    p = np.maximum(np.exp(-clamped), floor)
    m = len(rho)
    # Losses are exact up to the clamp (two ulps), p to 5 half-ulps of at most 1. A mean over models carries (m + 3) half-ulps, over examples
    # (NumPy sums blocks) fewer than 64 more; Var_rho(p) <= 1/4 moves by at most 2 sd (10 + 2 (m + 3)) <= 2 m + 16 half-ulps.
    mean = rho @ clamped
    variance = rho @ (p - rho @ p) ** 2
    examples = mean.size
    value = math.fsum(mean - 0.5 * variance) / examples
    slack = (m + 16) * math.fsum(mean) / examples + 2 * m + 32
    if not clamped.any():
        return 0.0
    return max(0.0, value + slack * _UNIT)


def _p_min(value: float) -> float:
    floor = float(finite("p_min", scalar("p_min", value)))
    if not 0 < floor < 1:
        raise InvalidInput(
            f"p_min is {floor:g}.", "Probabilities are clamped to [p_min, 1]: it lies strictly between 0 and 1."
        )
    return floor
