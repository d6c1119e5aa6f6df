"""Divergences between laws of one family: closed forms that are sums of non-negative terms, never below the exact value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from flint import ctx
from numpy.typing import NDArray

from ....numerics.certified import divergences as shipped
from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import CHAIN_RULE, DIFFERENTIATION, GAUSSIAN_AFFINE, LINEARITY
from ....theory.balls import divergences_kl as balls
from ....theory.derivation import Axiom
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.foundations import KL_FAMILIES
from ....theory.validation import finite
from ...result import ByBudget, Check, Control, Result
from .kl_families_algebra import ALGEBRA
from .kl_families_integrals import integral

UNIT = 2.0**-53
Family = Literal[
    "gaussian", "isotropic", "laplace", "dirichlet", "categorical", "renyi", "chi_square", "linear_classifier"
]
# rows of parameters: (mean, log-scale), (mean, scale), (concentration), (weights)
PARAMETERS = {
    "gaussian": 2,
    "isotropic": 2,
    "laplace": 2,
    "dirichlet": 1,
    "categorical": 1,
    "renyi": 2,
    "chi_square": 2,
}


@dataclass(frozen=True)
class FamilySetting:
    """Posterior and prior of one family: a row for each parameter (mean; log-scale, or scale for Laplace laws; concentrations;
    probabilities), a column for each coordinate. `order` is that of a Renyi divergence. For "linear_classifier", `posterior` holds
    weights and log-scale, and each row of `prior` an example with its label last."""

    family: Family
    posterior: NDArray[np.float64]
    prior: NDArray[np.float64]
    order: float = 2.0

    def __post_init__(self) -> None:
        q, p = finite("posterior", self.posterior, ndim=2), finite("prior", self.prior, ndim=2)
        if self.family == "linear_classifier":
            if q.shape[0] != 2 or p.shape[1] != q.shape[1] + 1:
                raise InvalidInput(
                    f"Shapes {q.shape} and {p.shape} are no classifier.",
                    "Weights and log-scale; then inputs, label last.",
                )
        elif q.shape != p.shape or q.shape[0] != PARAMETERS.get(self.family):
            raise InvalidInput(
                f"Shapes {q.shape} and {p.shape} are no two {self.family} laws.", "One row for each parameter."
            )


@dataclass(frozen=True)
class FamilyPrediction:
    """The divergence in nats (a probability for the linear classifier), rounded upward."""

    value: float


DERIVATION = (
    Axiom(LINEARITY, "the mean of ln(dQ/dP) is that of its terms"),
    *ALGEBRA[:4],
    Axiom(DIFFERENTIATION, "E ln theta_j is the derivative of E theta_j^t at t = 0"),
    *ALGEBRA[4:],
    Axiom(CHAIN_RULE, "divergences of product laws add; that of Q^2 from P^2 is 2 KL(Q||P)"),
    Axiom(GAUSSIAN_AFFINE, "y <W,x> is N(y <w,x>, s^2 |x|^2), so it is negative with probability Phi(-y <w,x>/(s|x|))"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------

VALUES: dict[str, Callable[[FamilySetting], float]] = {
    "gaussian": lambda s: shipped.kl_gaussian_diagonal(*s.posterior, *s.prior),
    "isotropic": lambda s: shipped.kl_gaussian_isotropic(s.posterior[0], s.posterior[1, 0], s.prior[0], s.prior[1, 0]),
    "laplace": lambda s: shipped.kl_laplace(*s.posterior, *s.prior),
    "dirichlet": lambda s: shipped.kl_dirichlet(s.posterior[0], s.prior[0]),
    "categorical": lambda s: shipped.kl_categorical(s.posterior[0], s.prior[0]),
    "renyi": lambda s: shipped.renyi_gaussian(s.order, s.posterior[0], s.prior[0], s.prior[1]),
    "chi_square": lambda s: shipped.chi_square_gaussian(s.posterior[0], s.prior[0], s.prior[1]),
    "linear_classifier": lambda s: shipped.gibbs_risk_linear_classifier(s.posterior[0], s.posterior[1, 0], s.prior[:, :-1], s.prior[:, -1]),
}  # fmt: skip
BALLS: dict[str, Callable[[FamilySetting], Any]] = {
    "gaussian": lambda s: balls.kl_gaussian_ball(*s.posterior, *s.prior),
    "isotropic": lambda s: balls.kl_gaussian_ball(*s.posterior, *s.prior),
    "laplace": lambda s: balls.kl_laplace_ball(*s.posterior, *s.prior),
    "dirichlet": lambda s: balls.kl_dirichlet_ball(s.posterior[0], s.prior[0]),
    "categorical": lambda s: balls.kl_categorical_ball(s.posterior[0], s.prior[0]),
    "renyi": lambda s: balls.renyi_gaussian_ball(s.order, s.posterior[0], s.prior[0], s.prior[1]),
    "chi_square": lambda s: balls.chi_square_gaussian_ball(s.posterior[0], s.prior[0], s.prior[1]),
    "linear_classifier": lambda s: balls.linear_gibbs_risk_ball(s.posterior[0].tolist(), float(s.posterior[1, 0]), s.prior[:, :-1].tolist(), s.prior[:, -1].tolist()),
}  # fmt: skip


def predict(s: FamilySetting) -> FamilyPrediction:
    return FamilyPrediction(VALUES[s.family](s))


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> FamilySetting:
    family = str(rng.choice(list(VALUES)))
    d = int(rng.integers(2, 6))

    def near(x: NDArray[np.float64], closest: float) -> NDArray[np.float64]:
        return x * (1 + 10 ** rng.uniform(closest, -0.3, d) * rng.choice([-1, 1], d))

    means, scales = rng.normal(size=d) * 10 ** rng.uniform(-2, 2), rng.uniform(-3, 3, d)
    match family:
        case "dirichlet":
            b = 10 ** rng.uniform(-3, 4, d)
            a = near(b, -4) if rng.random() < 0.5 else 10 ** rng.uniform(-3, 4, d)
            return FamilySetting(family, a[None], b[None])
        case "categorical":
            p = rng.dirichlet(np.full(d, 0.7)) + 1e-6
            q = near(p, -4) if rng.random() < 0.5 else rng.dirichlet(np.full(d, 0.7)) * rng.integers(0, 2, d) + 1e-9
            # sums that are off by rounding and more: the exact value is that of the normalised weights
            off = 1 + 1e-10 * rng.uniform(-1, 1, 2)
            return FamilySetting(family, q[None] / q.sum() * off[0], p[None] / p.sum() * off[1])
        case "laplace":
            b0 = np.exp(scales)
            return FamilySetting(family, np.stack([near(means, -9), near(b0, -9)]), np.stack([means, b0]))
        case "linear_classifier":
            x, y = rng.normal(size=(4, d)), rng.choice([-1.0, 1.0], 4)
            w, log_scale = rng.normal(size=d), rng.uniform(-1, 2)
            if rng.random() < 0.5:
                # one example far on its right side, no cancellation in <w,x>: a tail that larger risks or slacks would hide
                x, y = np.abs(x[:1]) * np.sign(w), np.ones(1)
                log_scale = float(np.log(x[0] @ w / np.linalg.norm(x[0])) - rng.uniform(0, 2.5))
            return FamilySetting(family, np.stack([w, np.full(d, log_scale)]), np.column_stack([x, y]))
        case "isotropic":
            t0 = np.full(d, scales[0])
            return FamilySetting(
                family, np.stack([near(means, -9), t0 + 10 ** rng.uniform(-12, 1)]), np.stack([means, t0])
            )
        case "chi_square":
            m0 = rng.normal(size=d)
            return FamilySetting(family, np.stack([near(m0, -9), scales]), np.stack([m0, scales]))
    posterior = np.stack([near(means, -9), scales + rng.choice([-1, 1], d) * 10 ** rng.uniform(-12, 1, d)])
    return FamilySetting(family, posterior, np.stack([means, scales]), float(10 ** rng.uniform(-2, 2)))  # type: ignore[arg-type]


def width(s: FamilySetting) -> float:
    """Twice the slack that each function adds (its error may have the slack's sign), and its last roundings."""
    q, p = s.posterior, s.prior
    if s.family in ("gaussian", "isotropic"):
        return 2 * (40 + 4 * max(0.0, float(np.max(2 * (q[1] - p[1]))))) * UNIT
    if s.family == "renyi":
        return 2 * 20 * UNIT
    if s.family == "laplace":
        return 2 * 38 * UNIT
    if s.family == "linear_classifier":
        # mean of Phi: condition number in its argument z at most z^2 + 2; inner product off by (d + 3) UNIT sum |w_j x_j|
        d, w, x = q.shape[1], np.abs(q[0]), np.abs(p[:, :-1])
        z = float(np.max(x @ w / np.linalg.norm(x, axis=1)) * np.exp(-q[1, 0]))
        return (2 * (z + 2) * z * (1.5 * d + 20) + 2 * 24) * UNIT
    with ctx.workdps(30):
        exact = float(BALLS[s.family](s).mid())
        if s.family == "chi_square":
            return (2 * 20 * (1 + np.log1p(exact)) + 2 * 10) * UNIT
        if s.family == "dirichlet":
            return (2 * 57 * float(balls.gamma_divergence_ball(q[0], p[0]).mid()) / exact + 4) * UNIT
    moved = float(np.abs(q - p).sum() + np.sum(q * np.abs(np.log(np.maximum(q, 1e-300)) - np.log(p))))
    return (2 * 28 + (8 * moved + 32 * UNIT) / exact) * UNIT


FORMULA = Formula(
    expression=lambda s: BALLS[s.family](s),
    shipped=lambda s: VALUES[s.family](s),
    read=lambda p: p.value,
    sample=sample,
    width=width,
    side="upper",
    count=120,
)


def _mutant(function: Callable[[FamilySetting], float], *families: str) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=lambda s: (function if s.family in families else VALUES[s.family])(s))}


