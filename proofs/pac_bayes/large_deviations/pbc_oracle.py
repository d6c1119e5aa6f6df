"""PAC-Bayes-Chernoff with the generating functions themselves: the averaged CGF, its inverse, exact moments, and a simulation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import mpmath
import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from ....numerics.bounds.chernoff import exponential_moment, pac_bayes_chernoff
from ....numerics.claims import Agreement, Comparison, Coverage, Formula, HighProbabilityBound
from ....numerics.large_deviations.laws import ExponentialLaw, FiniteLaw, GaussianLaw, Law
from ....numerics.large_deviations.mixture import mixture_inverse_rate
from ....numerics.large_deviations.tails import KnownLaws
from ....numerics.store import Rows
from ....theory.balls.pbc import known_laws_ball, price
from ....theory.derivation import Algebra, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.large_deviations import PBC_ORACLE
from ....theory.validation import finite, log_inverse_delta, non_negative
from ...result import ByBudget, Check, Control, Result, Run
from . import cramer, pbc

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class KnownSetting:
    """Empirical Gibbs risk, KL(Q||P), n >= 2, ln(1/delta), the posterior, and the models' laws: numbers holds one mean (exponential) or variance
    (gaussian) for each, or their losses (finite: models x examples)."""

    risk: float
    kl: float
    n: int
    log_inv_delta: float
    posterior: NDArray[np.float64]
    law: Literal["finite", "exponential", "gaussian"]
    numbers: NDArray[np.float64]

    def __post_init__(self) -> None:
        finite("risk", self.risk, ndim=0), non_negative("kl", finite("kl", self.kl))
        log_inverse_delta(log_inv_delta=self.log_inv_delta)
        if self.n < 2:
            raise InvalidInput(f"n is {self.n}.", "This bound divides by n - 1.")
        KnownLaws(make_law(self), self.posterior)


@dataclass(frozen=True)
class OraclePrediction:
    """The bound, its width, the optimal tilt (inf where saturated), and n, what the theorem pays for the moment."""

    upper: float
    width: float
    tilt: float
    constant: float


def make_law(s: KnownSetting) -> Law:
    return {"finite": FiniteLaw, "exponential": ExponentialLaw, "gaussian": GaussianLaw}[s.law](np.asarray(s.numbers))


def exact_laws(s: KnownSetting) -> list[Any]:
    return [(s.law, tuple(map(float, np.atleast_1d(row)))) for row in np.asarray(s.numbers)]


# --- derivation ---------------------------------------------------------------------------------------------------


def averaged_root() -> list[tuple[Any, Any]]:
    import sympy

    tilt, s, q = sympy.symbols("l s q", positive=True)
    b, c = sympy.symbols("b1 b2", positive=True)
    first, second = (x * tilt - sympy.log(1 + x * tilt) for x in (b, c))
    average = q * first + (1 - q) * second
    G = q * (tilt * sympy.diff(first, tilt) - first) + (1 - q) * (tilt * sympy.diff(second, tilt) - second)
    return [(sympy.diff((average + s) / tilt, tilt), (G - s) / tilt**2)]


def gaussian_moment() -> list[tuple[Any, Any]]:
    import sympy

    r, z = sympy.symbols("r z", positive=True)
    # X = Z^2/2 where Z > 0, else 0; with 1 - a = r^2 the density e^{-z^2/2} and e^{aX} make another Gaussian
    product = sympy.exp((1 - r**2) * z**2 / 2) * sympy.exp(-(z**2) / 2)
    half = sympy.integrate(sympy.exp(-(r**2) * z**2 / 2), (z, 0, sympy.oo)) / sympy.sqrt(2 * sympy.pi)
    return [
        (sympy.powsimp(sympy.expand(product)), sympy.exp(-(r**2) * z**2 / 2)),
        (sympy.Rational(1, 2) + half, (1 + 1 / r) / 2),
    ]


DERIVATION = (
    Uses(pbc.RESULT, "with psi = J_theta, which satisfies its own assumption"),
    Uses(cramer.RESULT, "each J_theta has G = l J' - J increasing from 0"),
    Algebra("so d/dl (E_Q J(l) + s)/l = (E_Q G(l) - s)/l^2: one root, as for a single model", averaged_root, (("q", 0.1, 0.9),)),
    Algebra("Gaussian losses: E e^{aX} = (1 + (1-a)^{-1/2})/2 exactly, (1 + sqrt n)/2 at a = 1 - 1/n", gaussian_moment),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def certificate(s: KnownSetting, **changes: Any) -> Any:
    given = {"risk": s.risk, "kl": s.kl, "n": s.n, "log_inv_delta": s.log_inv_delta, **changes}
    return pac_bayes_chernoff(**given, tail=KnownLaws(make_law(s), s.posterior))


def predict(s: KnownSetting) -> OraclePrediction:
    t = (s.kl + np.log(float(s.n)) + s.log_inv_delta) / (s.n - 1)
    found = mixture_inverse_rate(make_law(s), t, posterior_weights=s.posterior)
    return OraclePrediction(certificate(s).value, float(found.value), float(found.tilt), float(s.n))


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> KnownSetting:
    law: Any = str(rng.choice(["finite", "exponential", "gaussian"]))
    count = int(rng.integers(1, 4))
    numbers = (
        10 ** rng.uniform(-2, 2, count) if law != "finite" else rng.lognormal(0, 1.5, (count, int(rng.integers(2, 8))))
    )
    n = int(10 ** rng.uniform(0.4, 6))
    return KnownSetting(float(10 ** rng.uniform(-3, 1)), float(10 ** rng.uniform(-3, 2.5)), max(n, 2), float(10 ** rng.uniform(-1, 2)), rng.dirichlet(np.ones(count)) + 1e-3, law, numbers)  # fmt: skip


def width(s: KnownSetting) -> float:
    """The width of Iinv, paid three times (once for its error, twice outward), t's 5 ulps halved or kept, and two sums."""
    t = (s.kl + np.log(float(s.n)) + s.log_inv_delta) / (s.n - 1)
    return 3 * float(mixture_inverse_rate(make_law(s), t, posterior_weights=s.posterior).rounding) + 20 * HALF_ULP


