"""Smoothness, diversity and stochasticity: three directions in one array of losses, and the bound that joins them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray

from ....numerics.bounds.chernoff import pac_bayes_chernoff
from ....numerics.bounds.ensembles import ensemble_chernoff
from ....numerics.claims import Enclosures, Formula, Identity, Inequality
from ....numerics.diversity.cumulants import cumulants, variance_balance
from ....numerics.large_deviations.laws import FiniteLaw
from ....numerics.large_deviations.mixture import mixture_inverse_rate
from ....numerics.large_deviations.tails import KnownLaws
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import HOLDER, TOTAL_VARIANCE
from ....theory.balls.jensen import diversity_ball, jensen_balls, log_mean_exp_ball, smoothness_ball
from ....theory.balls.pbc import known_laws_ball, price
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.diversity import LINK
from ....theory.validation import finite, log_inverse_delta, non_negative, sample_size
from ...result import ByBudget, Check, Control, Result
from ..foundations import change_of_measure
from ..large_deviations import pbc
from . import jensen

UNIT = 2.0**-53


@dataclass(frozen=True)
class LinkSetting:
    """Log-losses of the models on a population of equally likely points, rho (sum 1), the empirical Gibbs loss, KL(rho||P), n,
    ln(1/delta), and a tilt l > 0 at which generating functions are reported."""

    losses: NDArray[np.float64]
    posterior: NDArray[np.float64]
    risk: float
    kl: float
    n: int
    log_inv_delta: float
    tilt: float = 1.0

    def __post_init__(self) -> None:
        losses, rho = finite("losses", self.losses, ndim=2), non_negative("posterior", self.posterior)
        finite("risk", self.risk, ndim=0), non_negative("kl", self.kl), sample_size("n - 1", self.n - 1)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)
        if not losses.size or rho.shape != losses.shape[:1] or abs(float(rho.sum()) - 1) > 1e-9 or self.tilt <= 0:
            raise InvalidInput(
                "losses, posterior and tilt do not fit.", "One weight (sum 1) for each row, a positive tilt."
            )


@dataclass(frozen=True)
class LinkPrediction:
    """The combined bound on the log-loss of the average; J_theta(l), its mean over rho and that of the averaged loss; Dv;
    -(1/l) ln E_rho e^{-l L}; and the four terms of the second-order identity."""

    upper: float
    smoothness: NDArray[np.float64]
    average_smoothness: float
    smoothness_of_average: float
    diversity: float
    stochasticity: float
    balance: NDArray[np.float64]


# --- derivation ---------------------------------------------------------------------------------------------------


def log_loss_of_the_average() -> list[tuple[Any, Any]]:
    import sympy

    r, loss, mean = sympy.symbols("r1:4", positive=True), sympy.symbols("l1:4", real=True), sympy.Symbol("m", real=True)
    # e^{Dv(x)} = E_rho e^{m - loss} with m = E_rho loss, so Dv(x) = m + ln E_rho e^{-loss}: the mean log-loss minus that of the average
    return [
        (
            sympy.expand(sum(w * sympy.exp(mean - x) for w, x in zip(r, loss, strict=True)) * sympy.exp(-mean)),
            sum(w * sympy.exp(-x) for w, x in zip(r, loss, strict=True)),
        )
    ]


def variances() -> list[tuple[Any, Any]]:
    import sympy

    within, roughness, spread, averaged, total = sympy.symbols("D R S A T", positive=True)
    # T = E_x Var_theta + Var_x E_theta and T = E_theta Var_x + Var_theta E_x
    return [
        (sympy.solve(sympy.Eq(within + averaged, roughness + spread), within)[0], roughness + spread - averaged),
        ((total - averaged) - (total - spread), spread - averaged),
    ]


DERIVATION = (
    Algebra("diversity: E_rho e^{E_rho loss - loss} = e^{E_rho loss} E_rho p, so Dv(rho) = E_rho L - CE(rho)", log_loss_of_the_average),
    Uses(pbc.RESULT, "with psi = J_theta: L_rho <= Lh_rho + inf over l of (E_rho J_theta(l) + t)/l for all rho; subtract Dv(rho) from both sides"),
    Uses(change_of_measure.RESULT, "stochasticity: with f = -b Lh, the least E_Q Lh + KL(Q||P)/b is -(1/b) ln E_P e^{-b Lh}"),
    Axiom(TOTAL_VARIANCE, "the variance of loss(x, theta) under both, split over x and split over theta"),
    Algebra("the two splits together: diversity = average roughness + spread of risks - roughness of the averaged loss", variances),
    Axiom(HOLDER, "E_x of the geometric mean over rho of e^{l (L - loss)} is at most the geometric mean of the E_x: J of E_rho loss <= E_rho J_theta"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: LinkSetting) -> LinkPrediction:
    found = cumulants(s.losses, s.tilt, weights=s.posterior)
    balance = variance_balance(s.losses, weights=s.posterior)
    terms = np.array([balance.diversity, balance.roughness, balance.spread_of_risks, balance.roughness_of_average])
    return LinkPrediction(upper=_bound(s), **vars(found), balance=terms)


def _bound(s: LinkSetting, **changes: Any) -> float:
    given = {
        "risk": s.risk,
        "kl": s.kl,
        "n": s.n,
        "losses": s.losses,
        "posterior": s.posterior,
        "log_inv_delta": s.log_inv_delta,
        **changes,
    }
    return ensemble_chernoff(**given).value


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> LinkSetting:
    models, points = int(rng.integers(2, 5)), int(rng.integers(2, 7))
    losses = rng.exponential(size=(models, points)) * 10 ** rng.uniform(-1, 0.7) + 0.05
    return LinkSetting(
        losses,
        rng.dirichlet(np.full(models, 2.0)),
        float(rng.uniform(0, 2)),
        float(10 ** rng.uniform(-2, 2)),
        int(10 ** rng.uniform(0.5, 6)),
        float(10 ** rng.uniform(-1, 2)),
        float(10 ** rng.uniform(-1, 1)),
    )


def exact_bound(s: LinkSetting) -> Any:
    points = s.losses.shape[1]
    laws: Any = [("finite", tuple(row), (1.0,) * points) for row in s.losses.tolist()]
    gibbs = known_laws_ball(s.risk, laws, s.posterior.tolist(), price(s.kl, s.n, s.log_inv_delta), 55)
    return gibbs - diversity_ball(s.losses.tolist(), s.posterior.tolist(), 55)


def width(s: LinkSetting) -> float:
    """Twice the slack of the inverse rate, at most (3 g (1 + 30) + 130 + ln points) half-ulps with g = log2(points) + 12, and some 16
    outward steps of each point's Dv, relative to a difference of a bound and Dv."""
    points = s.losses.shape[1]
    slack = 3 * (np.log2(points) + 12) * 31 + 130 + np.log(points) + 8
    parts = abs(s.risk) + 2 * float(np.ptp(s.losses, axis=1).max())
    return (4 * slack * parts + 40 * float(np.ptp(s.losses, axis=0).max() + 1)) * UNIT / abs(_bound(s))


