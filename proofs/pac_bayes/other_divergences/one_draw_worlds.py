"""Worlds for the certificates of one draw from the posterior: what fails is summed exactly over samples and draws."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import numpy as np
from scipy.stats import binom

from ....numerics.bounds.certificate import Certificate
from ....numerics.bounds.one_draw import one_draw_catoni, one_draw_kl, one_draw_occam, one_draw_renyi
from ....numerics.certified.kl_inverse import kl_upper
from ....numerics.certified.maurer import log_maurer_xi
from ....numerics.claims import Coverage
from ....numerics.store import Rows
from ....theory.errors import InvalidInput
from ....theory.validation import finite, log_inverse_delta, sample_size, unit_interval
from ..small_worlds import World, exponent, moment, world_a, world_b

Form = Literal["kl", "catoni", "occam", "renyi"]
FORMS: tuple[Form, ...] = ("kl", "catoni", "occam", "renyi")


@dataclass(frozen=True)
class OneDrawSetting:
    """Empirical risk of the draw, ln dQ/dP at it (for "renyi": D_a(Q||P)), n, ln(1/delta), the form and its parameter (catoni: beta,
    occam: b, renyi: the order a), and the number of candidate priors (renyi)."""

    risk: float
    density: float
    n: int
    log_inv_delta: float
    form: Form = "kl"
    parameter: float = 2.0
    candidates: int = 1

    def __post_init__(self) -> None:
        unit_interval("risk", self.risk), finite("density", self.density), sample_size("n", self.n)
        log_inverse_delta(log_inv_delta=self.log_inv_delta), sample_size("candidates", self.candidates)
        least = 1.0 if self.form == "renyi" else 0.0
        if self.form not in FORMS or not math.inf > self.parameter > least:
            raise InvalidInput(
                f"form {self.form!r}, parameter {self.parameter!r}.", f"Forms are {FORMS}; parameter > {least:g}."
            )


@dataclass(frozen=True)
class OneDrawPrediction:
    """Both sides of the bound on the true risk of the drawn predictor (-inf where a form has no lower one)."""

    upper: float
    lower: float


def certificate(s: OneDrawSetting, **changes: Any) -> Certificate:
    """The shipped function of the form; `changes` replace its arguments."""
    given: dict[str, Any] = {"risk": s.risk, "n": s.n, "log_inv_delta": s.log_inv_delta}
    if s.form == "renyi":
        return one_draw_renyi(**{**given, "divergence": s.density, "order": s.parameter, "candidates": s.candidates, **changes})  # fmt: skip
    given["log_density"] = s.density
    if s.form == "catoni":
        return one_draw_catoni(**{**given, "beta": s.parameter, **changes})
    return one_draw_occam(**{**given, "b": s.parameter, **changes}) if s.form == "occam" else one_draw_kl(**{**given, **changes})  # fmt: skip


def predict(s: OneDrawSetting) -> OneDrawPrediction:
    found = certificate(s)
    return OneDrawPrediction(found.raw, -math.inf if found.lower is None else found.lower)


@cache
def _ends(s: OneDrawSetting) -> tuple[float, float]:
    found = predict(s)
    return found.lower, found.upper


def _misses(s: OneDrawSetting, risk: float, density: float, n: int, truth: float) -> bool:
    low, high = _ends(replace(s, risk=risk, density=density, n=n))
    return not low <= truth <= high


def renyi_divergence(q: np.ndarray, p: np.ndarray, order: float) -> float:
    return math.log(float((q**order * p ** (1 - order)).sum())) / (order - 1)


def compare_world_a(s: OneDrawSetting, p: OneDrawPrediction, rows: Rows, *, paid: bool = True) -> Coverage:
    """Draws from the Gibbs posterior P e^{-3 n rh}/Z of every sample; the moment is that of n kl under the prior."""
    world = world_a(8)
    broken = 0.0
    prior = np.exp(world.log_prior[0])
    for probability, empirical in zip(world.probability, world.empirical, strict=True):
        q = prior * np.exp(-3 * world.n * (empirical - empirical.min()))
        q /= q.sum()
        density = (
            np.full(3, max(0.0, renyi_divergence(q, prior, s.parameter))) if s.form == "renyi" else np.log(q / prior)
        )
        for h in range(3):
            if _misses(s, float(empirical[h]), float(density[h]), world.n, float(world.risk[h])):
                broken += float(probability * q[h])
    constant = math.exp(float(log_maurer_xi(world.n))) if paid else 1.0
    return Coverage(math.exp(-s.log_inv_delta), moment(world, exponent(world)), constant, broken)


def compare_world_a_free(s: OneDrawSetting, p: OneDrawPrediction, rows: Rows) -> Coverage:
    return compare_world_a(s, p, rows, paid=False)


def compare_world_b(s: OneDrawSetting, p: OneDrawPrediction, rows: Rows, *, dropped: bool = False) -> Coverage:
    """Sixteen fair coins; the posterior is uniform over those that look best (kl, renyi: farthest from 1/2), dQ/dP = 16/their number."""
    world: World = world_b()
    present = np.isfinite(world.log_prior)
    one_sided = s.form in ("catoni", "occam")
    score = np.where(present, -world.empirical if one_sided else np.abs(world.empirical - 0.5), -np.inf)
    best = present & (score >= score.max(axis=1, keepdims=True) - 1e-9)
    number = np.rint(16 * np.where(best, np.exp(world.log_prior), 0.0).sum(axis=1)).astype(int)
    kind = score.argmax(axis=1)  # of two kinds equally far from 1/2, either: the interval is symmetric
    broken = 0.0
    for k in range(world.n + 1):
        for m in range(1, 17):
            density = 0.0 if dropped else math.log(16 / m)
            if _misses(s, k / world.n, density, world.n, 0.5):
                broken += float(world.probability[(kind == k) & (number == m)].sum())
    return Coverage(math.exp(-s.log_inv_delta), failure=broken)


def compare_world_b_dropped(s: OneDrawSetting, p: OneDrawPrediction, rows: Rows) -> Coverage:
    return compare_world_b(s, p, rows, dropped=True)


def compare_many_coins(s: OneDrawSetting, p: OneDrawPrediction, rows: Rows, *, cubed: bool = True) -> Coverage:
    """2048 fair coins, n = 12; the posterior puts 0.19 on the m coins that always fell on one side, if any: D_2 is moderate, and with
    probability 0.19 the draw is far off. `cubed=False` pays ln(1/delta) once, as if the divergence bounded the density at the draw."""
    coins, n, share = 2048, 12, 0.19
    broken = 0.0
    for m in range(1, 40):  # P(m >= 40) < 1e-40
        divergence = math.log((1 - share) ** 2 * coins / (coins - m) + share**2 * coins / m)
        if cubed:
            high, others = (_ends(replace(s, risk=k / n, density=divergence, n=n, parameter=2.0))[1] for k in (0, 1))
            assert others >= 0.5, "only the extreme coins can miss"
        else:
            high = float(kl_upper(0.0, (divergence + float(log_maurer_xi(n)) + s.log_inv_delta) / n))
        if high < 0.5:
            broken += share * float(binom.pmf(m, coins, 2.0 ** (1 - n)))
    return Coverage(math.exp(-s.log_inv_delta), failure=broken)


def compare_many_coins_once(s: OneDrawSetting, p: OneDrawPrediction, rows: Rows) -> Coverage:
    return compare_many_coins(s, p, rows, cubed=False)


def all_forms(level: float) -> tuple[OneDrawSetting, ...]:
    pairs: tuple[tuple[Form, float], ...] = (("kl", 1.0), ("catoni", 4.0), ("occam", 1.0), ("renyi", 2.0))
    return tuple(OneDrawSetting(0.0, 0.0, 12, level, form, parameter) for form, parameter in pairs)
