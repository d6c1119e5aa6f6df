"""The bounds that `compare` tries: for each, when it applies, whose event it spends, and how it is computed from what was given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .betting import betting_interval, betting_pac_bayes
from .catoni_grid import catoni_continuous, catoni_grid
from .certificate import Certificate
from .empirical_bernstein import empirical_bernstein, posterior_moments
from .given import Given
from .held_out import binomial_test_set, chernoff_test_set, hoeffding_test_set
from .mcallester import mcallester
from .occam import occam_binomial, occam_kl
from .relaxations import quad
from .seeger import seeger_kl, seeger_kl_split
from .time_uniform import kl_anytime
from .unexpected_bernstein import unexpected_bernstein

Level = dict[str, Any]  # delta= or log_inv_delta=, for keyword arguments
BETAS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)  # fixed here, so before anybody's data
PB = ("numbers", "draws", "finite")


@dataclass(frozen=True)
class Route:
    """One bound: `event` names what can fail (bounds that share it hold together at one delta), `why_not` is empty where it applies."""

    key: str
    function: str
    event: str
    why_not: Callable[[Given], str]
    build: Callable[[Given, Any, Level], Certificate]


def _only(*forms: str) -> Callable[[Given], str]:
    needs = {
        "numbers": "a posterior's risk and KL",
        "draws": "losses of posterior draws with their KL",
        "finite": "losses of a whole finite class with its weights",
        "fixed": "losses of one predictor",
    }
    return lambda g: "" if g.form in forms else f"needs {', or '.join(needs[f] for f in forms)}"


def _finite_with_two(g: Given) -> str:
    return _only("finite")(g) or ("" if g.n >= 2 else "needs two examples")


def _fixed(weighted: bool, binary: bool = False) -> Callable[[Given], str]:
    def why_not(g: Given) -> str:
        if g.form != "fixed":
            return "is about one predictor; a posterior has no test-set bound on the data it was chosen with"
        if weighted != (g.log_inv_weight is not None):
            return (
                "needs log_inv_weight, the predictor's share of a class fixed before the data"
                if weighted
                else "the predictor was chosen with these data (log_inv_weight is given)"
            )
        return "needs losses that are 0 or 1" if binary and not g.binary else ""

    return why_not


def _seeger(g: Given, risk: Any, level: Level) -> Certificate:
    assert g.kl is not None
    if g.n_prior:
        return seeger_kl_split(risk=risk, kl=g.kl, n=g.n + g.n_prior, n_prior=g.n_prior, **level)
    return seeger_kl(risk=risk, kl=g.kl, n=g.n, **level)


def _plain(function: Callable[..., Certificate], **more: Any) -> Callable[[Given, Any, Level], Certificate]:
    return lambda g, risk, level: function(risk=risk, kl=g.kl, n=g.n, **more, **level)


def _bernstein(g: Given, risk: Any, level: Level) -> Certificate:
    mean, variance, _ = posterior_moments(g.losses, g.posterior)
    return empirical_bernstein(risk=mean, variance=variance, kl=_kl(g), n=g.n, **level)


def _unexpected(g: Given, risk: Any, level: Level) -> Certificate:
    mean, _, second = posterior_moments(g.losses, g.posterior)
    return unexpected_bernstein(risk=mean, second_moment=second, kl=_kl(g), n=g.n, **level)


def _betting(g: Given, risk: Any, level: Level) -> Certificate:
    return betting_pac_bayes(losses=g.losses, posterior=g.posterior, kl=_kl(g), **level)


def _kl(g: Given) -> float:
    assert g.kl is not None
    return g.kl


def _errors(g: Given) -> int:
    assert g.losses is not None
    return int(g.losses.sum())


ROUTES = (
    Route("pb.kl", "seeger_kl", "PAC-Bayes-kl", _only(*PB), _seeger),
    Route("pb.quad", "quad", "PAC-Bayes-kl", _only(*PB), _plain(quad)),
    Route("pb.mcallester", "mcallester", "PAC-Bayes-kl", _only(*PB), _plain(mcallester)),
    Route("pb.catoni_grid", "catoni_grid", "Catoni, grid", _only(*PB), _plain(catoni_grid, betas=BETAS)),
    Route("pb.catoni_grid", "catoni_continuous", "Catoni, continuous", _only(*PB), _plain(catoni_continuous)),
    Route("pb.kl_anytime", "kl_anytime", "time-uniform kl", _only(*PB), _plain(kl_anytime)),
    Route("pb.eb", "empirical_bernstein", "empirical Bernstein", _finite_with_two, _bernstein),
    Route("pb.ub", "unexpected_bernstein", "unexpected Bernstein", _finite_with_two, _unexpected),
    Route("pb.betting", "betting_pac_bayes", "betting", _only("finite"), _betting),
    Route("pb.test_binomial", "binomial_test_set", "binomial tail", _fixed(False, True), lambda g, risk, level: binomial_test_set(errors=_errors(g), n=g.n, **level)),
    Route("pb.test_chernoff", "chernoff_test_set", "Chernoff", _fixed(False), lambda g, risk, level: chernoff_test_set(risk=risk, n=g.n, **level)),
    Route("pb.test_hoeffding", "hoeffding_test_set", "Chernoff", _fixed(False), lambda g, risk, level: hoeffding_test_set(risk=risk, n=g.n, **level)),
    Route("pb.betting_ci", "betting_interval", "betting", _fixed(False), lambda g, risk, level: betting_interval(losses=g.losses, **level)),
    Route("pb.occam_binomial", "occam_binomial", "Occam, binomial tail", _fixed(True, True), lambda g, risk, level: occam_binomial(errors=_errors(g), n=g.n, log_inv_weight=g.log_inv_weight, **level)),
    Route("pb.occam_kl", "occam_kl", "Occam, kl", _fixed(True), lambda g, risk, level: occam_kl(risk=risk, n=g.n, log_inv_weight=g.log_inv_weight, **level)),
)  # fmt: skip
