"""What the distance between Gaussian laws is held to: the Bures formula at 50 digits, and couplings drawn at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, fmpq, fmpq_poly
from jaxtyping import Float

from ....numerics.claims import Enclosures
from ....numerics.implicit_bias.gaussian_law import GaussianLaw
from ....numerics.store import Rows
from ...result import Run
from ..problems import rational, sum_of_squares

UNIT_ROUNDOFF = 2.0**-53


@dataclass(frozen=True, eq=False)
class TwoLawsSetting:
    """Means (parameters,) and factors (parameters, rank) of two Gaussian laws; the ranks may differ."""

    first_mean: Float[np.ndarray, " parameters"]
    first_factor: Float[np.ndarray, "parameters rank_1"]
    second_mean: Float[np.ndarray, " parameters"]
    second_factor: Float[np.ndarray, "parameters rank_2"]

    @property
    def laws(self) -> tuple[GaussianLaw, GaussianLaw]:
        return GaussianLaw(self.first_mean, self.first_factor), GaussianLaw(self.second_mean, self.second_factor)

    def __post_init__(self) -> None:
        self.laws  # noqa: B018 -- the laws validate themselves


@dataclass(frozen=True, eq=False)
class DistancePrediction:
    """W2^2 and W2, in (squared) units of the weights."""

    squared: float
    distance: float


def unrelated_laws(rng: np.random.Generator) -> TwoLawsSetting:
    """Two laws of any ranks, singular or not, in up to four dimensions."""
    p = int(rng.integers(1, 5))
    one, two = ((rng.normal(size=p), rng.normal(size=(p, int(rng.integers(1, p + 2))))) for _ in range(2))
    return TwoLawsSetting(*one, *two)


def neighbours(rng: np.random.Generator) -> TwoLawsSetting:
    """Two laws 1e-9 to 1 apart, whose factors are turned against each other; half of them with columns down to 1e-11."""
    s = unrelated_laws(rng)
    apart, shape = 10 ** rng.uniform(-9, 0), s.first_factor.shape
    lengths = 10.0 ** -(np.array([0, 5, 8, 11, 11])[: shape[1]] * rng.integers(2))
    first = s.first_factor * lengths
    start, turn = (np.linalg.qr(rng.normal(size=(shape[1], shape[1])))[0] for _ in range(2))
    second = (first + apart * lengths * rng.normal(size=shape)) @ turn
    return TwoLawsSetting(s.first_mean, first @ start, s.first_mean + apart * s.second_mean, second)


def bures_squared(s: TwoLawsSetting) -> arb:
    """||shift||^2 + tr A + tr B - 2 tr (A^{1/2} B A^{1/2})^{1/2} from the covariances A, B alone, in exact arithmetic.

    The last trace is the sum of the square roots of the eigenvalues of A B: the roots of its characteristic polynomial,
    computed in fractions and isolated rigorously, repeated ones included.
    """
    first, second = rational(s.first_factor), rational(s.second_factor)
    a, b = first * first.transpose(), second * second.transpose()
    trace = sum((a[i, i] + b[i, i] for i in range(a.nrows())), fmpq(0))
    shift = sum_of_squares(rational(s.first_mean) - rational(s.second_mean))
    return arb(trace + shift) - 2 * sum((r.sqrt() for r in positive_roots((a * b).charpoly())), arb(0))


def positive_roots(polynomial: Any) -> list[arb]:
    """Nonzero roots with multiplicity, of a polynomial whose roots are all real and at least 0."""
    zeros = next(k for k, c in enumerate(polynomial.coeffs()) if c != 0)
    nonzero: Any = fmpq_poly(polynomial.coeffs()[zeros:])
    if nonzero.degree() == 0:
        return []
    return [root.real for root, multiplicity in nonzero.complex_roots() for _ in range(multiplicity)]


def scale_squared(s: TwoLawsSetting) -> float:
    shift = float(np.sum((np.abs(s.first_mean) + np.abs(s.second_mean)) ** 2))
    return shift + float(np.sum(s.first_factor**2) + np.sum(s.second_factor**2))


def rounding(s: TwoLawsSetting) -> np.ndarray:
    """Absolute errors of W2^2 by the nuclear form and of W2 by the polar form.

    A product of p terms errs by p u relative to the absolute values, a decomposition by max(p, r) 2 u of its norm, a
    nuclear norm of rank r by r times the spectral error; sums of p r squares add p r u. The polar form decomposes both
    factors and their product; each moves a factor by max(p, r) 2 u of its size.
    """
    p, rank = len(s.first_mean), max(s.first_factor.shape[1], s.second_factor.shape[1])
    size = scale_squared(s)
    squared = (p * (rank + 1) + 2 * rank * (p + 2 * max(p, rank)) + 4) * UNIT_ROUNDOFF * size
    return np.array([squared, 10 * max(p, rank) * UNIT_ROUNDOFF * np.sqrt(size)])


def draw_couplings(setting: TwoLawsSetting, run: Run) -> dict[str, Any]:
    """E||w - w'||^2 of couplings w = m_1 + S_1 z, w' = m_2 + S_2 z', E z z'^T = K, for random contractions K.

    From unrelated K to near the best: turns of the identity, and random rotations of either side.
    """
    rng = np.random.default_rng(run.seed)
    s = setting
    fixed = float(np.sum((s.first_mean - s.second_mean) ** 2) + np.sum(s.first_factor**2) + np.sum(s.second_factor**2))
    shape = s.first_factor.shape[1], s.second_factor.shape[1]
    costs = []
    for _ in range(run.block["couplings"]):
        k = rng.normal(size=shape)
        if rng.random() < 0.7:  # climb towards larger tr(K^T S_1^T S_2), from a random start, over the contractions
            for _ in range(int(rng.integers(1, 30))):
                left, values, right = np.linalg.svd(k + 2 * s.first_factor.T @ s.second_factor, full_matrices=False)
                k = left * np.minimum(values, 1) @ right
        k = k / max(1.0, float(np.linalg.norm(k, 2)) * (1 + 1e-12))
        costs.append(fixed - 2 * float(np.sum(k * (s.first_factor.T @ s.second_factor))))
    return {"cost": np.array(costs)}


def compare_couplings(s: TwoLawsSetting, p: DistancePrediction, rows: Rows) -> Enclosures:
    """No coupling is cheaper than W2^2; the cheapest drawn is within 1e-6 of it, so that nothing larger would pass."""
    error = 2 * float(rounding(s)[0]) / scale_squared(s)
    gap = (rows["cost"] - p.squared) / scale_squared(s)
    nearest = 1e-6 - float(gap.min())
    values = np.append(gap, nearest)
    return Enclosures(values - error, values + error, width=3 * error)
