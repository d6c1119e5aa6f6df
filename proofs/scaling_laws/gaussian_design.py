"""Bayesian linear regression on a Gaussian design: E h = p/(N-p-1) and E EU = [psi((N+1)/2) - psi((N-p+1)/2)]/2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb
from jaxtyping import Float
from scipy.special import digamma

from ...numerics.claims import Agreement, Comparison, Formula
from ...numerics.intervals import multiplier
from ...numerics.scaling_laws.gaussian_design import expected_epistemic_uncertainty, expected_leverage
from ...numerics.store import Rows
from ...theory.axioms import BETA_MOMENTS, CONDITIONING, FUBINI, GAUSSIAN_AFFINE, WISHART
from ...theory.derivation import Algebra, Axiom
from ...theory.errors import InvalidInput
from ...theory.statements.scaling_laws import BLR_GAUSSIAN_DESIGN
from ...theory.validation import finite, sample_size
from ..result import ByBudget, Check, Control, Result, Run


@dataclass(frozen=True, eq=False)
class GaussianDesignSetting:
    """p = `features`, N = `samples`; covariance of the inputs (p, p), None for I, at which the prediction never looks."""

    features: int
    samples: int
    covariance: Float[np.ndarray, "features features"] | None = None

    def __post_init__(self) -> None:
        sample_size("features", self.features), sample_size("samples", self.samples)
        if self.covariance is not None and finite("covariance", self.covariance).shape != (
            self.features,
            self.features,
        ):
            raise InvalidInput(
                f"covariance has shape {np.shape(self.covariance)}.", "It needs a row and column per feature."
            )


@dataclass(frozen=True)
class UncertaintyPrediction:
    """Expected leverage and expected epistemic uncertainty in nats."""

    leverage: float
    epistemic_uncertainty: float


# --- derivation -----------------------------------------------------------------------------------------------------


Equations = list[tuple[Any, Any]]


def invariance() -> Equations:
    import sympy

    a, b, c, d, g, h, k, x, y = sympy.symbols("a b c d g h k x y", real=True)
    map_, gram, point = sympy.Matrix([[a, b], [c, d]]), sympy.Matrix([[g, h], [h, k]]), sympy.Matrix([x, y])
    moved = (map_ * point).T * (map_ * gram * map_.T).inv() * (map_ * point)
    return [(moved[0], (point.T * gram.inv() * point)[0])]


def information() -> Equations:
    import sympy

    s, h = sympy.symbols("s h", positive=True)
    entropy = [sympy.log(2 * sympy.pi * sympy.E * variance) / 2 for variance in (s**2 + s**2 * h, s**2)]
    return [(sympy.expand_log(sympy.factor(entropy[0])) - sympy.expand_log(entropy[1]), sympy.log(1 + h) / 2)]


def ratio() -> Equations:
    import sympy

    top, bottom = sympy.symbols("a b", positive=True)
    return [(1 / (1 + top / bottom), bottom / (bottom + top))]


def beta_moment(a: Any, b: Any, power: Any) -> Any:
    import sympy

    # The Beta density is v^(a-1) (1-v)^(b-1) / B(a, b), so E v^s = B(a + s, b) / B(a, b).
    return sympy.gamma(a + power) * sympy.gamma(a + b) / (sympy.gamma(a) * sympy.gamma(a + b + power))


def mean_leverage() -> Equations:
    import sympy

    excess, p = sympy.symbols("excess p", positive=True)  # excess = N - p - 1
    a, b = (excess + 2) / 2, p / 2
    return [(beta_moment(a, b, -1) - 1, p / excess)]


def mean_uncertainty() -> Equations:
    import sympy

    excess, p, s = sympy.symbols("excess p s", positive=True)  # excess = N - p
    a, b = (excess + 1) / 2, p / 2
    slope = -sympy.diff(beta_moment(a, b, s), s).subs(s, 0) / 2
    samples = excess + p
    exact = (sympy.digamma((samples + 1) / 2) - sympy.digamma((samples - p + 1) / 2)) / 2
    return [(slope, exact)]


DERIVATION = (
    Algebra(
        "Replacing every input x by A x leaves h = x^T (X^T X)^{-1} x as it is, so Sigma may be taken as I.", invariance
    ),
    Axiom(WISHART, "For fixed x, B = x^T x / h is chi-square with N-p+1 degrees of freedom."),
    Axiom(CONDITIONING, "That law does not depend on x, and X is independent of x: B is independent of x."),
    Axiom(
        GAUSSIAN_AFFINE,
        "x is standard Gaussian after whitening, so A = x^T x is chi-square with p degrees, and h = A/B.",
    ),
    Algebra("h = A/B gives 1/(1+h) = B/(A+B).", ratio),
    Axiom(BETA_MOMENTS, "So V = 1/(1+h) has the law Beta((N-p+1)/2, p/2) and E V^s is a ratio of Gamma functions."),
    Algebra("E h = E V^{-1} - 1 = p/(N-p-1) for N > p+1.", mean_leverage),
    Algebra("EU, total minus aleatoric Gaussian entropy, is ln(1+h)/2 = -ln(V)/2.", information),
    Axiom(
        FUBINI,
        "The integral of E[-ln(V) V^r] over r in (0, s) is 1 - E V^s, so E[-ln V] is minus the slope of E V^s at 0.",
    ),
    Algebra("Minus half that slope is [psi((N+1)/2) - psi((N-p+1)/2)]/2.", mean_uncertainty),
)


# --- prediction -----------------------------------------------------------------------------------------------------


def predict(s: GaussianDesignSetting) -> UncertaintyPrediction:
    return UncertaintyPrediction(
        float(expected_leverage(s.features, s.samples)), float(expected_epistemic_uncertainty(s.features, s.samples))
    )


# --- checks ---------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> GaussianDesignSetting:
    p = int(10 ** rng.uniform(0, 4))
    return GaussianDesignSetting(p, p + 1 + int(10 ** rng.uniform(0, 12)))


def shipped(s: GaussianDesignSetting) -> list[float]:
    return [
        float(expected_leverage(s.features, s.samples)),
        float(expected_epistemic_uncertainty(s.features, s.samples)),
    ]


def last_steps(s: GaussianDesignSetting) -> list[arb]:
    p, n = s.features, s.samples
    return [arb(p) / (n - p - 1), ((arb(n + 1) / 2).digamma() - (arb(n - p + 1) / 2).digamma()) / 2]


def width(s: GaussianDesignSetting) -> list[float]:
    # One division for the first. For the second at most 16 terms of three roundings each, all of one sign, then a
    # logarithm, nine further differences and their sum: 64 roundings cover every path through the code.
    return [2.0**-52, 64 * 2.0**-53]


def read(prediction: UncertaintyPrediction) -> list[float]:
    return [prediction.leverage, prediction.epistemic_uncertainty]


FORMULA = Formula(expression=last_steps, shipped=shipped, read=read, sample=sample, width=width)


def shipped_off_by_one(s: GaussianDesignSetting) -> list[float]:
    return shipped(replace(s, samples=s.samples + 1))


def shipped_subtracting_digammas(s: GaussianDesignSetting) -> list[float]:
    p, n = s.features, s.samples
    return [p / (n - p - 1), (digamma((n + 1) / 2) - digamma((n - p + 1) / 2)) / 2]


def leave_one_out(setting: GaussianDesignSetting, run: Run) -> dict[str, Any]:
    """Mean leverage and uncertainty of each of N+1 inputs against a regression on the other N, for many Gaussian designs."""
    return average_left_out(setting, run, lambda rng, shape: rng.standard_normal(shape))


def leave_one_out_of_signs(setting: GaussianDesignSetting, run: Run) -> dict[str, Any]:
    """The same with inputs of the same covariance whose whitened entries are random signs."""
    return average_left_out(setting, run, lambda rng, shape: rng.choice([-1.0, 1.0], shape))


def average_left_out(setting: GaussianDesignSetting, run: Run, entries: Any) -> dict[str, Any]:
    # All N+1 inputs are exchangeable, so each may be the test input of the others. Averaging over them removes nearly all
    # of the noise: the leverages of N+1 inputs in their common regression add up to p whatever the draw.
    rng = np.random.default_rng(run.seed)
    root = np.eye(setting.features) if setting.covariance is None else np.linalg.cholesky(setting.covariance)
    leverage, uncertainty = [], []
    for _ in range(run.block["batches"]):
        x = entries(rng, (BATCH, setting.samples + 1, setting.features)) @ root.T
        gram = np.einsum("bni,bnj->bij", x, x)
        others = gram[:, None] - x[..., :, None] * x[..., None, :]
        h = np.einsum("bni,bni->bn", x, np.linalg.solve(others, x[..., None])[..., 0])
        leverage.append(h.mean(axis=1))
        uncertainty.append(0.5 * np.log1p(h).mean(axis=1))
    return {"leverage": np.concatenate(leverage), "uncertainty": np.concatenate(uncertainty)}


def compare(setting: GaussianDesignSetting, prediction: UncertaintyPrediction, rows: Rows) -> Comparison:
    measured = np.stack([rows["leverage"], rows["uncertainty"]])
    error = measured.std(axis=1, ddof=1) / np.sqrt(measured.shape[1])
    predicted = np.array(read(prediction))
    return Comparison(measured.mean(axis=1), predicted, multiplier(2) * error, np.abs(measured.mean(axis=1)))


def instead(leverage: Any, uncertainty: Any) -> Mapping[str, Any]:
    """A prediction with one or both of its formulas in p, N, Sigma replaced."""

    def wrong(s: GaussianDesignSetting) -> UncertaintyPrediction:
        right, arguments = predict(s), (s.features, s.samples, s.covariance)
        return UncertaintyPrediction(
            leverage(*arguments) if leverage else right.leverage,
            uncertainty(*arguments) if uncertainty else right.epistemic_uncertainty,
        )

    return {"predict": wrong}


BATCH = 250


def skewed_covariance(features: int, seed: int) -> np.ndarray:
    """A covariance with eigenvalues from 1/4 to 4 in random directions."""
    directions, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(features, features)))
    return (directions * np.geomspace(0.25, 4, features)) @ directions.T


EXAMPLE = GaussianDesignSetting(5, 60, skewed_covariance(5, 0))
SETTINGS = (GaussianDesignSetting(2, 80), EXAMPLE, GaussianDesignSetting(8, 100, skewed_covariance(8, 1)))

CHECKS = (
    Check(
        "shipped functions",
        FORMULA,
        controls=(
            Control("one sample too many", {"claim": replace(FORMULA, shipped=shipped_off_by_one)}),
            Control(
                "digammas subtracted in float64", {"claim": replace(FORMULA, shipped=shipped_subtracting_digammas)}
            ),
            Control("p/(N-p)", instead(lambda p, n, _: p / (n - p), None)),
        ),
    ),
    Check(
        "simulated regressions",
        Agreement("Monte Carlo"),
        settings=ByBudget(quick=SETTINGS),
        experiment=leave_one_out,
        plan=ByBudget(quick=({"batches": 14},), standard=tuple({"batches": 20, "part": part} for part in range(20))),
        compare=compare,
        controls=(
            Control("leverage p/N", instead(lambda p, n, _: p / n, None)),
            Control("leverage p/(N-p)", instead(lambda p, n, _: p / (n - p), None)),
            Control("uncertainty p/(2N)", instead(None, lambda p, n, _: p / (2 * n))),
            Control("logarithm of the mean", instead(None, lambda p, n, _: 0.5 * np.log1p(p / (n - p - 1)))),
            Control(
                "scaled by tr(Sigma)/p", instead(lambda p, n, c: (p if c is None else np.trace(c)) / (n - p - 1), None)
            ),
            Control(
                "inputs that are not Gaussian",
                {"experiment": leave_one_out_of_signs, "plan": ByBudget(quick=({"batches": 4},))},
            ),
        ),
    ),
)

RESULT = Result(BLR_GAUSSIAN_DESIGN, predict=predict, example=EXAMPLE, checks=CHECKS, derivation=DERIVATION)
