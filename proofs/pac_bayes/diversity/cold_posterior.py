"""Cold posteriors: the derivatives of training loss and Bayes loss in the temperature of the likelihood."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.diversity.cold_posterior import cold_posterior, tempered_weights
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import DIFFERENTIATION, LINEARITY
from ....theory.balls.jensen import cold_posterior_balls
from ....theory.derivation import Algebra, Axiom
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.diversity import CPE
from ....theory.validation import finite
from ...result import ByBudget, Check, Control, Result

UNIT = 2.0**-53


@dataclass(frozen=True)
class TemperSetting:
    """Log-losses of a finite family on training and on test points (models x points), its prior (positive, sum 1) and the temper l."""

    train: NDArray[np.float64]
    test: NDArray[np.float64]
    prior: NDArray[np.float64]
    temper: float

    def __post_init__(self) -> None:
        train, test, prior = (
            finite("train", self.train, ndim=2),
            finite("test", self.test, ndim=2),
            finite("prior", self.prior, ndim=1),
        )
        finite("temper", self.temper, ndim=0)
        if (
            not train.size * test.size
            or not len(train) == len(test) == len(prior)
            or prior.min() <= 0
            or abs(float(prior.sum()) - 1) > 1e-9
        ):
            raise InvalidInput(
                "train, test and prior do not fit.", "One row and one positive weight (sum 1) for each model."
            )


@dataclass(frozen=True)
class TemperPrediction:
    """E_{p_l} Lh, its derivative in l, B(l), its derivative."""

    train_loss: float
    train_slope: float
    bayes_loss: float
    bayes_slope: float


# --- derivation ---------------------------------------------------------------------------------------------------


def covariance_rule() -> list[tuple[Any, Any]]:
    import sympy

    l, n = sympy.Symbol("l", positive=True), sympy.Symbol("n", positive=True)  # noqa: E741
    weight, total = sympy.Function("W"), sympy.Function("Z")  # int e^(-l n Lh) f dpi and int e^(-l n Lh) dpi
    slope, slope_total, joint, fit = sympy.symbols("dW dZ J F", real=True)
    quotient = sympy.diff(weight(l) / total(l), l)
    # each unnormalised integral loses n times its integral against Lh: J = int e^(-l n Lh) f Lh dpi, F the same without f
    w, z = sympy.symbols("w z", positive=True)
    found = quotient.subs({sympy.diff(weight(l), l): slope, sympy.diff(total(l), l): slope_total})
    found = found.subs({weight(l): w, total(l): z}).subs({slope: -n * joint, slope_total: -n * fit})
    return [(found, -n * (joint / z - (w / z) * (fit / z)))]


def fresh_observation() -> list[tuple[Any, Any]]:
    import sympy

    n = sympy.Symbol("n", positive=True)
    p, x, fit = (
        sympy.symbols("p1:4", positive=True),
        sympy.symbols("x1:4", positive=True),
        sympy.symbols("b1:4", real=True),
    )
    mean = sum(w * v for w, v in zip(p, x, strict=True))  # E_p p(x|theta), sum of the p being 1
    mean_fit = sum(w * b for w, b in zip(p, fit, strict=True))
    covariance = sum(w * v * b for w, v, b in zip(p, x, fit, strict=True)) - mean * mean_fit
    updated = sum(w * v / mean * b for w, v, b in zip(p, x, fit, strict=True))
    # -d/dl ln E_p p(x|.) = n Cov(p(x|.), Lh)/E_p p(x|.)
    return [(n * covariance / mean, n * (updated - mean_fit))]


DERIVATION = (
    Axiom(DIFFERENTIATION, "derivatives in l pass under the integrals over theta and over x"),
    Algebra("d/dl E_{p_l} f = -n Cov_{p_l}(f, Lh), the quotient rule for unnormalised integrals", covariance_rule),
    Axiom(LINEARITY, "f = Lh gives -n Var(Lh)"),
    Algebra("f = p(x|theta): -d/dl ln E_{p_l} p(x|theta) = n (E of Lh under p_l updated by x, minus E_{p_l} Lh); average over x", fresh_observation),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: TemperSetting) -> TemperPrediction:
    return TemperPrediction(
        **vars(cold_posterior(s.train, s.test, weights=tempered_weights(s.train, s.temper, prior=s.prior)))
    )


def numbers(p: TemperPrediction) -> list[float]:
    return [p.train_loss, p.train_slope, p.bayes_loss, p.bayes_slope]


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> TemperSetting:
    models, n, points = (int(rng.integers(2, 6)) for _ in range(3))
    return TemperSetting(
        rng.exponential(size=(models, n)) + 0.1,
        rng.exponential(size=(models, points)) + 0.1,
        rng.dirichlet(np.full(models, 5.0)),
        float(rng.uniform(0, 2)),
    )


def width(s: TemperSetting) -> list[float]:
    """Relative. The exponents l n Lh are right to (n + 3) ulps of their size, so the weights to `e`; means, centred squares and the
    shares p(x|theta)/E p inherit that, times the spread of what is averaged."""
    models, n = s.train.shape
    fit = s.train.mean(axis=1)
    e = (
        (n + 4) * UNIT * (2 + s.temper * n * float(fit.max()) + float(np.abs(s.test).max())) + (models + 20) * UNIT
    ) * 2
    p = predict(s)
    spread, size = float(np.ptp(fit)), float(fit.max())
    shares = np.exp(s.test.max() - s.test.min())  # no share of p(x|theta) exceeds this
    slope = n * float(shares) * (spread * e + size * (n + models + 8) * UNIT)
    variance = n * (2 * spread**2 * e + 4 * spread * size * (n + models + 8) * UNIT)
    return [
        size * e / p.train_loss,
        variance / abs(p.train_slope),
        float(shares) * e / abs(p.bayes_loss),
        4 * slope / abs(p.bayes_slope),
    ]


FORMULA = Formula(
    expression=lambda s: cold_posterior_balls(s.train.tolist(), s.test.tolist(), s.prior.tolist(), s.temper),
    shipped=lambda s: numbers(predict(s)),
    read=numbers,
    sample=sample,
    width=width,
    count=60,
)


def differences(s: TemperSetting) -> NDArray[np.float64]:
    """The two derivatives by central differences of their integrals, step 1e-12 at 50 digits: truncation below 1e-20."""
    with mpmath.workdps(50):
        train, test = (mpmath.matrix(x.tolist()) for x in (s.train, s.test))
        models, n, points = s.train.shape[0], s.train.shape[1], s.test.shape[1]
        totals = [sum(train[i, j] for j in range(n)) for i in range(models)]

        def both(l: Any) -> tuple[Any, Any]:  # noqa: E741
            w = [mpmath.mpf(float(a)) * mpmath.exp(-l * t) for a, t in zip(s.prior, totals, strict=True)]
            z = sum(w)
            bayes = (
                sum(-mpmath.log(sum(w[i] * mpmath.exp(-test[i, x]) for i in range(models)) / z) for x in range(points))
                / points
            )
            return sum(w[i] * totals[i] for i in range(models)) / z / n, bayes

        step, l = mpmath.mpf(10) ** -12, mpmath.mpf(s.temper)  # noqa: E741
        (a, b), (c, d) = both(l + step), both(l - step)
        return np.array([float((a - c) / (2 * step)), float((b - d) / (2 * step))])


def compare_differences(s: TemperSetting, p: TemperPrediction, rows: Rows) -> Comparison:
    exact = differences(s)
    w = width(s)
    bound = np.abs(exact) * (np.array([w[1], w[3]]) + 2 * UNIT) + 1e-18
    return Comparison(np.array([p.train_slope, p.bayes_slope]), exact, bound, np.abs(exact))


def _wrong(**change: Any) -> dict[str, Any]:
    return {"predict": lambda s: replace(predict(s), **{k: f(s, predict(s)) for k, f in change.items()})}


def updated_by_all(s: TemperSetting, p: TemperPrediction) -> float:
    """The posterior updated by the product of all test points, in place of the average over single ones."""
    w = tempered_weights(s.train, s.temper, prior=s.prior)
    q = w * np.exp(-s.test.sum(axis=1))
    return float(s.train.shape[1] * ((q / q.sum() - w) @ s.train.mean(axis=1)))


def tempered_prior(s: TemperSetting, p: TemperPrediction) -> float:
    """The prior tempered along with the likelihood: another path."""
    w = tempered_weights(s.train, s.temper, prior=s.prior)
    change = s.train.sum(axis=1) - np.log(s.prior)
    share = np.exp(-s.test) / (w @ np.exp(-s.test))
    return float(np.mean((w * (change - w @ change)) @ share))


def _settings(count: int) -> tuple[TemperSetting, ...]:
    return tuple(sample(generator(1, "pb.cpe", i)) for i in range(count))


CHECKS = (
    Check(
        "the shipped values and derivatives are those of the finite sums",
        FORMULA,
        controls=(
            Control("no factor n in the slope of B", {"claim": replace(FORMULA, shipped=lambda s: [*numbers(predict(s))[:3], predict(s).bayes_slope / s.train.shape[1] * (1 + 1e-3)])}),
            Control("sign of the slope of B", {"claim": replace(FORMULA, shipped=lambda s: [*numbers(predict(s))[:3], -predict(s).bayes_slope])}),
            Control("Gibbs loss in place of the Bayes loss", {"claim": replace(FORMULA, shipped=lambda s: [*numbers(predict(s))[:2], float(tempered_weights(s.train, s.temper, prior=s.prior) @ s.test.mean(axis=1)), predict(s).bayes_slope])}),
            Control("prior forgotten", {"claim": replace(FORMULA, shipped=lambda s: list(vars(cold_posterior(s.train, s.test, weights=tempered_weights(s.train, s.temper))).values()))}),
        ),
    ),
    Check(
        "central differences at 50 digits",
        Agreement("rounding"),
        settings=ByBudget(quick=_settings(8), full=_settings(100)),
        compare=compare_differences,
        controls=(
            Control("variance without n", _wrong(train_slope=lambda s, p: p.train_slope / s.train.shape[1] * 1.001)),
            Control("updated by all test points at once", _wrong(bayes_slope=updated_by_all)),
            Control("prior tempered along", _wrong(bayes_slope=tempered_prior)),
            Control("q_l and p_l exchanged", _wrong(bayes_slope=lambda s, p: -p.bayes_slope)),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    CPE,
    predict=predict,
    example=TemperSetting(
        np.array([[0.2, 1.0, 0.4], [0.9, 0.3, 0.5]]), np.array([[0.5, 0.8], [0.6, 0.4]]), np.array([0.5, 0.5]), 1.0
    ),
    checks=CHECKS,
    derivation=DERIVATION,
)
