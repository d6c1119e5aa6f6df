"""Variational classification without a divergence term: mu_t = w_hat log t + w_tilde + P mu_0 + o(1), S_t -> P S_0."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb, arb_mat
from jaxtyping import Float

from ....numerics.claims import Agreement, Formula
from ....numerics.implicit_bias.classification import classification_limit, rescaled_distance_squared, rescaled_limit
from ....numerics.implicit_bias.gaussian_law import covariance
from ....theory.axioms import CONVEX_FLOW, KKT
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.implicit_bias.classification import CLASS_W2
from ...result import ByBudget, Check, Control, Result
from ..max_margin import residual
from ..problems import identity, pseudo_inverse, rational, sum_of_squares
from ..regression import nearest_law
from ..separable_problems import constant_balls, exact_separator, random_separable
from .evidence import ClassificationSetting, compare_law, descend, descent_setting, flow, flow_setting, separator


@dataclass(frozen=True, eq=False)
class LimitPrediction:
    """w_hat, w_tilde + P mu_0, P S_0; the rescaled limit's mean and covariance, and its W2^2 from the prior."""

    direction: Float[np.ndarray, " parameters"]
    offset: Float[np.ndarray, " parameters"]
    factor: Float[np.ndarray, "parameters rank"]
    rescaled_mean: Float[np.ndarray, " parameters"]
    rescaled_covariance: Float[np.ndarray, "parameters parameters"]
    distance_squared: float


# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def joint_potential() -> Equations:
    """One row in the plane, a factor of rank 2: the flow in tau is that of exp(-x^T r + v/2) + w_hat^T r, and its curvature."""
    import sympy

    x, r, a, b, e = (sympy.Matrix(sympy.symbols(f"{name}1:3", real=True)) for name in ("x", "r", "a", "b", "e"))
    w = sympy.Matrix(sympy.symbols("w1:3", real=True))
    h = sympy.Symbol("h", real=True)
    inner = -x.dot(r) + (x.dot(a) ** 2 + x.dot(b) ** 2) / 2
    force = sympy.Symbol("l", positive=True)  # exp(inner)
    potential = sympy.exp(inner) + w.dot(r)
    unknown = [*r, *a, *b]
    gradient = [sympy.diff(potential, u).subs(sympy.exp(inner), force) for u in unknown]
    expected = [*(w - force * x), *(force * x.dot(a) * x), *(force * x.dot(b) * x)]
    pairs: Equations = list(zip(gradient, expected, strict=True))
    # along any line the exponent is convex, so is its exponential, and so is the sum over rows
    line = inner.subs(
        dict(zip(unknown, [u + h * d for u, d in zip(unknown, [*e, *e[::-1], *e], strict=True)], strict=True)),
        simultaneous=True,
    )
    second = sympy.diff(line, h, 2)
    pairs.append((second, x.dot(sympy.Matrix(e[::-1])) ** 2 + x.dot(e) ** 2))
    # at S^T x = 0 the curvature splits into A for the mean and A for each column of the factor
    hessian = sympy.hessian(sympy.exp(inner), unknown).subs(sympy.exp(inner), force)
    still = hessian.subs(dict(zip(a, (-x[1], x[0]), strict=True))).subs(dict(zip(b, (x[1], -x[0]), strict=True)))
    block = force * x * x.T
    return pairs + [(left, right) for left, right in zip(still, sympy.diag(block, block, block), strict=True)]


def falling_potential() -> Equations:
    """A row of margin m contributes exp(-(m - 1) tau - x^T r + v/2): its tau derivative is -(m - 1) times itself."""
    import sympy

    tau, margin, inner, time, w = sympy.symbols("tau m inner t w", positive=True)
    term = sympy.exp(-(margin - 1) * tau + inner)
    along = sympy.log(1 + time)
    return [
        (sympy.diff(term, tau), -(margin - 1) * term),
        (sympy.exp(tau) * sympy.exp(-(w * tau) + inner), sympy.exp(-(w - 1) * tau + inner)),
        (sympy.diff(along, time) * (1 + time), 1),
    ]


