"""Distillation measures twice the ensemble covariance under every linear training rule."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from flint import arb
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.store import Rows
from ....numerics.wide_networks.distillation import distillation_error_covariance
from ....numerics.wide_networks.gram import GramBlocks
from ....theory.axioms import INDEPENDENCE, LINEARITY
from ....theory.balls.smoothers import beside, congruence, diagonal, matrix, residual_map
from ....theory.derivation import Algebra, Axiom
from ....theory.errors import InvalidInput
from ....theory.statements.infinite_width.distillation import RND_LINEAR_SMOOTHER
from ....theory.validation import finite
from ...result import Check, Control, Result
from ..dynamics import ensemble_law
from ..settings import EnsembleSetting, blocks
from ..wide_dynamics import HALF_ULP, distillation_flow, distillation_steps, late_steps, rounding
from .error_law import ErrorPrediction, covariance_mutant
from .rnd import covariances_add_up, error_is_a_smoothed_difference, one_smoother_per_mode


@dataclass(frozen=True, eq=False)
class SmootherSetting:
    """A training rule as its matrix G (S, N), and the covariance (S+N, S+N) of the untrained network over (test, train)."""

    smoother: Float[np.ndarray, "test train"]
    nngp: Float[np.ndarray, "points points"]

    def __post_init__(self) -> None:
        g, k = finite("smoother", self.smoother, ndim=2), finite("nngp", self.nngp, ndim=2)
        if k.shape != (sum(g.shape),) * 2 or not (k == k.T).all():
            raise InvalidInput(f"nngp has shape {k.shape} for a smoother {g.shape}.", "Pass a symmetric (S+N, S+N).")


DERIVATION = (
    Algebra("flow, steps or a ridge towards u0: each moves a mode of u0(X) - g(X) by a factor that no draw enters", one_smoother_per_mode),
    Algebra("so u - g = M (u0 - g) with M = [I, -G], whatever G", error_is_a_smoothed_difference),
    Axiom(INDEPENDENCE, "u0 and g are uncorrelated"),
    Axiom(LINEARITY, "and the covariance of a linear image is M (K + K) M^T, while that of a member trained on labels is M K M^T"),
    Algebra("whose ratio is 2", covariances_add_up),
)  # fmt: skip


def _as_blocks(s: SmootherSetting) -> GramBlocks:
    tests = len(s.smoother)
    return GramBlocks(s.nngp[:tests, :tests], s.nngp[:tests, tests:], s.nngp[tests:, tests:])


def predict(s: SmootherSetting) -> ErrorPrediction:
    k = _as_blocks(s)
    return ErrorPrediction(distillation_error_covariance(smoother=s.smoother, target_nngp=k, predictor_nngp=k))


# --- checks: every rule -------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> SmootherSetting:
    tests, train = int(rng.integers(1, 4)), int(rng.integers(1, 5))
    root = rng.integers(-9, 10, size=(tests + train, tests + train + 2)).astype(float)
    return SmootherSetting(rng.normal(size=(tests, train)) * 10 ** rng.uniform(-2, 1), root @ root.T)  # K is exact


def last_step(s: SmootherSetting) -> list[arb]:
    m = residual_map(matrix(s.smoother.tolist()))
    k = matrix(s.nngp.tolist())
    return congruence(beside(m, m * arb(-1)), diagonal(k, k)).entries()


def width(s: SmootherSetting) -> np.ndarray:
    """Cholesky's backward error and two products of p terms: at most 8 p^2 half-ulps of |M|^2 |K|."""
    size, m = len(s.nngp), 1 + float(np.linalg.norm(s.smoother, 2))
    found = 8 * size**2 * HALF_ULP * 2 * m**2 * float(np.linalg.norm(s.nngp, 2))
    return found / np.abs(predict(s).error_covariance.ravel())


FORMULA = Formula(
    expression=last_step,
    shipped=lambda s: predict(s).error_covariance.ravel(),
    read=lambda p: p.error_covariance,
    sample=sample,
    width=width,
    count=60,
)


