"""The log-loss in the linear bound: its minimiser is the Bayes posterior and its value the marginal likelihood, in a conjugate model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx
from numpy.typing import NDArray

from ....numerics.claims import Agreement, Comparison, Enclosures, Identity
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import GAUSSIAN_AFFINE
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.large_deviations import GERMAIN_NLL
from ....theory.validation import finite
from ...result import ByBudget, Check, Control, Result
from ..foundations import change_of_measure

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class ConjugateSetting:
    """Design X (n x d), targets y, noise variance, prior variance of each weight."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    noise: float
    prior: float

    def __post_init__(self) -> None:
        x, y = finite("x", self.x, ndim=2), finite("y", self.y, ndim=1)
        if len(x) != len(y) or not x.size or not min(self.noise, self.prior) > 0:
            raise InvalidInput("x, y and the variances do not match.", "n x d, n, and two positive numbers.")


@dataclass(frozen=True)
class ConjugatePrediction:
    """Lh_Q + K/n at the Bayes posterior, and -(1/n) ln Z."""

    objective: float
    evidence: float


def variational_gap() -> list[tuple[Any, Any]]:
    import sympy

    q, p, like, z, n = sympy.symbols("q p like z n", positive=True)
    posterior = p * like / z  # density at one point; its expectation under Q makes the terms
    left = -sympy.log(like) / n + sympy.log(q / p) / n
    right = sympy.log(q / posterior) / n - sympy.log(z) / n
    return [(sympy.expand_log(left, force=True), sympy.expand_log(right, force=True))]


DERIVATION = (
    Algebra("point by point: -ln p(D|theta)/n + ln(q/p)/n = ln(q/posterior)/n - ln(Z)/n", variational_gap),
    Uses(change_of_measure.RESULT, "with f = -n Lh: the least Lh_Q + K/n is -(1/n) ln E_P e^{-n Lh} = -(1/n) ln Z, at dQ/dP = e^{-n Lh}/Z"),
    Axiom(GAUSSIAN_AFFINE, "in the conjugate model y is N(0, noise I + prior X X^T), which gives ln Z without the posterior"),
)  # fmt: skip


def predict(s: ConjugateSetting) -> ConjugatePrediction:
    n, d = s.x.shape
    precision = s.x.T @ s.x / s.noise + np.eye(d) / s.prior
    cov = np.linalg.inv(precision)
    mean = cov @ s.x.T @ s.y / s.noise
    residual = s.y - s.x @ mean
    loss = n / 2 * np.log(2 * np.pi * s.noise) + (residual @ residual + np.trace(s.x @ cov @ s.x.T)) / (2 * s.noise)
    kl = (
        np.trace(cov) / s.prior + mean @ mean / s.prior - d + d * np.log(s.prior) + np.linalg.slogdet(precision)[1]
    ) / 2
    covariance = s.noise * np.eye(n) + s.prior * s.x @ s.x.T
    evidence = (s.y @ np.linalg.solve(covariance, s.y) + np.linalg.slogdet(covariance)[1] + n * np.log(2 * np.pi)) / 2
    return ConjugatePrediction(float(loss + kl) / n, float(evidence) / n)


def _mat(a: Any) -> arb_mat:
    rows = np.atleast_2d(np.asarray(a, dtype=np.float64))
    return arb_mat([[arb(float(v)) for v in row] for row in rows])


def _trace(m: arb_mat) -> arb:
    return sum((m[i, i] for i in range(m.nrows())), arb(0))


def exact_parts(s: ConjugateSetting, shift: NDArray[np.float64], stretch: float) -> tuple[arb, arb, arb, arb]:
    """In balls, for Q = N(posterior mean + shift, stretch * posterior covariance): n Lh_Q, KL(Q||P), KL(Q||posterior), -ln Z."""
    n, d = s.x.shape
    x, y, noise, prior = _mat(s.x), _mat(s.y).transpose(), arb(s.noise), arb(s.prior)
    eye = _mat(np.eye(d))
    precision = x.transpose() * x * (1 / noise) + eye * (1 / prior)
    cov = precision.inv()
    best = cov * x.transpose() * y * (1 / noise)
    step = _mat(shift).transpose()
    mean, r = best + step, arb(stretch)
    residual = y - x * mean
    two_pi = 2 * arb.pi()
    loss = n * (two_pi * noise).log() / 2 + (
        (residual.transpose() * residual)[0, 0] + r * _trace(x * cov * x.transpose())
    ) / (2 * noise)
    log_det = -precision.det().log() + d * r.log()
    kl = ((r * _trace(cov) + (mean.transpose() * mean)[0, 0]) / prior - d + d * prior.log() - log_det) / 2
    to_posterior = ((step.transpose() * precision * step)[0, 0] + d * (r - 1 - r.log())) / 2
    covariance = _mat(np.eye(n)) * noise + x * x.transpose() * prior
    evidence = ((y.transpose() * covariance.inv() * y)[0, 0] + covariance.det().log() + n * two_pi.log()) / 2
    return loss, kl, to_posterior, evidence