def swapped(s: FamilySetting) -> float:
    return VALUES[s.family](replace(s, posterior=s.prior, prior=s.posterior))


def _with(s: FamilySetting, **changes: Any) -> float:
    return VALUES[s.family](replace(s, **changes))


def _doubled_log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([x[0], 2 * x[1]])


def without_total(s: FamilySetting) -> float:
    """The Dirichlet divergence without D(sum b, sum a): that of independent Gamma variables."""
    from scipy.special import gammaln, psi

    a, b = s.posterior[0], s.prior[0]
    return float(np.sum(gammaln(b) - gammaln(a) - (b - a) * psi(a)))


# --- checks: integrals of the densities ---------------------------------------------------------------------------


def compare_integral(s: FamilySetting, prediction: FamilyPrediction, rows: Rows) -> Comparison:
    """20-digit quadrature: what remains is the rounding of the prediction."""
    laws = [tuple(map(tuple, x.tolist())) for x in (s.posterior, s.prior)]
    exact = np.array([integral(s.family, *laws, s.order)])
    return Comparison(exact, np.array([prediction.value]), (width(s) + UNIT) * exact, exact)


def integrals() -> tuple[FamilySetting, ...]:
    rng = generator(1, "pb.kl_families")
    draw = lambda low, high: rng.uniform(low, high, 1)  # noqa: E731
    found = [
        FamilySetting("gaussian", np.stack([draw(-1, 1), draw(-1, 1)]), np.stack([draw(-1, 1), draw(-1, 1)])),
        FamilySetting("laplace", np.stack([draw(-1, 1), draw(0.3, 2)]), np.stack([draw(-1, 1), draw(0.3, 2)])),
        FamilySetting("dirichlet", rng.uniform(1.5, 5, (1, 3)), rng.uniform(1.5, 5, (1, 3))),
    ]
    for order in (0.5, 3.5):
        t = draw(-1, 1)
        found.append(FamilySetting("renyi", np.stack([draw(-1, 1), t]), np.stack([draw(-1, 1), t]), order))
    return tuple(found)