DERIVATION = (
    Uses(residual.RESULT, "w_hat, alpha, w_tilde: the unique point of span(SV) with exp(-x_n^T w_tilde) = alpha_n"),
    Algebra("in tau = log(1 + t), (r, S) = (mu - w_hat tau, S) follows -grad of Psi = sum exp(-(m_n - 1) tau - x_n^T r + v_n/2) + w_hat^T r, "
            "convex jointly in r and S because each exponent is", joint_potential),
    Algebra("Psi falls along the flow: its own tau derivative is -(m_n - 1) exp(..) <= 0 off the support", falling_potential),
    Axiom(KKT, "the support vectors span the rows, w_hat = sum alpha_n x_n with alpha_n > 0: Psi is coercive in (Q r, Q S), which stays bounded"),
    Axiom(CONVEX_FLOW, "so rows off the support add integrable forces and Q r -> w_tilde, Q S -> 0; P r = P mu_0 and P S = P S_0 never move"),
    Uses(nearest_law.RESULT, "with targets X w_hat: N(w_hat + P mu_0, P Sigma_0 P) is the unique nearest law with Q w = w_hat, at this W2"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: ClassificationSetting) -> LimitPrediction:
    limit, rescaled = classification_limit(s.design, s.prior, step=s.step), rescaled_limit(s.design, s.prior)
    return LimitPrediction(
        limit.direction,
        limit.offset,
        limit.factor,
        rescaled.mean,
        covariance(rescaled),
        rescaled_distance_squared(s.design, s.prior),
    )


# --- checks -------------------------------------------------------------------------------------------------------


FLOWS = ByBudget(quick=lambda: tuple(map(flow_setting, range(4))), standard=lambda: tuple(map(flow_setting, range(12))))
DESCENTS = ByBudget(
    quick=lambda: tuple(map(descent_setting, (4, 1, 3))), standard=lambda: tuple(map(descent_setting, (4, 1, 3, 5)))
)
BOTH = ByBudget(quick=({"method": "DOP853"}, {"method": "LSODA"}))


def by(change: Callable[[ClassificationSetting, LimitPrediction], Mapping[str, Any]]) -> Mapping[str, Any]:
    def wrong(s: ClassificationSetting) -> LimitPrediction:
        right = predict(s)
        return replace(right, **change(s, right))

    return {"predict": wrong}


def covariance_in_the_constant(s: ClassificationSetting, p: LimitPrediction) -> Mapping[str, Any]:
    """The constant that the initial variances v_n(0) would give if they stayed."""
    return {"offset": p.offset + np.linalg.pinv(s.design) @ ((s.design @ s.prior_factor) ** 2).sum(axis=1) / 2}


def oblique(s: ClassificationSetting, p: LimitPrediction) -> Mapping[str, Any]:
    """What conditioning the prior on the rows would keep: the limit of a KL term, passed off as the W2 limit."""
    sigma = covariance(s.prior)
    gain = sigma @ s.design.T @ np.linalg.pinv(s.design @ sigma @ s.design.T)
    return {
        "factor": s.prior_factor - gain @ s.design @ s.prior_factor,
    }


def sample(rng: np.random.Generator) -> ClassificationSetting:
    examples, parameters = (int(k) for k in rng.choice([(1, 2), (2, 2), (2, 4), (3, 2), (3, 5)]))
    design = random_separable(rng, examples=examples, parameters=parameters, spanning=True)
    prior = rng.normal(size=parameters), rng.normal(size=(parameters, int(rng.integers(1, 4))))
    return ClassificationSetting(design, *prior, float(10 ** rng.uniform(-3, 0)), (1.0,))


def last_steps(s: ClassificationSetting) -> list[arb]:
    x, mean, factor = rational(s.design), rational(s.prior_mean), rational(s.prior_factor)
    exact = exact_separator(s.design)
    assert exact is not None
    q = pseudo_inverse(x) * x
    p = identity(q.nrows()) - q
    left = p * factor
    kept = arb_mat(p * mean) + constant_balls(s.design, exact, s.step)
    price = sum_of_squares(exact.weights - q * mean) + sum_of_squares(q * factor)
    exactly = [exact.weights, left, exact.weights + p * mean, left * left.transpose()]
    values = [[arb(entry) for entry in matrix.entries()] for matrix in exactly]
    return [*values[0], *kept.entries(), *values[1], *values[2], *values[3], arb(price)]


def read(p: LimitPrediction) -> np.ndarray:
    parts = (p.direction, p.offset, p.factor, p.rescaled_mean, p.rescaled_covariance, [p.distance_squared])
    return np.concatenate([np.ravel(part) for part in parts])


def shipped(s: ClassificationSetting) -> np.ndarray:
    limit, law = classification_limit(s.design, s.prior, step=s.step), rescaled_limit(s.design, s.prior)
    return read(
        LimitPrediction(
            limit.direction,
            limit.offset,
            limit.factor,
            law.mean,
            covariance(law),
            rescaled_distance_squared(s.design, s.prior),
        )
    )


def width(s: ClassificationSetting) -> np.ndarray:
    """20 (P + |SV|) u times the condition of the support rows times the size of each part, u = 2^-53."""
    found, values, p = separator(s.design), shipped(s), s.design.shape[1]
    unit = 20 * sum(found.rows.shape) * 2.0**-53 * float(np.linalg.cond(found.rows))
    inverse = float(np.linalg.norm(np.linalg.pinv(found.rows), 2)) * np.sqrt(len(found.alpha))
    size, spread = (
        float(np.linalg.norm(s.prior_mean) + np.linalg.norm(found.weights)),
        float(np.linalg.norm(s.prior_factor)),
    )
    offset = size + inverse + float(np.linalg.norm(values[p : 2 * p]))
    sizes = [
        (size, p),
        (offset, p),
        (spread, s.prior_factor.size),
        (size, p),
        (spread**2, p * p),
        ((size + spread) ** 2, 1),
    ]
    bound = unit * np.concatenate([np.full(count, scale) for scale, count in sizes])
    # The procedure divides by |exact| except where that is 0: P = 0 when there are as many support rows as parameters.
    return bound / np.where(np.abs(values) > bound, np.abs(values), 1.0)


FORMULA = Formula(expression=last_steps, shipped=shipped, read=read, sample=sample, width=width, count=16)


def mutated(change: Callable[[ClassificationSetting], np.ndarray]) -> Mapping[str, Any]:
    return {"claim": replace(FORMULA, shipped=change)}


EXAMPLE = ClassificationSetting(
    np.array([[1.0, 0.0, 1.0], [1.0, 2.0, 0.0]]), np.array([0.1, 0.0, 0.2]), np.array([[0.5, 0.0], [0.0, 0.5], [0.2, 0.1]]), 0.01, (1000.0,)
)  # fmt: skip
CONTROLS = (
    Control("Q S_0 in place of P S_0", by(lambda s, p: {"factor": s.prior_factor - p.factor})),
    Control("initial variances in the constant", by(covariance_in_the_constant)),
    Control("prior mean dropped", by(lambda s, p: {"offset": p.offset - p.rescaled_mean + p.direction})),
    Control("oblique projection (the KL limit)", by(oblique)),
    Control("margin 2", by(lambda s, p: {"direction": 2 * p.direction})),
)  # fmt: skip

W2_CHECKS = (
    Check("limit law of the flow", Agreement("convergence"), settings=FLOWS, experiment=flow, plan=BOTH, compare=compare_law, controls=CONTROLS),
    Check(
        "limit law of descent",
        Agreement("convergence", relative=5e-2),
        settings=DESCENTS,
        experiment=descend,
        compare=compare_law,
        controls=(
            Control("step forgotten", by(lambda s, p: {"offset": p.offset + (p.direction * -np.log(s.step))})),
            Control("factor not trained", by(lambda s, p: {"factor": s.prior_factor})),
        ),
    ),
    Check(
        "shipped functions",
        FORMULA,
        controls=(
            Control("all off by 1e-8", mutated(lambda s: (1 + 1e-8) * shipped(s))),
            Control("step off by 1e-8", mutated(lambda s: shipped(replace(s, step=s.step * (1 + 1e-8))))),
            Control("prior mean dropped", mutated(lambda s: shipped(replace(s, prior_mean=0 * s.prior_mean)))),
            Control("factor 1e-8 too wide", mutated(lambda s: shipped(replace(s, prior_factor=s.prior_factor * (1 + 1e-8))))),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    CLASS_W2,
    predict=predict,
    example=EXAMPLE,
    checks=W2_CHECKS,
    uses=(residual.RESULT, nearest_law.RESULT),
    derivation=DERIVATION,
)
