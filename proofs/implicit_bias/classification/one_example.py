"""One example: s e^m is conserved and b t = F(e^m) - F(e^{m_0}), F' = exp(-c/Y^2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Enclosures, Formula, Inequality
from ....numerics.implicit_bias.gaussian_law import GaussianLaw
from ....numerics.implicit_bias.single_example import law_at_time, time_to_margin
from ....numerics.store import Rows
from ....numerics.training.separable import flow_separable
from ....theory.axioms import MONOTONE_INVERSE
from ....theory.derivation import Algebra, Axiom
from ....theory.errors import InvalidInput
from ....theory.statements.implicit_bias.classification import CLASS_SINGLE
from ....theory.validation import finite
from ...result import ByBudget, Check, Control, Result, Run
from .evidence import FLOW_ERROR


@dataclass(frozen=True, eq=False)
class OneExampleSetting:
    """A labelled row (parameters,), the prior's mean and factor, how far the margin is to rise, and times of the flow."""

    row: Float[np.ndarray, " parameters"]
    prior_mean: Float[np.ndarray, " parameters"]
    prior_factor: Float[np.ndarray, "parameters rank"]
    rises: tuple[float, ...]
    times: tuple[float, ...]

    def __post_init__(self) -> None:
        if finite("row", self.row, ndim=1).shape != self.prior.mean.shape or not self.row.any():
            raise InvalidInput(f"row has shape {self.row.shape} or is zero.", "Pass one entry per parameter.")
        if min([*self.rises, *self.times, 1.0]) < 0:
            raise InvalidInput("rises or times are negative.", "Margins only rise, and time runs forward.")

    @property
    def prior(self) -> GaussianLaw:
        return GaussianLaw(self.prior_mean, self.prior_factor)


@dataclass(frozen=True, eq=False)
class OneExamplePrediction:
    """The time at which each rise is reached; mean and factor (its entries in one row) at each of the times."""

    reached: Float[np.ndarray, " rises"]
    means: Float[np.ndarray, "times parameters"]
    factors: Float[np.ndarray, "times entries"]


# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def conserved() -> Equations:
    """m' = b l, s' = -b l s for l = exp(-m + s^2/2), and what becomes of s e^m and of the direction off the row."""
    import sympy

    b, force, m, s = sympy.symbols("b l m s", positive=True)
    x, y, p, q = sympy.symbols("x y p q", real=True)
    row, factor = sympy.Matrix([x, y]), sympy.Matrix([p, q])
    moved = -force * row * row.dot(factor)  # dS/dt
    return [
        (row.dot(moved), -row.dot(row) * force * row.dot(factor)),
        (sympy.Matrix([-y, x]).dot(moved), 0),
        (sympy.exp(m) * (-b * force * s) + s * sympy.exp(m) * (b * force), 0),
    ]


def quadrature() -> Equations:
    """F' = exp(-c/Y^2), and dY/dt = b exp(c/Y^2) with s = s_0 e^{m_0}/Y, c = s_0^2 e^{2 m_0}/2, Y = e^m."""
    import sympy

    y, c, b = sympy.symbols("Y c b", positive=True)
    primitive = y * sympy.exp(-c / y**2) + sympy.sqrt(sympy.pi * c) * sympy.erf(sympy.sqrt(c) / y)
    conserved_product = sympy.sqrt(2 * c)  # s e^m
    speed = y * b * sympy.exp((conserved_product / y) ** 2 / 2) / y  # e^m m' = e^m b exp(-m + s^2/2)
    return [
        (sympy.diff(primitive, y), sympy.exp(-c / y**2)),
        (sympy.exp(-c / y**2) * speed, b),
        (sympy.limit(primitive - y, y, sympy.oo), 0),
    ]


def late_margin() -> Equations:
    """1 - c/Y^2 <= F' <= 1: with q = c/Y^2, e^-q - 1 + q has derivative 1 - e^-q; the integral of c/Y^2 from Y on is c/Y."""
    import sympy

    q, y, c = sympy.symbols("q Y c", positive=True)
    return [(sympy.diff(sympy.exp(-q) - 1 + q, q), 1 - sympy.exp(-q)), (sympy.diff(-c / y, y), c / y**2)]


