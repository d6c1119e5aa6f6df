"""Tests of one-dimensional laws whose p-values hold at every sample size used here, and how many draws they need."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtr

from .claims import FloatArray, Samples
from .intervals import ALPHA

LEAST = (
    458  # from here on 2 exp(-m D^2) bounds the tail of the two-sample distance of m and m draws (Wei and Dudley 2012)
)
_LEVELS = 41  # quantiles kept for the figure


@dataclass(frozen=True)
class LawTest:
    """One test of one column and its p-value."""

    name: str
    p: float


def law_tests(samples: Samples) -> list[LawTest]:
    """Every test that the evidence allows: distances to the reference and to the stated law, means and variances.

    Raises ValueError for evidence that tests nothing, is not finite or is too small.
    """
    observed = _table("observed", samples.observed, len(samples.names))
    rows = len(observed)
    if rows < LEAST:
        raise ValueError(f"a law needs at least {LEAST} draws, not {rows}")
    found: list[LawTest] = []
    if samples.reference is not None:
        reference = _table("reference", samples.reference, len(samples.names))
        if len(reference) != rows:
            raise ValueError(f"{len(reference)} reference draws for {rows}: the two-sample bound needs as many")
        for name, a, b in zip(samples.names, observed.T, reference.T, strict=True):
            found.append(LawTest(f"{name}: two-sample distance", _tail(rows / 2, two_sample_distance(a, b))))
    if samples.cdf is not None:
        cdf = _table("cdf", samples.cdf, len(samples.names))
        if len(cdf) != rows or cdf.min() < 0 or cdf.max() > 1:
            raise ValueError("a distribution function has a value in [0, 1] for every draw")
        for name, u in zip(samples.names, cdf.T, strict=True):
            found.append(LawTest(f"{name}: distance to the stated law", _tail(rows, uniform_distance(u))))
    for moment, stated in (("mean", samples.mean), ("variance", samples.variance)):
        if stated is None:
            continue
        for name, x, value in zip(samples.names, observed.T, np.atleast_1d(stated), strict=True):
            terms = x if moment == "mean" else (x - x.mean()) ** 2 * rows / (rows - 1)
            found.append(LawTest(f"{name}: {moment}", _student(terms, float(value))))
    if not found:
        raise ValueError("the samples come with nothing to compare them to")
    return found


def two_sample_distance(a: FloatArray, b: FloatArray) -> float:
    """Largest difference of two empirical distribution functions."""
    a, b = np.sort(a), np.sort(b)
    both = np.concatenate([a, b])
    left, right = np.searchsorted(a, both, side="right") / len(a), np.searchsorted(b, both, side="right") / len(b)
    return float(np.abs(left - right).max())


def uniform_distance(u: FloatArray) -> float:
    """Largest difference of an empirical distribution function and that of the uniform law."""
    u, n = np.sort(u), len(u)
    return float(max((np.arange(1, n + 1) / n - u).max(), (u - np.arange(n) / n).max()))


def corrected(p: list[float]) -> list[float]:
    """Holm's correction: p-values that hold for all tests at once, in the order given."""
    order = np.argsort(p)
    running, found = 0.0, [0.0] * len(p)
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p) - rank) * p[index]))
        found[index] = running
    return found


def planned_samples(distance: float, power: float, tests: int) -> int:
    """Draws after which a two-sample test at alpha/tests finds a law at this Kolmogorov distance with this probability.

    It rejects above sqrt(ln(2 tests/alpha)/m). At the point where the laws differ most, the difference of the empirical
    ones is below distance - s with probability at most exp(-m s^2) (Hoeffding for 2m independent terms of range 1/m).
    The one-sample test needs fewer.
    """
    if not (0 < distance < 1 and 0.5 <= power < 1 and tests >= 1):
        raise ValueError(f"no sample size for distance {distance}, power {power} and {tests} tests")
    root = math.sqrt(math.log(2 * tests / ALPHA)) + math.sqrt(math.log(1 / (1 - power)))
    return max(LEAST, math.ceil((root / distance) ** 2))


def quantiles(samples: Samples) -> dict[str, Any]:
    """Quantiles of the observed columns and what they are compared to, standardised, for the figure."""
    level = (np.arange(_LEVELS) + 0.5) / _LEVELS
    if samples.cdf is not None:
        return {"observed": np.quantile(samples.cdf, level, axis=0).T.tolist(), "stated": level.tolist()}
    if samples.reference is None:
        return {}
    centre, spread = samples.reference.mean(axis=0), samples.reference.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    return {
        name: ((np.quantile(table, level, axis=0) - centre) / spread).T.tolist()
        for name, table in (("observed", samples.observed), ("stated", samples.reference))
    }


def _table(name: str, value: Any, columns: int) -> FloatArray:
    table = np.asarray(value, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != columns or not np.isfinite(table).all():
        raise ValueError(f"{name} must be finite, one row for each draw and one column for each of {columns} names")
    return table


def _tail(draws: float, distance: float) -> float:
    """Massart's 2 exp(-2 n D^2), for m and m draws with n = m/2."""
    return min(1.0, 2 * math.exp(-2 * draws * distance**2))


def _student(terms: FloatArray, value: float) -> float:
    """Two-sided p-value of the mean of the terms being `value`."""
    error = terms.std(ddof=1) / math.sqrt(len(terms))
    gap = abs(float(terms.mean()) - value)
    if error == 0:
        return 1.0 if gap == 0 else 0.0
    return float(min(1.0, 2 * stdtr(len(terms) - 1, -gap / error)))