FORMULA = Formula(
    expression=lambda s: known_laws_ball(
        s.risk, exact_laws(s), tuple(map(float, s.posterior)), price(s.kl, s.n, s.log_inv_delta), 50
    ),
    shipped=lambda s: certificate(s).value,
    read=lambda p: p.upper,
    sample=sample,
    width=width,
    side="upper",
    count=60,
)


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=lambda s: float(function(s)))}


def _separate(s: KnownSetting) -> float:
    """E_Q of each model's own inverse rate: smaller, because each tilt is chosen for its own model (and not what is proved)."""
    q = np.asarray(s.posterior) / np.sum(s.posterior)
    t = (s.kl + np.log(float(s.n)) + s.log_inv_delta) / (s.n - 1)
    each = [
        mixture_inverse_rate(
            make_law(replace(s, numbers=s.numbers[i : i + 1], posterior=np.ones(1))), t, posterior_weights=[1.0]
        ).value
        for i in range(q.size)
    ]
    return s.risk + float(q @ np.array(each)) * (1 + 1e-12)


def compare_moments(s: KnownSetting, p: OraclePrediction, rows: Rows) -> Coverage:
    """E e^{(n-1) I(gen+)} of exponential losses, by 20-digit quadrature over Gamma(n), against n."""
    value = exact_moment(s.n, 1 - 1 / s.n)
    return Coverage(float(np.exp(-s.log_inv_delta)), value, p.constant, note="Gamma law of the mean, by quadrature")


@cache
def exact_moment(n: int, a: float) -> float:
    """Quadrature of e^{a n (y - 1 - ln y)} (y < 1, else 1) against the law of y = mean/b, n y ~ Gamma(n)."""
    with mpmath.workdps(20):
        log_norm = n * mpmath.log(n) - mpmath.loggamma(n)

        def density(y: Any) -> Any:
            return mpmath.exp(log_norm + (n - 1) * mpmath.log(y) - n * y)

        spread = 1 / mpmath.sqrt(n)
        low = mpmath.quad(
            lambda y: density(y) * mpmath.exp(a * n * (y - 1 - mpmath.log(y))) if y else mpmath.mpf(0),
            [0, 0.25, 0.5, 1 - spread, 1],
        )
        high = mpmath.quad(density, [1, 1 + spread, 1 + 4 * spread, 1 + 12 * spread, mpmath.inf])
        return float(low + high)


def compare_closed_moment(s: KnownSetting, p: OraclePrediction, rows: Rows) -> Comparison:
    """The closed form by incomplete gamma functions: SciPy's are good to 64 half-ulps here, Stirling's corrections to 8."""
    a = 1 - 1 / s.n
    exact = exact_moment(s.n, a)
    return Comparison(np.array([exact]), np.array([p.constant]), np.array([80 * HALF_ULP * exact]), exact)


