"""The relative entropy of outcome frequencies, with the exact constant C(M,n): bounds for losses with M values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from ....numerics.bounds.vector_kl import vector_kl
from ....numerics.certified.multinomial_kl import multinomial_kl_upper, weights_of
from ....numerics.certified.nml import log_nml
from ....numerics.claims import Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import FUBINI, JENSEN, MARKOV
from ....theory.balls.split_kl import vector_kl_ball
from ....theory.derivation import Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.variance import TRIKL
from ....theory.validation import finite, log_inverse_delta, non_negative, sample_size
from ...result import ByBudget, Check, Control, Result
from ..foundations import change_of_measure, multinomial_kl, nml
from ..small_worlds import OUTCOMES, PRIOR
from .worlds import posteriors, statistic, world

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class VectorKlBoundSetting:
    """Posterior means of the outcomes' frequencies (they sum to 1), the outcomes' values, KL(Q||P) in nats, n, ln(1/delta)."""

    frequencies: NDArray[np.float64]
    values: NDArray[np.float64]
    kl: float
    n: int
    log_inv_delta: float

    def __post_init__(self) -> None:
        u, f = weights_of("frequencies", self.frequencies), finite("values", self.values, ndim=1)
        if u.shape != f.shape or len(set(f.tolist())) < f.size or f.size < 2:
            raise InvalidInput(
                "frequencies and values do not belong together.", "One of each for at least two outcomes."
            )
        non_negative("kl", self.kl), sample_size("n", self.n), log_inverse_delta(log_inv_delta=self.log_inv_delta)


@dataclass(frozen=True)
class VectorKlBoundPrediction:
    """Both sides of the bound on the mean, and ln C(M,n)."""

    upper: float
    lower: float
    log_constant: float


DERIVATION = (
    Uses(
        change_of_measure.RESULT,
        "with f(h) = n KL(uh(h)||u(h)): E_Q f <= K + ln E_P e^f for every Q, whatever the sample",
    ),
    Uses(nml.RESULT, "E_S e^{f(h)} = C(M,n) for each h whose outcomes are all possible, and no more otherwise"),
    Axiom(FUBINI, "so E_S E_P e^f <= C(M,n), because P does not depend on the sample"),
    Axiom(MARKOV, "so E_Q f <= K + ln(C(M,n)/delta) for all Q, with probability at least 1-delta"),
    Axiom(JENSEN, "the relative entropy is jointly convex: n KL(uh_Q||u_Q) <= E_Q f"),
    Uses(multinomial_kl.RESULT, "the largest and the smallest mean that this leaves"),
)

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: VectorKlBoundSetting) -> VectorKlBoundPrediction:
    found = _certificate(s)
    assert found.lower is not None
    return VectorKlBoundPrediction(found.raw, found.lower, float(log_nml(len(s.values), s.n)))


def _certificate(s: VectorKlBoundSetting) -> Any:
    return vector_kl(frequencies=s.frequencies, values=s.values, kl=s.kl, n=s.n, log_inv_delta=s.log_inv_delta)


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> VectorKlBoundSetting:
    s = multinomial_kl.sample(rng)
    return VectorKlBoundSetting(
        s.u, s.f, float(10 ** rng.uniform(-2, 4)), int(10 ** rng.uniform(0, 7)), float(10 ** rng.uniform(-0.5, 2.5))
    )


def _width(s: VectorKlBoundSetting) -> float:
    """That of the inverse, and c rounded up by at most (2M + 20) half-ulps in ln C and 4 more: the gap is concave in c."""
    m, size = len(s.values), float(np.abs(s.values).max())
    return (
        multinomial_kl.width(multinomial_kl.VectorKlSetting(s.frequencies, s.values, 0.0))
        + (2 * m + 30) * size * HALF_ULP
    )


UPPER = Formula(
    expression=lambda s: vector_kl_ball(s.frequencies.tolist(), s.values.tolist(), s.kl, s.n, s.log_inv_delta)[0],
    shipped=lambda s: _certificate(s).raw,
    read=lambda p: p.upper,
    sample=sample,
    width=_width,
    side="upper",
    count=40,
)
LOWER = replace(
    UPPER,
    expression=lambda s: vector_kl_ball(s.frequencies.tolist(), s.values.tolist(), s.kl, s.n, s.log_inv_delta)[1],
    shipped=lambda s: _certificate(s).lower,
    read=lambda p: p.lower,
    side="lower",
    count=25,
)


def with_constant(s: VectorKlBoundSetting, log_constant: float, n: float | None = None) -> float:
    c = (s.kl + log_constant + s.log_inv_delta) / (n or s.n)
    return float(multinomial_kl_upper(s.frequencies, s.values, c))


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(UPPER, shipped=function)}


def _frequencies() -> np.ndarray:
    """Empirical frequencies of the outcomes -1, 0, 1, samples x hypotheses x outcomes."""
    w = world("excess")
    return np.stack([w.empirical((w.losses == value).astype(float)) for value in (-1.0, 0.0, 1.0)], axis=-1)


def compare_world(s: VectorKlBoundSetting, p: VectorKlBoundPrediction, rows: Rows) -> Coverage:
    w = world("excess")
    true = np.stack([(w.losses == value) @ OUTCOMES for value in (-1.0, 0.0, 1.0)], axis=-1)
    phi = w.n * rel_entr(_frequencies(), true).sum(axis=-1)
    found = float(w.probability[statistic(phi) > p.log_constant + s.log_inv_delta].sum())
    moment = float(w.probability @ (np.exp(phi) @ PRIOR))
    return Coverage(float(np.exp(-s.log_inv_delta)), moment, float(np.exp(p.log_constant)), found)


def compare_certificates(
    s: VectorKlBoundSetting, p: VectorKlBoundPrediction, rows: Rows, *, constant: Any = None
) -> Coverage:
    """The shipped certificate, both sides, at posteriors that follow the sample."""
    w = world("excess", 8)
    mean = w.empirical(w.losses)
    true = w.risk
    u = np.stack([w.empirical((w.losses == value).astype(float)) for value in (-1.0, 0.0, 1.0)], axis=-1)
    failed = np.zeros(len(mean), dtype=bool)
    for q, kl in posteriors(mean):
        c = (kl + (log_nml(3, w.n) + s.log_inv_delta if constant is None else constant)) / w.n
        at = np.einsum("ih,iho->io", q, u)
        at = at / at.sum(axis=1, keepdims=True)
        upper = multinomial_kl_upper(at, [-1.0, 0.0, 1.0], c)
        lower = -multinomial_kl_upper(at, [1.0, 0.0, -1.0], c)
        failed |= (upper < q @ true - 1e-12) | (lower > q @ true + 1e-12)
    return Coverage(
        float(np.exp(-s.log_inv_delta)),
        failure=float(w.probability[failed].sum()),
        note="posteriors that follow the sample",
    )


def compare_narrow(s: VectorKlBoundSetting, p: VectorKlBoundPrediction, rows: Rows) -> Coverage:
    return compare_certificates(s, p, rows, constant=0.3)


SETTING = VectorKlBoundSetting(np.array([0.2, 0.5, 0.3]), np.array([-1.0, 0.0, 1.0]), 0.0, 12, float(np.log(10)))

CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        UPPER,
        controls=(
            Control("ln C dropped", _mutant(lambda s: with_constant(s, 0.0))),
            Control("xi(n) whatever M", _mutant(lambda s: with_constant(s, float(log_nml(2, s.n)) + (len(s.values) == 2)))),
            Control("one outcome more", _mutant(lambda s: with_constant(s, float(log_nml(len(s.values) + 1, s.n))))),
            Control("n + 1 for n", _mutant(lambda s: with_constant(s, float(log_nml(len(s.values), s.n)), s.n + 1))),
        ),
    ),
    Check(
        "the shipped lower side, rounded downward",
        LOWER,
        controls=(Control("delta halved for two sides", {"claim": replace(LOWER, shipped=lambda s: _certificate(replace(s, log_inv_delta=s.log_inv_delta + np.log(2))).lower)}),),
    ),
    Check(
        "excess losses: exact moment and failure probability",
        HighProbabilityBound(),
        settings=ByBudget(quick=(SETTING,)),
        compare=compare_world,
        controls=(
            Control("1 in place of C(3,n)", {"predict": lambda s: replace(predict(s), log_constant=0.0)}),
            Control("xi(n) in place of C(3,n)", {"predict": lambda s: replace(predict(s), log_constant=float(log_nml(2, s.n)))}),
        ),
    ),
    Check(
        "excess losses: both sides at posteriors that follow the sample",
        HighProbabilityBound(),
        settings=ByBudget(quick=(SETTING,)),
        compare=compare_certificates,
        controls=(Control("0.3 nats for ln(C/delta)", {"compare": compare_narrow}),),
    ),
)  # fmt: skip

RESULT = Result(
    TRIKL,
    predict=predict,
    example=VectorKlBoundSetting(
        np.array([0.08, 0.05, 0.87]), np.array([1.0, -1.0, 0.0]), 50.0, 10_000, float(-np.log(0.05))
    ),
    checks=CHECKS,
    uses=(change_of_measure.RESULT, nml.RESULT, multinomial_kl.RESULT),
    derivation=DERIVATION,
)
RESULTS = (RESULT,)
