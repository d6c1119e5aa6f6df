"""K heads over several points: a Wishart estimate of the ensemble covariance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import scipy.stats
import sympy
from flint import arb
from jaxtyping import Float
from scipy.special import digamma, polygamma

from ....numerics.claims import EqualInLaw, Formula, Samples
from ....numerics.randomness import sub_seed
from ....numerics.store import Rows
from ....numerics.wide_networks.ensemble import ensemble_covariance
from ....numerics.wide_networks.heads import (
    head_covariance,
    head_covariance_deviation,
)
from ....theory.axioms import GAUSSIAN_AFFINE, INDEPENDENCE
from ....theory.balls.smoothers import matrix
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.infinite_width.distillation import RND_WISHART
from ....theory.validation import finite, sample_size
from ...result import Check, Control, Result, Run
from ..dynamics import ensemble_law
from ..settings import EnsembleSetting, blocks
from ..wide_dynamics import distilled_heads
from . import head_independence, heads_chi2


@dataclass(frozen=True, eq=False)
class CovarianceSetting:
    """The ensemble covariance (S, S) at the test points and the number of heads."""

    covariance: Float[np.ndarray, "test test"]
    heads: int

    def __post_init__(self) -> None:
        c = finite("covariance", self.covariance, ndim=2)
        if c.shape[0] != c.shape[1] or not (c == c.T).all():
            raise InvalidInput(f"covariance has shape {c.shape} or is not symmetric.", "Pass a covariance matrix.")
        sample_size("heads", self.heads)


@dataclass(frozen=True)
class WishartPrediction:
    """Means and standard deviations (S, S) of the entries of the estimate."""

    mean: Float[np.ndarray, "test test"]
    deviation: Float[np.ndarray, "test test"]


# --- derivations --------------------------------------------------------------------------------------------------


def fourth_moments() -> list[tuple[Any, Any]]:
    """Var(x y) = c^2 + a b for (x, y) ~ N(0, [[a, c], [c, b]]): with x = p u, y = q u + r v and normal moments 1, 3."""
    p, q, r = sympy.symbols("p q r", positive=True)
    # E u^4 = 3, E u^2 v^2 = 1, odd ones 0: E (p u (q u + r v))^2 = p^2 (3 q^2 + r^2)
    second = p**2 * (3 * q**2 + r**2)
    a, b, c = p**2, q**2 + r**2, p * q
    return [(second - c**2, c**2 + a * b)]


DERIVATION = (
    Uses(head_independence.RESULT, "the errors e_i over the points are independent N(0, 2 Sigma)"),
    Axiom(GAUSSIAN_AFFINE, "e_i/sqrt(2) is N(0, Sigma), and the sum of outer products of K of these is Wishart(Sigma, K) by definition"),
    Algebra("an entry x_i x_j has variance Sigma_ij^2 + Sigma_ii Sigma_jj", fourth_moments),
    Axiom(INDEPENDENCE, "and the mean of K independent ones a K-th of it"),
)  # fmt: skip

# --- predictions --------------------------------------------------------------------------------------------------


def predict(s: CovarianceSetting) -> WishartPrediction:
    return WishartPrediction(s.covariance, head_covariance_deviation(s.covariance, heads=s.heads))


# --- checks: Wishart ----------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> CovarianceSetting:
    size = int(rng.integers(1, 4))
    root = rng.integers(-9, 10, size=(size, size + 1)).astype(float)
    return CovarianceSetting(root @ root.T + np.eye(size), int(rng.integers(1, 300)))


def last_step(s: CovarianceSetting) -> list[arb]:
    """Isserlis' theorem: Var(x_i x_j) = C_ii C_jj + C_ij C_ij, over the number of heads."""
    c, n = matrix(s.covariance.tolist()), len(s.covariance)
    variances = [(c[i, i] * c[j, j] + c[i, j] * c[j, i]) / s.heads for i in range(n) for j in range(n)]
    return c.entries() + [value.sqrt() for value in variances]


def flatten(p: WishartPrediction) -> np.ndarray:
    return np.concatenate([p.mean.ravel(), p.deviation.ravel()])


