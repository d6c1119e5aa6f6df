"""Gradient descent on the exponential loss of separable data turns towards the maximum margin, at an explicit rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb, fmpq
from jaxtyping import Float

from ....numerics.claims import Enclosures, Formula, Inequality
from ....numerics.implicit_bias.max_margin import max_margin
from ....numerics.implicit_bias.separable_limits import guaranteed_descent_step, relative_margin_bound
from ....numerics.store import Rows
from ....numerics.training.separable import descend_separable
from ....theory.axioms import CAUCHY_SCHWARZ, DESCENT_LEMMA, KKT
from ....theory.derivation import Algebra, Axiom, Enumeration
from ....theory.errors import InvalidInput
from ....theory.statements.implicit_bias.max_margin import LOGIT_MAXMARGIN
from ....theory.validation import finite
from ...result import ByBudget, Check, Control, Result, Run
from ..problems import rational, sum_of_squares
from ..separable_problems import (
    balls_of,
    exact_separator,
    random_separable,
    separable_design,
    small_separable_designs,
)
from .certificate import CERTIFICATE


@dataclass(frozen=True, eq=False)
class SeparableSetting:
    """Labelled rows (examples, parameters), w_0 (parameters,), the step eta, and the numbers of steps to look at."""

    design: Float[np.ndarray, "examples parameters"]
    initial: Float[np.ndarray, " parameters"]
    step: float
    times: tuple[int, ...]

    def __post_init__(self) -> None:
        x, start = finite("design", self.design, ndim=2), finite("initial", self.initial, ndim=1)
        if not x.size or start.shape != x.shape[1:]:
            raise InvalidInput(f"design has shape {x.shape}, initial {start.shape}.", "Pass one weight per column.")
        if not (finite("step", self.step, ndim=0) > 0 and self.times and min(self.times) >= 1):
            raise InvalidInput("step or times are not positive.", "Pass a positive step and whole numbers of steps.")


@dataclass(frozen=True, eq=False)
class MarginPrediction:
    """w_hat, alpha, gamma; and for each time the least relative margin and the largest loss that the theorem allows."""

    weights: Float[np.ndarray, " parameters"]
    dual: Float[np.ndarray, " examples"]
    margin: float
    relative_margin: Float[np.ndarray, " times"]
    loss: Float[np.ndarray, " times"]


# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def force_towards_the_separator() -> Equations:
    """-grad L . w_hat = sum l_n x_n^T w_hat, with margins 1 + s_n."""
    import sympy

    losses, slack = sympy.symbols("l1:4", positive=True), sympy.symbols("s1:4", positive=True)
    along = sum(part * (1 + s) for part, s in zip(losses, slack, strict=True))
    return [(along - sum(losses), sum(part * s for part, s in zip(losses, slack, strict=True)))]


def step_gains() -> Equations:
    """Each equation shows a difference as a sum of terms >= 0; g = ||grad L|| = gamma L + s, x = eta (1 - b) g^2 < L, b <= 1/2."""
    import sympy

    loss, gamma, s, eta, b, x, rest, half = sympy.symbols("L gamma s eta b x rest half", positive=True)
    g = gamma * loss + s
    return [
        (eta * (1 - b) * g**2 / loss - gamma * eta * (1 - b) * g, eta * (1 - b) * g * s / loss),
        # b = eta B^2 L/2: what the factor 1 - b takes from the path length is at most (eta B^2/2) eta g^2
        (eta * half / 2 * eta * g**2 - gamma * (eta * half * loss / 2) * eta * g, eta * half / 2 * eta * g * s),
        # eta g^2 <= 2 (L - L_+), since L_+ = L - eta (1 - b) g^2 - rest and 1 - b = 1/2 + half
        (2 * (eta * (sympy.Rational(1, 2) + half) * g**2 + rest) - eta * g**2, 2 * eta * half * g**2 + 2 * rest),
        (1 / (loss - x) - 1 / loss - x / loss**2, x**2 / (loss**2 * (loss - x))),
        (eta / 2 * g**2 / loss**2 - eta * gamma**2 / 2, eta * s * (2 * gamma * loss + s) / (2 * loss**2)),
    ]


def telescoped() -> Equations:
    """m >= gamma (|w| - |w_0|) - log L_0 - eta B^2 L_0 and gamma |w| >= m >= l, each with a slack; the ratio follows."""
    import sympy

    norm, start, log_loss, lost, gamma, slack = sympy.symbols("w w0 logL0 lost gamma slack", positive=True)
    margin = gamma * (norm - start) - log_loss - lost + slack
    constant = gamma * start + log_loss + lost
    return [(margin / (gamma * norm) - (1 - constant / (gamma * norm)), slack / (gamma * norm))]


def cosine() -> Equations:
    """v = w/m with margins 1 + s_n: v . w_hat = sum alpha_n (1 + s_n) >= sum alpha = ||w_hat||^2 = 1/gamma^2."""
    import sympy

    alpha, slack = sympy.symbols("a1:3", positive=True), sympy.symbols("s1:3", positive=True)
    norm, margin = sympy.symbols("w m", positive=True)
    gamma = 1 / sympy.sqrt(sum(alpha))
    product = margin * sum(a * (1 + s) for a, s in zip(alpha, slack, strict=True))  # w . w_hat
    cos = product / (norm / gamma)
    return [
        (cos - margin / (gamma * norm), margin * gamma / norm * sum(a * s for a, s in zip(alpha, slack, strict=True)))
    ]


def minus_log_exceeds() -> Equations:
    """-log(1 - x) - x vanishes at 0 and has the derivative x/(1 - x) >= 0."""
    import sympy

    x = sympy.Symbol("x", positive=True)
    return [(sympy.diff(-sympy.log(1 - x) - x, x), x / (1 - x))]


DERIVATION = (
    Axiom(KKT, "w_hat = X^T alpha with alpha >= 0 and alpha_n (x_n^T w_hat - 1) = 0, so ||w_hat||^2 = sum alpha = 1/gamma^2"),
    Enumeration("729 designs of three rows in the plane: w_hat as the shortest feasible point satisfies all of this", small_separable_designs),
    Algebra("-grad L . w_hat = sum l_n x_n^T w_hat >= sum l_n = L", force_towards_the_separator),
    Axiom(CAUCHY_SCHWARZ, "so ||grad L|| >= L/||w_hat|| = gamma L"),
    Axiom(DESCENT_LEMMA, "L'' <= B^2 L(w_0) on the sublevel set, which a step eta <= 1/(B^2 L(w_0)) cannot leave: L falls by eta (1 - eta B^2 L/2) g^2"),
    Algebra("-log(1 - x) >= x on [0, 1): equal at 0, and the difference grows", minus_log_exceeds),
    Algebra("so log L falls by gamma times the length of the step, less (eta B^2/2) eta g^2 <= eta B^2 (L - L_+); 1/L grows by eta gamma^2/2", step_gains),
    Algebra("summed: min margin >= -log L >= gamma (||w|| - ||w_0||) - log L(w_0) - eta B^2 L(w_0), which gives the ratio", telescoped),
    Algebra("w/min margin is feasible, so by the KKT conditions cos(w, w_hat) >= min margin/(gamma ||w||)", cosine),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: SeparableSetting) -> MarginPrediction:
    solution = max_margin(s.design)
    loss = float(np.exp(-(s.design @ s.initial)).sum())
    relative = relative_margin_bound(s.design, s.initial, step=s.step, time=s.times, margin=solution.margin)
    losses = 1 / (1 / loss + s.step * solution.margin**2 * np.array(s.times) / 2)
    return MarginPrediction(solution.weights, solution.dual, solution.margin, relative, losses)


# --- checks -------------------------------------------------------------------------------------------------------


def random_setting(seed: int) -> SeparableSetting:
    rng = np.random.default_rng(seed)
    design = separable_design(rng, examples=int(rng.integers(1, 8)), parameters=int(rng.integers(1, 6)))
    design *= 10 ** rng.uniform(-0.5, 0.5)
    initial = rng.normal(size=(design.shape[1],)) * rng.choice([0.0, 0.3]) / np.linalg.norm(design, axis=1).max()
    step = rng.uniform(0.3, 1) * guaranteed_descent_step(design, initial)
    return SeparableSetting(design, initial, step, (1, 10, 100, 1000, 5000))


SETTINGS = ByBudget(quick=tuple(map(random_setting, range(6))), standard=lambda: tuple(map(random_setting, range(60))))
ROUNDING = 1e-10  # 5000 steps of float64, each within 2^-50 of its margins, move a margin by less


def descend(setting: SeparableSetting, run: Run) -> dict[str, Any]:
    """Gradient descent on the exponential loss, step by step."""
    s = setting
    path = descend_separable(s.design, s.initial, np.zeros((len(s.initial), 0)), step=s.step, record=s.times)
    return {"time": np.array(s.times), "weights": path.means, "loss": path.losses}


def compare_margin(setting: SeparableSetting, prediction: MarginPrediction, rows: Rows) -> Enclosures:
    """1 - cos, cos - ratio, ratio - its lower bound and the relative slack of the loss, all at least 0."""
    norm = np.linalg.norm(rows["weights"], axis=1)
    ratio = (rows["weights"] @ setting.design.T).min(axis=1) / (prediction.margin * norm)
    cos = rows["weights"] @ prediction.weights / (norm * np.linalg.norm(prediction.weights))
    start = float(np.exp(-(setting.design @ setting.initial)).sum())
    falls = -np.diff(np.concatenate([[start], rows["loss"]])) / rows["loss"]
    slack = np.concatenate(
        [1 - cos, cos - ratio, ratio - prediction.relative_margin, prediction.loss / rows["loss"] - 1, falls]
    )
    return Enclosures(slack - ROUNDING, slack + ROUNDING, width=2 * ROUNDING * (1 + 1e-3))


def bound_by(change: Callable[[SeparableSetting, MarginPrediction], Mapping[str, Any]]) -> Mapping[str, Any]:
    def wrong(s: SeparableSetting) -> MarginPrediction:
        right = predict(s)
        return replace(right, **change(s, right))

    return {"predict": wrong}


def least_norm_fit(s: SeparableSetting, p: MarginPrediction) -> Mapping[str, Any]:
    return {"weights": np.linalg.pinv(s.design) @ np.ones(len(s.design))}


# The shipped function up to 12 examples, where all but one rounding is exact.


def sample(rng: np.random.Generator) -> SeparableSetting:
    design = random_separable(rng, examples=int(rng.integers(1, 6)), parameters=int(rng.integers(1, 5)))
    initial = rng.normal(size=design.shape[1]) / np.linalg.norm(design, axis=1).max()
    step = guaranteed_descent_step(design, initial) * float(rng.uniform(0.1, 1))
    return SeparableSetting(design, initial, step, (1, 3, 10_000, 10**12))


def last_steps(s: SeparableSetting) -> list[arb]:
    found = exact_separator(s.design)
    assert found is not None
    dual = [fmpq(0)] * len(s.design)
    for n, alpha in zip(found.support, found.dual.entries(), strict=True):
        dual[n] = alpha
    margin = 1 / arb(sum_of_squares(found.weights)).sqrt()
    return [*balls_of(found.weights.entries()), *balls_of(dual), margin, *margin_bounds(s, margin)]


def margin_bounds(s: SeparableSetting, margin: arb) -> list[arb]:
    """1 - C/log(1/L_0 + eta gamma^2 t/2), or what Cauchy-Schwarz says."""
    x, start = rational(s.design), rational(s.initial[:, None])
    loss = sum(((-arb(m)).exp() for m in (x * start).entries()), arb(0))
    squares = [arb(sum_of_squares(rational(row[:, None]))) for row in s.design]
    longest = squares[0]
    for square in squares[1:]:
        longest = longest.max(square)
    constant = margin * arb(sum_of_squares(start)).sqrt() + loss.log() + arb(s.step) * longest * loss
    found = []
    for t in s.times:
        log = (1 / loss + arb(s.step) * margin * margin * t / 2).log()
        least = -longest.sqrt() / margin
        found.append((1 - constant / log).max(least) if log > 0 else least)
    return found


def read(p: MarginPrediction) -> np.ndarray:
    return np.concatenate([p.weights, p.dual, [p.margin], p.relative_margin])


def shipped(s: SeparableSetting) -> np.ndarray:
    found = max_margin(s.design)
    bound = relative_margin_bound(s.design, s.initial, step=s.step, time=s.times, margin=found.margin)
    return np.concatenate([found.weights, found.dual, [found.margin], bound])


def width(s: SeparableSetting) -> np.ndarray:
    # one rounding each; the margin adds the sum of up to N rounded terms, a root and a division
    u, (n, p), values = 2.0**-53, s.design.shape, shipped(s)
    return np.concatenate(
        [np.full(n + p, u), [(n + 3) * u], bound_error(s, values[n + p]) / np.abs(values[n + p + 1 :])]
    )


def bound_error(s: SeparableSetting, margin: float) -> np.ndarray:
    """Of the bound on the relative margin, absolute: margins at the start err by gamma_p |x| |w_0|, and the loss by that in its exponents."""
    u, (n, p) = 2.0**-53, s.design.shape
    loss = float(np.exp(-s.design @ s.initial).sum())
    longest = float(np.linalg.norm(s.design, axis=1).max())
    of_loss = ((p + 2) * float((np.abs(s.design) @ np.abs(s.initial)).max()) + n + 3) * u
    path, curved = margin * float(np.linalg.norm(s.initial)), s.step * longest**2 * loss
    of_constant = (n + p + 8) * u * path + of_loss + 2 * u * abs(math.log(loss)) + curved * (of_loss + (2 * p + 8) * u)
    logs = np.log(1 / loss + s.step * margin**2 * np.array(s.times) / 2)
    constant, known = path + math.log(loss) + curved, np.where(logs > 0, logs, 1.0)
    of_log = of_loss + (2 * n + 12) * u + u * np.abs(logs)
    ratio = (of_constant + 4 * u * abs(constant)) / known + abs(constant) * of_log / known**2 + 2 * u
    bound = np.where(logs > 0, 1 - constant / known, -np.inf)
    return np.where(bound > -longest / margin, ratio, (n + p + 8) * u * longest / margin)


def without_curvature(s: SeparableSetting) -> np.ndarray:
    """C = gamma ||w_0|| + log L_0."""
    right, (n, p) = shipped(s), s.design.shape
    loss, margin = float(np.exp(-s.design @ s.initial).sum()), right[n + p]
    logs = np.log(1 / loss + s.step * margin**2 * np.array(s.times) / 2)
    right[n + p + 1 :] += np.where(
        logs > 0, s.step * float((s.design**2).sum(axis=1).max()) * loss / np.where(logs > 0, logs, 1), 0
    )
    return right


FORMULA = Formula(expression=last_steps, shipped=shipped, read=read, sample=sample, width=width, count=60)

EXAMPLE = SeparableSetting(np.array([[1.0, 0.0, 0.0], [2.5, 2.0, 0.0]]), np.zeros(3), 0.04, (10, 1000, 100000))

CHECKS = (
    Check(
        "margin, direction and loss of real descent",
        Inequality(),
        settings=SETTINGS,
        experiment=descend,
        compare=compare_margin,
        controls=(
            Control("rate 1/t", bound_by(lambda s, p: {"relative_margin": 1 - 3 / (1 + np.array(s.times))})),
            Control("gamma doubled", bound_by(lambda s, p: {"margin": 2 * p.margin})),
            Control("gamma halved", bound_by(lambda s, p: {"margin": p.margin / 2})),
            Control("loss five times smaller", bound_by(lambda s, p: {"loss": p.loss / 5})),
            Control("X^+ 1 in place of w_hat", bound_by(least_norm_fit)),
        ),
    ),
    CERTIFICATE,
    Check(
        "shipped function",
        FORMULA,
        controls=(
            Control("off by 1e-14", {"claim": replace(FORMULA, shipped=lambda s: (1 + 1e-14) * shipped(s))}),
            Control("X^+ 1, every row supporting", {"claim": replace(FORMULA, shipped=lambda s: np.concatenate([np.linalg.pinv(s.design) @ np.ones(len(s.design)), shipped(s)[s.design.shape[1] :]]))}),
            Control("bound with gamma^2 t", {"claim": replace(FORMULA, shipped=lambda s: shipped(replace(s, times=tuple(2 * t for t in s.times))))}),
            Control("bound without eta B^2 L", {"claim": replace(FORMULA, shipped=without_curvature)}),
        ),
    ),
)  # fmt: skip

RESULT = Result(LOGIT_MAXMARGIN, predict=predict, example=EXAMPLE, checks=CHECKS, derivation=DERIVATION)