FORMULA = Formula(
    expression=exact_bound, shipped=_bound, read=lambda p: p.upper, sample=sample, width=width, side="upper", count=40
)


def gibbs_bound(s: LinkSetting, **changes: Any) -> float:
    given = {"risk": s.risk, "kl": s.kl, "n": s.n, "log_inv_delta": s.log_inv_delta, **changes}
    return pac_bayes_chernoff(tail=KnownLaws(FiniteLaw(s.losses), s.posterior), **given).value


def without_log_n(s: LinkSetting) -> float:
    t = (s.kl + s.log_inv_delta) / (s.n - 1)
    width = float(mixture_inverse_rate(s.losses, t, posterior_weights=s.posterior).value)
    return s.risk + width - cumulants(s.losses, 1.0, weights=s.posterior).diversity


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=function)}


def settings(count: int) -> tuple[LinkSetting, ...]:
    return tuple(sample(generator(1, "pb.link", i)) for i in range(count))


def _enclose(differences: list[Any], width: float) -> Enclosures:
    low, high = (np.array([float(getattr(d, end)()) for d in differences]) for end in ("lower", "upper"))
    return Enclosures(low, high, width)


def _rounded(value: float, scale: float, s: LinkSetting) -> Any:
    """A predicted number with its rounding: means of products over the array, 60 + 6 (M + N) half-ulps of the terms in them."""
    return arb(float(value), (60 + 6 * sum(s.losses.shape)) * UNIT * scale)


def compare_identities(s: LinkSetting, p: LinkPrediction, rows: Rows) -> Enclosures:
    """Dv = E_rho L - CE; the free energy of change of measure; and the balance of variances, from predictions against exact numbers."""
    size = float(np.abs(s.losses).max())
    with ctx.workdps(50):
        terms = jensen_balls(s.losses.tolist(), s.posterior.tolist())
        # min over Q of E_Q L + KL(Q||rho)/l, attained by Q = rho e^{-l L}/Z: evaluated there, not by its closed form
        d = [terms[0] - terms[1] - _rounded(p.diversity, size, s)]
        d.append(_attained(s) - _rounded(p.stochasticity, size * (1 + s.tilt), s))
        exact = smoothness_ball(s.losses.tolist(), s.tilt)
        d += [j - _rounded(x, 1 + s.tilt * size, s) for j, x in zip(exact, p.smoothness, strict=True)]
        balance = [_rounded(x, size**2, s) for x in p.balance]
        d.append(balance[0] - (balance[1] + balance[2] - balance[3]))
        return _enclose(d, 1e-11 * (1 + size) ** 2 * (1 + s.tilt))