DERIVATION = (
    Algebra("m' = b l and s' = -b l s with l = exp(-m + ||s||^2/2), so s e^m is conserved; nothing moves off the row", conserved),
    Algebra("e^m grows at the rate b exp(c e^(-2m)), and F' = exp(-c/Y^2), F(Y) - Y -> 0: so F(e^m) grows at the rate b", quadrature),
    Axiom(MONOTONE_INVERSE, "F increases, so m is determined by t"),
    Algebra("1 - c/Y^2 <= F' <= 1, so Y <= F(Y) <= Y + c/Y", late_margin),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: OneExampleSetting) -> OneExamplePrediction:
    start = float(s.row @ s.prior_mean)
    laws = [law_at_time(s.row, s.prior, t) for t in s.times]
    return OneExamplePrediction(
        reached=np.array([time_to_margin(s.row, s.prior, start + rise) for rise in s.rises]),
        means=np.stack([law.mean for law in laws]),
        factors=np.stack([law.factor.ravel() for law in laws]),
    )


# --- checks -------------------------------------------------------------------------------------------------------


def random_setting(seed: int) -> OneExampleSetting:
    rng = np.random.default_rng(seed)
    p, rank = (int(k) for k in rng.integers(1, 5, size=2))
    row = rng.normal(size=p)
    return OneExampleSetting(row, rng.normal(size=p), 0.7 * rng.normal(size=(p, rank)), (), (1e-2, 1.0, 30.0, 1e4, 1e9))


SETTINGS = ByBudget(quick=tuple(map(random_setting, range(6))), standard=lambda: tuple(map(random_setting, range(60))))
BOTH = ByBudget(quick=({"method": "DOP853"}, {"method": "LSODA"}))


def flow(setting: OneExampleSetting, run: Run) -> dict[str, Any]:
    """Gradient flow on mean and factor for this one row, by one of two integrators."""
    s, record = setting, np.log1p(np.array(setting.times))
    path = flow_separable(
        s.row[None], s.prior_mean, s.prior_factor, record=record, method=run.block["method"], rtol=1e-12
    )
    return {"time": np.array(s.times), "mean": path.means, "factor": path.factors.reshape(len(record), -1)}


def compare_path(setting: OneExampleSetting, prediction: OneExamplePrediction, rows: Rows) -> Comparison:
    runs = len(rows["time"]) // len(setting.times)
    observed = np.concatenate([rows["mean"], rows["factor"]], axis=1)
    predicted = np.tile(np.concatenate([prediction.means, prediction.factors], axis=1), (runs, 1))
    size = np.linalg.norm(observed, axis=1)[:, None]
    return Comparison(observed, predicted, FLOW_ERROR * size, size)


def compare_late(setting: OneExampleSetting, prediction: OneExamplePrediction, rows: Rows) -> Enclosures:
    """(b t + F(e^m0)) e^-m - 1 and 1 + c e^-2m - (b t + F(e^m0)) e^-m: both at least 0, from the measured margins."""
    row, margins = setting.row, rows["mean"] @ setting.row
    start = float(row @ setting.prior_mean)
    c = float(np.sum((setting.prior_factor.T @ row) ** 2)) * math.exp(2 * start) / 2
    first = math.exp(start)
    begin = first * math.exp(-c / first**2) + math.sqrt(math.pi * c) * math.erf(math.sqrt(c) / first)
    ratio = (float(row @ row) * rows["time"] + begin) * np.exp(-margins)
    slack = np.concatenate([ratio - 1, 1 + c * np.exp(-2 * margins) - ratio])
    error = FLOW_ERROR * (1 + np.abs(margins).max())
    return Enclosures(slack - error, slack + error, width=2.01 * error)


def late_with(name: str) -> Mapping[str, Any]:
    """Other constants in the two bounds: the start left out, or no correction by the factor."""

    def compare(setting: OneExampleSetting, prediction: OneExamplePrediction, rows: Rows) -> Enclosures:
        row, margins = setting.row, rows["mean"] @ setting.row
        start = float(row @ setting.prior_mean)
        first = math.exp(start) if name == "no factor" else 0.0
        c = 0.0 if name == "no factor" else float(np.sum((setting.prior_factor.T @ row) ** 2)) * math.exp(2 * start) / 2
        ratio = (float(row @ row) * rows["time"] + first) * np.exp(-margins)
        slack = np.concatenate([ratio - 1, 1 + c * np.exp(-2 * margins) - ratio])
        return Enclosures(slack - 1e-6, slack + 1e-6, width=3e-6)

    return {"compare": compare}


