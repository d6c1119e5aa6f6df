"""The smallest number that a generic PAC-Bayes bound could ever give (pb.smalldata): a yardstick, and no bound."""

from __future__ import annotations

import math

from ...theory.validation import log_inverse_delta, non_negative, sample_size, unit_interval
from ..certified import kl_upper
from .issue import scalar


def small_data_envelope(
    *, risk: float, kl: float, n: int, delta: float | None = None, log_inv_delta: float | None = None
) -> float:
    """UP(risk, (kl + ln(1/delta))/n), rounded down: NOT an upper bound on the risk, and never to be reported as one.

    Every bound that depends on the empirical Gibbs risk, KL(Q||P), n and delta alone lies above it; what is missing from a bound to
    this number cannot be gained by a better proof of that kind. When KL is large beside the examples one could hold out, a test
    bound does better. Arguments and errors are those of `seeger_kl`.
    """
    q, divergence = float(unit_interval("risk", scalar("risk", risk))), float(non_negative("kl", scalar("kl", kl)))
    size, level = sample_size("n", n), log_inverse_delta(delta, log_inv_delta)
    if math.isinf(divergence):
        return 1.0
    # sum and quotient half an ulp each; `kl_upper` is at most 12 half-ulps above the inverse of its argument, which is concave
    c = max(0.0, math.nextafter((divergence + level) / size, 0.0) * (1 - 2 * 2.0**-53))
    return max(q, float(kl_upper(q, c)) * (1 - 14 * 2.0**-53))