def _attained(s: LinkSetting) -> Any:
    from fractions import Fraction

    raw = [Fraction(float(w)) for w in s.posterior]
    rho = [w / sum(raw, Fraction(0)) for w in raw]
    tilt = Fraction(s.tilt)
    risks = [sum((Fraction(float(x)) for x in row), Fraction(0)) / len(row) for row in s.losses]
    log_z = log_mean_exp_ball([-tilt * r for r in risks], rho)
    value = arb(0)
    for w, r in zip(rho, risks, strict=True):
        if w:
            scaled = arb((tilt * r).numerator) / (tilt * r).denominator
            q = arb(w.numerator) / w.denominator * (-scaled - log_z).exp()
            value += q * arb(r.numerator) / r.denominator + q * (-scaled - log_z) / (
                arb(tilt.numerator) / tilt.denominator
            )
    return value


def compare_averaging(s: LinkSetting, p: LinkPrediction, rows: Rows) -> Enclosures:
    """E_rho J_theta - J of the averaged loss >= 0, the first exact, the second as predicted; and J_theta >= 0."""
    scale = 1 + s.tilt * float(np.ptp(s.losses))
    with ctx.workdps(50):
        exact = smoothness_ball(s.losses.tolist(), s.tilt)
        total = sum(float(w) for w in s.posterior)
        mean = sum((arb(float(w)) * j for w, j in zip(s.posterior, exact, strict=True)), arb(0)) / total
        return _enclose([mean - _rounded(p.smoothness_of_average, scale, s), *exact], 1e-11 * scale)


def _wrong(**change: Any) -> dict[str, Any]:
    return {"predict": lambda s: replace(predict(s), **{k: f(s, predict(s)) for k, f in change.items()})}


def sum_in_place_of_mean(s: LinkSetting, p: LinkPrediction) -> float:
    """J of the sum of the members' losses: averaging forgotten."""
    return cumulants(s.losses * len(s.posterior), s.tilt, weights=s.posterior).smoothness_of_average


CHECKS = (
    Check(
        "the shipped combined bound is the last step",
        FORMULA,
        controls=(
            Control("diversity not subtracted", _mutant(lambda s: gibbs_bound(s))),
            Control("diversity subtracted twice", _mutant(lambda s: 2 * _bound(s) - gibbs_bound(s))),
            Control("ln n dropped", _mutant(without_log_n)),
            Control("V in place of Dv", _mutant(lambda s: gibbs_bound(s) - jensen.jensen_bounds(s.losses, weights=s.posterior)["second_order"])),
            Control("n for n - 1", _mutant(lambda s: _bound(s, n=s.n + 1))),
            Control("diversity under equal weights", _mutant(lambda s: gibbs_bound(s) - cumulants(s.losses, 1.0).diversity)),
        ),
    ),
    Check(
        "identities: diversity, free energy, smoothness, total variance",
        Identity(),
        settings=ByBudget(quick=settings(8), full=lambda: settings(200)),
        compare=compare_identities,
        controls=(
            Control("variance over models in place of Dv", _wrong(diversity=lambda s, p: float(p.balance[0]) / 2)),
            Control("J at half the tilt", _wrong(smoothness=lambda s, p: cumulants(s.losses, s.tilt / 2).smoothness)),
            Control("spread of risks forgotten", _wrong(balance=lambda s, p: p.balance * [1, 1, 0, 1])),
            Control("plus the roughness of the averaged loss", _wrong(balance=lambda s, p: p.balance * [1, 1, 1, -1])),
            Control("best model for the free energy", _wrong(stochasticity=lambda s, p: float(s.losses.mean(axis=1).min()))),
        ),
    ),
    Check(
        "averaging models smooths: J of E_rho loss <= E_rho J_theta",
        Inequality(),
        settings=ByBudget(quick=settings(8), full=lambda: settings(200)),
        compare=compare_averaging,
        controls=(Control("sum in place of mean", _wrong(smoothness_of_average=sum_in_place_of_mean)),),
    ),
)  # fmt: skip

RESULT = Result(
    LINK,
    predict=predict,
    example=LinkSetting(
        -np.log([[0.9, 0.2, 0.6], [0.5, 0.7, 0.1]]), np.array([0.5, 0.5]), 0.9, 0.0, 1000, float(np.log(20))
    ),
    checks=CHECKS,
    uses=(change_of_measure.RESULT, pbc.RESULT, jensen.RESULT),
    derivation=DERIVATION,
    notebook="05_majority_votes_and_diversity",
)