def by(change: Callable[[OneExampleSetting], OneExampleSetting]) -> Mapping[str, Any]:
    return {"predict": lambda s: predict(change(s))}


# Rows, means and factors are small multiples of 1/8, so that no inner product rounds.


def sample(rng: np.random.Generator) -> OneExampleSetting:
    p, rank = (int(k) for k in rng.integers(1, 4, size=2))
    row = rng.choice([-1, 1], size=p) * rng.integers(1, 12, size=p) / 8
    mean, factor = rng.integers(-12, 13, size=p) / 8, rng.integers(-9, 10, size=(p, rank)) / 8
    return OneExampleSetting(row, mean, factor, tuple((rng.integers(16, 400, size=3) / 16).tolist()), (1.0,))


def last_steps(s: OneExampleSetting) -> list[arb]:
    start, b = arb(float(s.row @ s.prior_mean)), arb(float(s.row @ s.row))
    c = arb(float(np.sum((s.prior_factor.T @ s.row) ** 2))) * (2 * start).exp() / 2

    def primitive(y: arb) -> arb:
        return y * (-c / (y * y)).exp() + (arb.pi() * c).sqrt() * (c.sqrt() / y).erf()

    return [(primitive((start + rise).exp()) - primitive(start.exp())) / b for rise in s.rises]


def read(p: OneExamplePrediction) -> np.ndarray:
    return p.reached


def shipped(s: OneExampleSetting) -> np.ndarray:
    start = float(s.row @ s.prior_mean)
    return np.array([time_to_margin(s.row, s.prior, start + rise) for rise in s.rises])


def width(s: OneExampleSetting) -> np.ndarray:
    """Each F is a sum of two terms, each off by at most (12 + c/Y^2 + rise) u of itself; their difference cancels."""
    c = float(np.sum((s.prior_factor.T @ s.row) ** 2)) / 2

    def size(y: float) -> float:
        return y * math.exp(-c / y**2) + math.sqrt(math.pi * c) * math.erf(math.sqrt(c) / y)

    errors = []
    for rise in s.rises:
        top, bottom = size(math.exp(rise)), size(1.0)
        errors.append((12 + c + 2 * rise) * (top + bottom) / (top - bottom) * 2.0**-53)
    return np.array(errors)


FORMULA = Formula(expression=last_steps, shipped=shipped, read=read, sample=sample, width=width, count=80)
EXAMPLE = OneExampleSetting(np.array([1.0, 2.0]), np.zeros(2), np.array([[1.0], [0.5]]), (1.0, 5.0), (1.0, 1000.0))

CHECKS = (
    Check(
        "law on the way",
        Agreement("convergence"),
        settings=SETTINGS,
        experiment=flow,
        plan=BOTH,
        compare=compare_path,
        controls=(
            Control("factor forgotten in the force", {"predict": lambda s: replace(predict(s), means=predict(replace(s, prior_factor=0 * s.prior_factor)).means)}),
            Control("time of the mean loss of two", by(lambda s: replace(s, times=tuple(t / 2 for t in s.times)))),
            Control("factor kept", {"predict": lambda s: replace(predict(s), factors=np.tile(s.prior_factor.ravel(), (len(s.times), 1)))}),
        ),
    ),
    Check(
        "late margin",
        Inequality(),
        settings=SETTINGS,
        experiment=flow,
        plan=BOTH,
        compare=compare_late,
        controls=(
            Control("e^m = b t", late_with("no start")),
            Control("without the factor", late_with("no factor")),
        ),
    ),
    Check(
        "shipped function",
        FORMULA,
        controls=(
            Control("off by 1e-9", {"claim": replace(FORMULA, shipped=lambda s: (1 + 1e-9) * shipped(s))}),
            Control("factor 1e-7 too wide", {"claim": replace(FORMULA, shipped=lambda s: shipped(replace(s, prior_factor=s.prior_factor * (1 + 1e-7))))}),
            Control("c without its half", {"claim": replace(FORMULA, shipped=lambda s: shipped(replace(s, prior_factor=s.prior_factor * math.sqrt(2))))}),
        ),
    ),
)  # fmt: skip

RESULT = Result(CLASS_SINGLE, predict=predict, example=EXAMPLE, checks=CHECKS, derivation=DERIVATION)