FORMULA = Formula(
    expression=last_step,
    shipped=lambda s: flatten(predict(s)),
    read=flatten,
    sample=sample,
    width=lambda s: np.repeat([0.0, 1e-15], s.covariance.size),
    count=40,
)


def _deviation(function: Callable[[CovarianceSetting], Any]) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=lambda s: flatten(WishartPrediction(s.covariance, function(s))))}


def _without_square(s: CovarianceSetting) -> np.ndarray:
    d = np.diag(s.covariance)
    return np.sqrt(np.outer(d, d) / s.heads)


HEADS, POINTS = heads_chi2.HEADS, 2


def _summaries(estimate: np.ndarray) -> np.ndarray:
    """Variance at the first point, covariance, trace and log determinant of (models, 2, 2)."""
    trace = np.trace(estimate, axis1=1, axis2=2)
    return np.stack([estimate[:, 0, 0], estimate[:, 0, 1], trace, np.linalg.slogdet(estimate)[1]], axis=1)


NAMES = ("variance", "covariance", "trace", "log determinant")


def infinite_heads(s: EnsembleSetting, run: Run, *, one_target: bool = False) -> Mapping[str, Any]:
    """Estimates over the first two test points, from HEADS heads after descent from Gaussian draws."""
    k, t = blocks(s)
    seed = sub_seed(run.seed, "heads")
    errors = distilled_heads(k, t, models=run.block["models"], heads=HEADS, seed=seed, one_target=one_target)
    return dict(zip(NAMES, _summaries(head_covariance(errors[:, :, :POINTS])).T, strict=True))


def covariance_of(s: EnsembleSetting) -> CovarianceSetting:
    return CovarianceSetting(ensemble_covariance(*blocks(s))[:POINTS, :POINTS], HEADS)


def compare_law(
    s: EnsembleSetting,
    p: CovarianceSetting,
    rows: Rows,
    *,
    degrees: int = HEADS,
    factor: float = 1.0,
    correlated: bool = True,
) -> Samples:
    """Against Bartlett's construction of a Wishart matrix and its exact moments."""
    c = factor * (p.covariance if correlated else np.diag(np.diag(p.covariance)))
    observed = np.stack([rows[name] for name in NAMES], axis=1)
    rng = np.random.default_rng(sub_seed(0, "Bartlett"))
    reference = scipy.stats.wishart(degrees, c / degrees).rvs(size=len(observed), random_state=rng)
    half = (degrees - np.arange(POINTS)) / 2
    mean = [c[0, 0], c[0, 1], np.trace(c), np.linalg.slogdet(2 * c / degrees)[1] + digamma(half).sum()]
    variance = [2 * c[0, 0] ** 2, c[0, 1] ** 2 + c[0, 0] * c[1, 1], 2 * np.trace(c @ c)]
    variance = [*(value / degrees for value in variance), polygamma(1, half).sum()]
    return Samples(NAMES, observed, reference=_summaries(reference), mean=np.array(mean), variance=np.array(variance))


EXAMPLE = CovarianceSetting(np.array([[0.5, 0.2], [0.2, 0.4]]), 6)
CHECKS = (
    Check(
        "shipped deviations",
        FORMULA,
        controls=(
            Control("variance S_ii S_jj only", _deviation(_without_square)),
            Control("K - 1 for K", _deviation(lambda s: head_covariance_deviation(s.covariance, heads=s.heads + 1))),
            Control("variances for deviations", _deviation(lambda s: predict(s).deviation ** 2)),
        ),
    ),
    Check(
        "heads over two points",
        EqualInLaw(distance=0.045),
        settings=ensemble_law.BOTH,
        experiment=infinite_heads,
        plan=heads_chi2.MODELS,
        predict=covariance_of,
        compare=compare_law,
        controls=(
            Control("K + 1 degrees of freedom", {"compare": partial(compare_law, degrees=HEADS + 1)}),
            Control("factor 2 forgotten", {"compare": partial(compare_law, factor=2.0)}),
            Control("points taken as independent", {"compare": partial(compare_law, correlated=False)}),
            Control("one target for all heads", {"experiment": partial(infinite_heads, one_target=True)}),
        ),
    ),
)  # fmt: skip

RESULT = Result(RND_WISHART, predict, EXAMPLE, CHECKS, uses=(head_independence.RESULT,), derivation=DERIVATION)