def compare_identity(
    s: ConjugateSetting,
    p: ConjugatePrediction,
    rows: Rows,
    *,
    weight: float = 1.0,
    gap: float = 1.0,
    const: float = 1.0,
) -> Enclosures:
    """Lh_Q + K/n - KL(Q||posterior)/n + (1/n) ln Z = 0 at the posterior and at three other Gaussians."""
    rng = generator(7, "pb.germain_nll", s.y.tolist())
    found = []
    with ctx.workdps(60):
        for scale, stretch in ((0.0, 1.0), (0.3, 1.0), (0.0, 2.5), (1.0, 0.5)):
            loss, kl, away, evidence = exact_parts(s, scale * rng.normal(size=(s.x.shape[1],)), stretch)
            found.append((loss + weight * kl - gap * away - const * evidence) / len(s.y))
        return Enclosures(
            np.array([float(x.lower()) for x in found]), np.array([float(x.upper()) for x in found]), 1e-30
        )


def compare_half_kl(s: ConjugateSetting, p: ConjugatePrediction, rows: Rows) -> Enclosures:
    return compare_identity(s, p, rows, weight=0.5)


def compare_no_gap(s: ConjugateSetting, p: ConjugatePrediction, rows: Rows) -> Enclosures:
    """Every Q claimed to attain the minimum."""
    return compare_identity(s, p, rows, gap=0.0)


def compare_float(s: ConjugateSetting, p: ConjugatePrediction, rows: Rows) -> Comparison:
    """Both float64 numbers against the ball of -(1/n) ln Z.

    Inverses and solutions err by at most 4 n u cond relatively, of terms that sum, in absolute value, to `size`.
    """
    with ctx.workdps(60):
        exact = float((exact_parts(s, np.zeros(s.x.shape[1]), 1.0)[3] / len(s.y)).mid())
    n = len(s.y)
    cond = np.linalg.cond(s.noise * np.eye(n) + s.prior * s.x @ s.x.T)
    size = (n * abs(np.log(2 * np.pi * s.noise)) + s.y @ s.y / s.noise + n + abs(np.log(cond)) * n) / n
    bound = np.full(2, 4 * n * HALF_ULP * cond * size)
    return Comparison(np.array([p.objective, p.evidence]), np.full(2, exact), bound, size)


def conjugate(count: int) -> tuple[ConjugateSetting, ...]:
    found = []
    for i in range(count):
        rng = generator(8, "pb.germain_nll", i)
        x = rng.normal(size=(int(rng.integers(3, 9)), int(rng.integers(1, 4))))
        found.append(
            ConjugateSetting(
                x,
                x @ rng.normal(size=x.shape[1]) + rng.normal(size=len(x)),
                float(rng.uniform(0.3, 2)),
                float(rng.uniform(0.3, 2)),
            )
        )
    return tuple(found)


MODELS = conjugate(6)


def _off(name: str, function: Any) -> dict[str, Any]:
    return {"predict": lambda s: replace(predict(s), **{name: float(function(s))})}


CHECKS = (
    Check(
        "conjugate model: Lh_Q + K/n = KL(Q||posterior)/n - ln(Z)/n",
        Identity(),
        settings=ByBudget(quick=MODELS),
        compare=compare_identity,
        controls=(Control("half of K", {"compare": compare_half_kl}), Control("the gap forgotten", {"compare": compare_no_gap})),
    ),
    Check(
        "conjugate model: both float64 routes",
        Agreement("rounding"),
        settings=ByBudget(quick=MODELS),
        compare=compare_float,
        controls=(
            Control("K dropped: the loss alone", _off("objective", lambda s: predict(s).objective - np.log(2) / len(s.y))),
            Control("evidence of the noise alone", _off("evidence", lambda s: (s.y @ s.y / s.noise + len(s.y) * np.log(2 * np.pi * s.noise)) / (2 * len(s.y)))),
        ),
    ),
)  # fmt: skip

RESULT = Result(GERMAIN_NLL, predict=predict, example=MODELS[0], checks=CHECKS, uses=(change_of_measure.RESULT,), derivation=DERIVATION)  # fmt: skip