def simulate(s: KnownSetting, run: Run) -> dict[str, Any]:
    """ln E_P e^{(n-1) I(gen+)}, P uniform over the models, for many samples: by Donsker-Varadhan some Q fails iff it exceeds ln(n/delta)."""
    rng = np.random.default_rng(run.seed)
    means = rng.gamma(s.n, 1 / s.n, size=(run.block["samples"], len(s.numbers)))  # independent models, in units of b
    rate = np.where(means < 1, means - 1 - np.log(means), 0.0)
    return {
        "statistic": logsumexp((s.n - 1) * rate, axis=1) - np.log(len(s.numbers)),
        "twice": logsumexp(4 * s.n * rate, axis=1) - np.log(len(s.numbers)),
    }


def compare_simulation(s: KnownSetting, p: OraclePrediction, rows: Rows, *, column: str = "statistic") -> Coverage:
    failed = int((rows[column] > np.log(p.constant) + s.log_inv_delta).sum())
    return Coverage(
        float(np.exp(-s.log_inv_delta)),
        violations=failed,
        trials=len(rows[column]),
        note="worst posterior of each sample",
    )


def compare_counted(s: KnownSetting, p: OraclePrediction, rows: Rows) -> Coverage:
    """Each example counted four times."""
    return compare_simulation(s, p, rows, column="twice")


THREE = KnownSetting(
    0.5, 0.2006665638, 20, float(np.log(20)), np.array([0.6, 0.3, 0.1]), "exponential", np.array([0.5, 1.0, 2.0])
)

CHECKS = (
    Check(
        "the shipped oracle is the last step, rounded upward",
        FORMULA,
        controls=(
            Control("n for n - 1", _mutant(lambda s: s.risk + mixture_inverse_rate(make_law(s), (s.kl + np.log(float(s.n)) + s.log_inv_delta) / s.n, posterior_weights=s.posterior).value)),
            Control("ln n dropped", _mutant(lambda s: s.risk + mixture_inverse_rate(make_law(s), (s.kl + s.log_inv_delta) / (s.n - 1), posterior_weights=s.posterior).value)),
            Control("KL dropped", _mutant(lambda s: certificate(s, kl=0.0).value)),
            Control("KL in bits", _mutant(lambda s: certificate(s, kl=s.kl / np.log(2)).value)),
            Control("delta halved", _mutant(lambda s: certificate(s, log_inv_delta=s.log_inv_delta + np.log(2)).value)),
            Control("prior in place of posterior", _mutant(lambda s: certificate(replace(s, posterior=np.ones(len(s.posterior)))).value)),
            Control("each model at its own tilt", _mutant(_separate)),
        ),
    ),
    Check(
        "exponential losses: the exact moment is at most n",
        HighProbabilityBound(),
        settings=ByBudget(quick=tuple(replace(THREE, n=n) for n in (2, 5, 50))),
        compare=compare_moments,
        controls=(Control("ln n in place of n", {"predict": lambda s: replace(predict(s), constant=float(np.log(float(s.n))))}),),
    ),
    Check(
        "exponential losses: the moment by incomplete gamma functions",
        Agreement("rounding"),
        settings=ByBudget(quick=tuple(replace(THREE, n=n) for n in (2, 5, 50))),
        compare=compare_closed_moment,
        predict=lambda s: replace(predict(s), constant=exponential_moment(1 - 1 / s.n, s.n)),
        controls=(
            Control("the Gaussian moment (1 + sqrt n)/2", {"predict": lambda s: replace(predict(s), constant=(1 + s.n**0.5) / 2)}),
            Control("Stirling's correction dropped", {"predict": lambda s: replace(predict(s), constant=exponential_moment(1 - 1 / s.n, s.n) * np.exp(1 / (12 * s.n)))}),
        ),
    ),
    Check(
        "three exponential losses: simulated failures at the worst posterior",
        HighProbabilityBound(),
        settings=ByBudget(quick=(THREE,)),
        compare=compare_simulation,
        experiment=simulate,
        plan=ByBudget(quick=({"samples": 20_000},), standard=tuple({"samples": 100_000, "part": i} for i in range(2))),
        controls=(Control("examples counted four times", {"compare": compare_counted}),),
    ),
)  # fmt: skip

RESULT = Result(
    PBC_ORACLE,
    predict=predict,
    example=replace(THREE, n=1000),
    checks=CHECKS,
    uses=(cramer.RESULT, pbc.RESULT),
    derivation=DERIVATION,
)