def rule_of(t: GramBlocks, rule: str, amount: float, step: float) -> np.ndarray:
    """The smoother of a rule, each by its closed form in the eigenvectors of T_XX."""
    eigenvalues, vectors = np.linalg.eigh(t.train)
    factor = {
        "time": lambda h: -np.expm1(-amount * h) / h,
        "steps": lambda h: (1 - (1 - step * h) ** amount) / h,
        "ridge": lambda h: 1 / (h + amount),
    }[rule](eigenvalues)
    return (t.cross @ vectors * factor) @ vectors.T


RULES = (*(("time", t) for t in (0.0, 0.2, 1.0, np.inf)), *(("steps", k) for k in (1, 10, 100)), ("ridge", 0.1), ("ridge", 3.0))  # fmt: skip


def compare_rules(
    s: EnsembleSetting,
    p: ErrorPrediction,
    rows: Rows,
    *,
    factor: float = 1.0,
    ensemble: tuple[str, float] | None = None,
) -> Comparison:
    """The joint dynamics of predictor and frozen target under each rule, against the shipped covariance with its smoother."""
    k, t = blocks(s)
    joint = np.asarray(np.kron(np.eye(2), k.joint()), dtype=np.float64)
    parts = []
    for rule, amount in RULES:
        late = late_steps(t, fraction=0.7)
        if rule == "time" and np.isfinite(amount):
            error, steps = distillation_flow(t, amount), 1 + amount * float(np.linalg.norm(t.train, 2))
        else:
            penalty = amount if rule == "ridge" else 0.0
            slower = 1 + penalty / float(np.linalg.eigvalsh(t.train)[-1])  # lmax grows by the penalty
            step, steps = late["step"] / slower, amount if rule == "steps" else late["steps"] * slower
            error = distillation_steps(t, steps=int(np.ceil(steps)), step=step, penalty=penalty)
        name, size = ensemble or (rule, amount)
        g = rule_of(t, name, size, late["step"])
        predicted = factor * distillation_error_covariance(smoother=g, target_nngp=k, predictor_nngp=k)
        bound, scale = rounding(t, error, joint, steps=float(steps))
        left = 4e-14 * (1 + float(np.linalg.norm(g, 2))) * scale
        full = np.ones_like(predicted)
        parts.append((error @ joint @ error.T, predicted, (bound + left) * full, scale * full))
    return Comparison(*(np.concatenate([c.ravel() for c in columns]) for columns in zip(*parts, strict=True)))


def _half(s: SmootherSetting) -> ErrorPrediction:
    return ErrorPrediction(predict(s).error_covariance / 2)


def _plus(s: SmootherSetting) -> ErrorPrediction:
    return predict(replace(s, smoother=-s.smoother))


CHECKS = (
    Check(
        "shipped covariance for any smoother",
        FORMULA,
        controls=(
            Control("factor 2 dropped", covariance_mutant(FORMULA, _half)),
            Control("[I, G] for [I, -G]", covariance_mutant(FORMULA, _plus)),
            Control("1e-9 off", {"claim": replace(FORMULA, shipped=lambda s: (1 + 1e-9) * predict(s).error_covariance.ravel())}),
        ),
    ),
    Check(
        "four times, three numbers of steps, two ridges: the dynamics of predictor and target",
        Agreement("convergence"),
        settings=ensemble_law.BOTH,
        predict=lambda s: None,
        compare=compare_rules,
        controls=(
            Control("factor 2 dropped", {"compare": partial(compare_rules, factor=0.5)}),
            Control("every rule against the converged ensemble", {"compare": partial(compare_rules, ensemble=("time", np.inf))}),
            Control("every rule against time 1", {"compare": partial(compare_rules, ensemble=("time", 1.0))}),
            Control("every rule against a ridge", {"compare": partial(compare_rules, ensemble=("ridge", 0.1))}),
        ),
    ),
)  # fmt: skip

EXAMPLE = SmootherSetting(np.array([[0.5, 0.25]]), np.array([[2.0, 1.0, 0.5], [1.0, 2.0, 0.25], [0.5, 0.25, 1.0]]))
RESULT = Result(RND_LINEAR_SMOOTHER, predict, EXAMPLE, CHECKS, derivation=DERIVATION)