CHECKS = (
    Check(
        "every shipped divergence is never below the exact one",
        FORMULA,
        controls=(
            Control("rounded to nearest", {"claim": replace(FORMULA, shipped=lambda s: VALUES[s.family](s) * (1 - 2.0**-46))}),
            Control("KL(P||Q) between Gaussians", _mutant(swapped, "gaussian", "isotropic")),
            Control("KL(P||Q) between Laplace laws", _mutant(swapped, "laplace")),
            Control("KL(P||Q) between Dirichlet laws", _mutant(swapped, "dirichlet")),
            Control("KL(P||Q) between finite laws", _mutant(swapped, "categorical")),
            Control("variances taken for log-scales", _mutant(lambda s: _with(s, posterior=_doubled_log(s.posterior), prior=_doubled_log(s.prior)), "gaussian", "isotropic")),
            Control("1/2 of the mean's part dropped", _mutant(lambda s: _with(s, posterior=s.posterior * [[2.0**0.5], [1]], prior=s.prior * [[2.0**0.5], [1]]), "gaussian")),
            Control("scale part counted once for all coordinates", _mutant(lambda s: VALUES["gaussian"](replace(s, posterior=np.stack([s.posterior[0], np.where(np.arange(s.prior.shape[1]), s.prior[1], s.posterior[1])]))), "isotropic")),
            Control("Dirichlet: the part of the sums dropped", _mutant(without_total, "dirichlet")),
            Control("Renyi: order 1 whatever was asked", _mutant(lambda s: _with(s, order=1.0), "renyi")),
            Control("chi-square: the 1 not subtracted", _mutant(lambda s: VALUES["chi_square"](s) + 1, "chi_square")),
            Control("linear classifier: scale squared", _mutant(lambda s: _with(s, posterior=_doubled_log(s.posterior)), "linear_classifier")),
            Control("linear classifier: labels flipped", _mutant(lambda s: 1 - VALUES["linear_classifier"](s), "linear_classifier")),
        ),
    ),
    Check(
        "quadrature of the densities",
        Agreement("rounding"),
        settings=ByBudget(quick=integrals()),
        compare=compare_integral,
        controls=(
            Control("KL(P||Q)", {"predict": lambda s: FamilyPrediction(swapped(s))}),
            Control("twice the scales", {"predict": lambda s: FamilyPrediction(_with(s, posterior=s.posterior * [[1], [1.01]] if len(s.posterior) > 1 else s.posterior))}),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    KL_FAMILIES,
    predict=predict,
    example=FamilySetting("gaussian", np.array([[0.5, 0.0], [-3.0, -2.5]]), np.array([[0.0, 0.0], [-2.0, -2.0]])),
    checks=CHECKS,
    derivation=DERIVATION,
)
