"""Variational regression without a divergence term: descent ends at N(P mu_0 + X^+ y, P Sigma_0 P), nearest to the prior."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from flint import arb

from ....numerics.claims import Agreement, Formula, Inequality
from ....numerics.implicit_bias.gaussian_law import GaussianLaw, covariance
from ....numerics.implicit_bias.least_squares import (
    contraction_factor,
    gradient_descent_path,
    half_sum_step,
    largest_stable_step,
    row_projector,
)
from ....numerics.implicit_bias.variational_regression import (
    distance_to_limit_bound,
    distance_to_prior_squared,
    regression_limit,
    regression_path,
)
from ....numerics.implicit_bias.wasserstein import wasserstein2_squared
from ....theory.axioms import COUPLING, GAUSSIAN_AFFINE, LINEARITY
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.implicit_bias.regression import REGRESSION_W2
from ...result import ByBudget, Check, Control, Result
from ..least_squares import minimum_norm
from ..problems import balls, identity, integer_design, pseudo_inverse, rational, sum_of_squares
from .nearest_law_evidence import (
    UNIT_ROUNDOFF,
    VariationalPrediction,
    VariationalSetting,
    compare_competitors,
    compare_limit,
    compare_path,
    compare_rate,
    descend,
    draw_competitors,
    floor,
    random_setting,
)

# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def average(polynomial: Any, *noise: Any) -> Any:
    """Expectation over independent variables of mean 0 and variance 1, of a polynomial of degree 2 in them."""
    import sympy

    terms = sympy.Poly(sympy.expand(polynomial), *noise).terms()
    return sum(
        coefficient for powers, coefficient in terms if all(power in (0, 2) for power in powers) and sum(powers) <= 2
    )


def loss_decouples() -> Equations:
    """One example, rank 2: u = x^T w has mean m and coefficients a, b of the noise."""
    import sympy

    y, m, a, b, z, other = sympy.symbols("y m a b z z2", real=True)
    return [(average((y - m - a * z - b * other) ** 2 / 2, z, other), (y - m) ** 2 / 2 + (a**2 + b**2) / 2)]


def triangular_designs() -> list[tuple[Any, Any]]:
    """Generic X with P = 3 and N = 1, 2 after the rotation (Gram-Schmidt) that puts its rows first; targets y."""
    import sympy

    a, b, c = sympy.symbols("a b c", positive=True)
    y, other = sympy.symbols("y y2", real=True)
    return [
        (sympy.Matrix([[a, 0, 0]]), sympy.Matrix([y])),
        (sympy.Matrix([[a, 0, 0], [b, c, 0]]), sympy.Matrix([y, other])),
    ]


def every_coupling_pays() -> Equations:
    """||w - w_0||^2 = ||P (w - w_0)||^2 + ||X^+ y - Q w_0||^2 for every w = P w + X^+ y."""
    import sympy

    w, start = (sympy.Matrix(sympy.symbols(f"{name}1:4", real=True)) for name in ("w", "v"))
    pairs: Equations = []
    for x, y in triangular_designs():
        inverse = x.T * (x * x.T).inv()
        q = (inverse * x).applyfunc(sympy.cancel)
        p = sympy.eye(3) - q
        solution = p * w + inverse * y
        pairs += zip(x * solution, y, strict=True)
        kept, paid = p * (w - start), inverse * y - q * start
        pairs.append(((solution - start).dot(solution - start), kept.dot(kept) + paid.dot(paid)))
    return pairs


def price_of_the_data() -> Equations:
    """E ||X^+ y - Q (mu_0 + S_0 z)||^2 for a factor with two columns."""
    import sympy

    mean, *columns = (sympy.Matrix(sympy.symbols(f"{name}1:4", real=True)) for name in ("m", "s", "t"))
    z, other = sympy.symbols("z z2", real=True)
    pairs: Equations = []
    for x, y in triangular_designs():
        inverse = x.T * (x * x.T).inv()
        q = (inverse * x).applyfunc(sympy.cancel)
        paid = inverse * y - q * (mean + columns[0] * z + columns[1] * other)
        moved = inverse * (y - x * mean)
        spread = sum((q * column).dot(q * column) for column in columns)
        pairs.append((average(sympy.cancel(paid.dot(paid)), z, other), moved.dot(moved) + spread))
    return pairs


def push_forward() -> Equations:
    """Mean and factor of P w_0 + X^+ y."""
    import sympy

    mean, column = (sympy.Matrix(sympy.symbols(f"{name}1:4", real=True)) for name in ("m", "s"))
    z = sympy.Symbol("z", real=True)
    pairs: Equations = []
    for x, y in triangular_designs():
        inverse = x.T * (x * x.T).inv()
        p = sympy.eye(3) - (inverse * x).applyfunc(sympy.cancel)
        pairs += zip(
            p * (mean + column * z) + inverse * y, mean + inverse * (y - x * mean) + p * column * z, strict=True
        )
    return pairs


DERIVATION = (
    Axiom(LINEARITY, "the expected loss needs only the mean 0 and the covariance I of the base noise"),
    Algebra("E ||y - X w||^2/2 = ||y - X mu||^2/2 + ||X S||_F^2/2: mean and columns of the factor decouple", loss_decouples),
    Uses(minimum_norm.RESULT, "for mu with targets y and for every column of S with targets 0: the limits, the paths and rho"),
    Uses(minimum_norm.RESULT, "a law minimises the expected loss iff w solves the normal equations, w = P w + X^+ y, almost surely"),
    Axiom(COUPLING, "W2(q, q_0) is E ||w - w_0||^2 over some coupling of any feasible q with q_0"),
    Algebra("||w - w_0||^2 = ||P(w - w_0)||^2 + ||X^+ y - Q w_0||^2, whose last term no coupling can change", every_coupling_pays),
    Algebra("its expectation is ||X^+(y - X mu_0)||^2 + ||Q S_0||_F^2, so W2^2(q, q_0) is at least that", price_of_the_data),
    Algebra("equality iff P w = P w_0, that is w = P w_0 + X^+ y, which has mean mu_inf and factor P S_0", push_forward),
    Axiom(GAUSSIAN_AFFINE, "so the unique nearest law is N(mu_inf, P Sigma_0 P)"),
    Axiom(LINEARITY, "coupling q_t and q_inf by their noise: W2^2 <= ||mu_t - mu_inf||^2 + ||S_t - S_inf||_F^2 <= rho^(2t) times its start"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: VariationalSetting) -> VariationalPrediction:
    limit = regression_limit(s.design, s.targets, s.prior)
    path = [regression_path(s.design, s.targets, s.prior, step=s.step, time=t) for t in s.times]
    return VariationalPrediction(
        mean=limit.mean,
        factor=limit.factor,
        covariance=covariance(limit),
        distance_squared=distance_to_prior_squared(s.design, s.targets, s.prior),
        contraction=contraction_factor(s.design, s.step),
        start=distance_to_limit_bound(s.design, s.targets, s.prior, step=s.step, steps=0),
        path_means=np.stack([law.mean for law in path]),
        path_factors=np.stack([law.factor for law in path]),
    )


# --- checks -------------------------------------------------------------------------------------------------------

SETTINGS = ByBudget(quick=tuple(map(random_setting, range(12))), standard=lambda: tuple(map(random_setting, range(48))))


def limit_by(change: Callable[[VariationalSetting, VariationalPrediction], VariationalPrediction]) -> Mapping[str, Any]:
    return {"predict": lambda s: change(s, predict(s))}


def noise_free_posterior(s: VariationalSetting, p: VariationalPrediction) -> VariationalPrediction:
    """What a KL divergence to the prior would select in the limit of no noise, passed off as the W2 limit."""
    sigma = covariance(s.prior)
    gain = sigma @ s.design.T @ np.linalg.pinv(s.design @ sigma @ s.design.T)
    mean, spread = s.prior_mean + gain @ (s.targets - s.design @ s.prior_mean), sigma - gain @ s.design @ sigma
    values, vectors = np.linalg.eigh((spread + spread.T) / 2)
    posterior = GaussianLaw(mean, vectors * np.sqrt(np.maximum(values, 0)))
    return replace(p, mean=mean, covariance=spread, distance_squared=wasserstein2_squared(posterior, s.prior))


def wrong_projector(s: VariationalSetting, p: VariationalPrediction) -> VariationalPrediction:
    factor = row_projector(s.design) @ s.prior_factor
    return replace(p, factor=factor, covariance=factor @ factor.T)


def prior_mean_dropped(s: VariationalSetting, p: VariationalPrediction) -> VariationalPrediction:
    return replace(p, mean=np.linalg.pinv(s.design) @ s.targets)


def factor_term_dropped(s: VariationalSetting, p: VariationalPrediction) -> VariationalPrediction:
    return replace(p, distance_squared=float(np.sum((p.mean - s.prior_mean) ** 2)))


def path_with(step: Callable[[VariationalSetting], float]) -> Mapping[str, Any]:
    def wrong(s: VariationalSetting, p: VariationalPrediction) -> VariationalPrediction:
        zero = np.zeros_like(s.targets)
        columns = [gradient_descent_path(s.design, zero, c, step=step(s), time=s.times) for c in s.prior_factor.T]
        return replace(p, path_factors=np.stack(columns, axis=2))

    return limit_by(wrong)


# The closed forms in exact rational arithmetic.


def sample(rng: np.random.Generator) -> VariationalSetting:
    design = integer_design(rng)
    n, p = design.shape
    step = rng.uniform(0.1, 0.9) * largest_stable_step(design)
    factor = rng.normal(size=(p, int(rng.integers(1, 4))))
    return VariationalSetting(design, rng.normal(size=(n,)), rng.normal(size=(p,)), factor, step, (1,))


def last_steps(s: VariationalSetting) -> list[arb]:
    x, mean, factor = rational(s.design), rational(s.prior_mean), rational(s.prior_factor)
    inverse = pseudo_inverse(x)
    q = inverse * x
    left = (identity(q.nrows()) - q) * factor
    moved = inverse * (rational(s.targets) - x * mean)
    return [
        *balls(mean + moved),
        *balls(left * left.transpose()),
        arb(sum_of_squares(moved) + sum_of_squares(q * factor)),
    ]


def read(p: VariationalPrediction) -> np.ndarray:
    return np.concatenate([p.mean, p.covariance.ravel(), [p.distance_squared]])


def shipped(s: VariationalSetting) -> np.ndarray:
    limit = regression_limit(s.design, s.targets, s.prior)
    price = distance_to_prior_squared(s.design, s.targets, s.prior)
    return np.concatenate([limit.mean, covariance(limit).ravel(), [price]])


def width(s: VariationalSetting) -> np.ndarray:
    values, off = shipped(s), floor(s, 1)
    spread, price = float(np.linalg.norm(s.prior_factor)), float(values[-1])
    rounding = 2 * (max(s.prior_factor.shape) + 1) * UNIT_ROUNDOFF
    p = len(s.prior_mean)
    errors = [off] * p + [(2 * spread + off) * off + rounding * spread**2] * p**2
    bound = np.array([*errors, 2 * np.sqrt(price) * off + off**2 + rounding * price])
    # The procedure divides by |exact| except where that is 0, which integer designs do produce.
    return bound / np.where(np.abs(values) > bound, np.abs(values), 1.0)


FORMULA = Formula(expression=last_steps, shipped=shipped, read=read, sample=sample, width=width, count=60)

EXAMPLE = VariationalSetting(
    np.array([[1.0, 2.0, 0.0]]), np.array([1.0]), np.zeros(3), np.array([[1.0, 0.0], [0.5, 1.0], [0.0, 2.0]]), 0.1, (1, 10, 50)
)  # fmt: skip

CHECKS = (
    Check(
        "limit law of real descent",
        Agreement("convergence"),
        settings=SETTINGS,
        experiment=descend,
        compare=compare_limit,
        controls=(
            Control("noise-free Bayes posterior (the KL limit)", limit_by(noise_free_posterior)),
            Control("Q S_0 in place of P S_0", limit_by(wrong_projector)),
            Control("prior mean dropped", limit_by(prior_mean_dropped)),
            Control("W2 without the factor term", limit_by(factor_term_dropped)),
        ),
    ),
    Check(
        "every law on the way",
        Agreement("rounding"),
        settings=SETTINGS,
        experiment=descend,
        compare=compare_path,
        controls=(
            Control("factor trained on the mean loss", path_with(lambda s: half_sum_step(s.step, examples=len(s.targets), reduction="mean"))),
            Control("factor at half the step", path_with(lambda s: s.step / 2)),
            Control("factor not trained", limit_by(lambda s, p: replace(p, path_factors=np.stack([s.prior_factor] * len(s.times))))),
        ),
    ),
    Check(
        "rate in W2",
        Inequality(),
        settings=SETTINGS,
        experiment=descend,
        compare=compare_rate,
        controls=(
            Control("rate of the loss", limit_by(lambda s, p: replace(p, contraction=p.contraction**2))),
            Control("factor term dropped", limit_by(lambda s, p: replace(p, start=float(np.linalg.norm(p.mean - s.prior_mean))))),
        ),
    ),
    Check(
        "no law that fits is nearer to the prior",
        Inequality(),
        settings=ByBudget(quick=tuple(s for s in SETTINGS.quick if np.linalg.matrix_rank(s.design) < s.design.shape[1])),
        experiment=draw_competitors,
        plan=ByBudget(quick=({"competitors": 300},)),
        compare=compare_competitors,
        controls=(
            Control("noise-free Bayes posterior (the KL limit)", limit_by(noise_free_posterior)),
            Control("price 1% higher", limit_by(lambda s, p: replace(p, distance_squared=1.01 * p.distance_squared))),
        ),
    ),
    Check(
        "shipped functions",
        FORMULA,
        controls=(
            Control("all off by 1e-9", {"claim": replace(FORMULA, shipped=lambda s: (1 + 1e-9) * shipped(s))}),
            Control("prior mean dropped", {"claim": replace(FORMULA, shipped=lambda s: shipped(replace(s, prior_mean=0 * s.prior_mean)))}),
            Control("factor 1e-9 too wide", {"claim": replace(FORMULA, shipped=lambda s: shipped(replace(s, prior_factor=s.prior_factor * (1 + 1e-9))))}),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    REGRESSION_W2, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(minimum_norm.RESULT,), derivation=DERIVATION
)
