"""Posterior functions from heads without replacement: independent draws of the posterior process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import scipy.stats
import sympy
from flint import arb
from jaxtyping import Float

from ....numerics.claims import EqualInLaw, Formula, Samples
from ....numerics.randomness import sub_seed
from ....numerics.store import Rows
from ....numerics.wide_networks.bayesian_distillation import brnd_target_covariance, posterior_covariance
from ....numerics.wide_networks.ensemble import ensemble_covariance, ensemble_mean, smoother
from ....numerics.wide_networks.posterior_functions import PosteriorFunctions
from ....theory.axioms import GAUSSIAN_AFFINE, INDEPENDENCE
from ....theory.balls.smoothers import converged, matrix, split
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.bayesian_distillation import BRND_SAMPLING
from ...result import ByBudget, Check, Control, Result, Run
from ..distillation import head_independence
from ..distillation.setting import covariance_width, exact_kernels
from ..dynamics import centred, ensemble_law
from ..settings import EnsembleSetting, blocks
from ..wide_dynamics import distillation_steps, late_steps
from . import error_law


@dataclass(frozen=True)
class PosteriorLaw:
    """Mean (S,) and covariance (S, S) of every posterior function at the test points."""

    mean: Float[np.ndarray, " test"]
    covariance: Float[np.ndarray, "test test"]


# --- derivation ---------------------------------------------------------------------------------------------------


def replacement() -> list[tuple[Any, Any]]:
    """Two of K independent errors of variance v, by index: E e_i e_j is 0 without replacement, v/K with it."""
    v = sympy.symbols("v", positive=True)
    equations = []
    for k in (2, 3, 5):
        pairs = [(i, j) for i in range(k) for j in range(k)]
        with_it = sum(v if i == j else 0 for i, j in pairs) / sympy.Integer(len(pairs))
        distinct = [(i, j) for i, j in pairs if i != j]
        equations += [(with_it, v / k), (sum(v if i == j else 0 for i, j in distinct) / sympy.Integer(1), 0 * v)]
    return equations


DERIVATION = (
    Uses(centred.CENTRED, "a centred network on the labels ends at T_*X T_XX^{-1} y, the posterior mean, without randomness"),
    Uses(error_law.RESULT, "each error e_i is a centred Gaussian process with the posterior covariance"),
    Uses(head_independence.RESULT, "heads of one trunk have independent errors in the limit: kernels are block-diagonal over them, also for tangent targets"),
    Axiom(GAUSSIAN_AFFINE, "so mu + e_i is a draw of the posterior at all points at once"),
    Axiom(INDEPENDENCE, "and functions of distinct heads are independent"),
    Algebra("two heads drawn with replacement have the covariance v/K instead of 0", replacement),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: EnsembleSetting) -> PosteriorLaw:
    _, t = blocks(s)
    return PosteriorLaw(ensemble_mean(t, s.labels), posterior_covariance(t))


# --- checks -------------------------------------------------------------------------------------------------------


def last_step(s: EnsembleSetting) -> list[arb]:
    _, t = exact_kernels(s)
    test, cross, _ = split(t, len(s.test))
    g = converged(t, len(s.test))
    return (g * matrix([[value] for value in s.labels.tolist()])).entries() + (test - g * cross.transpose()).entries()


def flatten(p: PosteriorLaw) -> np.ndarray:
    return np.concatenate([p.mean, p.covariance.ravel()])


def width(s: EnsembleSetting) -> np.ndarray:
    _, t = blocks(s)
    g = smoother(t)
    found = covariance_width(t, g, t.joint())
    mean = found / float(np.linalg.norm(t.joint(), 2)) * float(np.linalg.norm(s.labels)) * (1 + np.linalg.norm(g, 2))
    return np.concatenate([np.full(len(s.test), mean), np.full(len(s.test) ** 2, found)]) / np.abs(flatten(predict(s)))


FORMULA = Formula(
    expression=last_step,
    shipped=lambda s: flatten(predict(s)),
    read=flatten,
    sample=ensemble_law.sample,
    width=width,
    count=25,
)


def _no_mean(s: EnsembleSetting) -> PosteriorLaw:
    return replace(predict(s), mean=0 * predict(s).mean)


def _twice(s: EnsembleSetting) -> PosteriorLaw:
    return replace(predict(s), covariance=2 * predict(s).covariance)


def _ensemble(s: EnsembleSetting) -> PosteriorLaw:
    return replace(predict(s), covariance=ensemble_covariance(*blocks(s)))


WRONG: tuple[tuple[str, Callable[[EnsembleSetting], PosteriorLaw]], ...] = (
    ("mean forgotten", _no_mean),
    ("factor 2", _twice),
    ("ensemble covariance", _ensemble),
)

HEADS = 3
COLUMNS = ("one value", "sum over two points", "sum of two functions", "difference of two functions")


def posterior_draws(
    s: EnsembleSetting, run: Run, *, replacement: bool = False, zeroed: bool = True
) -> Mapping[str, Any]:
    """Two posterior functions from each of many infinitely wide networks with HEADS heads, trained by descent from draws."""
    k, t = blocks(s)
    rng = np.random.default_rng(sub_seed(run.seed, "draws"))
    operator = distillation_steps(t, **late_steps(t))  # type: ignore[arg-type]
    models, size, tests = run.block["models"], operator.shape[1] // 2, len(operator)
    target = brnd_target_covariance(k, t).joint() if zeroed else t.joint()
    start, goal = (rng.normal(size=(HEADS, models, size)) @ np.linalg.cholesky(c).T for c in (k.joint(), target))
    errors = start @ operator[:, :size].T + goal @ operator[:, size:].T  # (heads, models, S)
    mean = operator[:, size + tests :] @ s.labels  # a network that starts at 0

    def functions(some: slice, seed: int) -> np.ndarray:
        part = errors[:, some].reshape(HEADS, -1)
        source = PosteriorFunctions(
            lambda _: np.tile(mean, part.shape[1] // tests), lambda _: part, heads=HEADS, seed=seed
        )
        drawn = source.draw(2)
        if replacement:
            again = PosteriorFunctions(lambda _: np.tile(mean, part.shape[1] // tests), lambda _: part, heads=HEADS, seed=seed + 1)  # fmt: skip
            drawn = (drawn[0], *again.draw(1))
        return np.stack([f(None).reshape(-1, tests) for f in drawn])

    group = max(1, models // 200)
    both = np.concatenate(
        [functions(slice(i, i + group), 2 * i) for i in range(0, models - models % group, group)], axis=1
    )
    first, second = both
    values = (first[:, 0], first[:, 0] + first[:, 1], first[:, 0] + second[:, 0], first[:, 0] - second[:, 0])
    return dict(zip(COLUMNS, values, strict=True))


def compare_law(s: EnsembleSetting, p: PosteriorLaw, rows: Rows) -> Samples:
    m, c = p.mean, p.covariance
    mean = np.array([m[0], m[0] + m[1], 2 * m[0], 0.0])
    variance = np.array([c[0, 0], c[0, 0] + 2 * c[0, 1] + c[1, 1], 2 * c[0, 0], 2 * c[0, 0]])
    observed = np.stack([rows[name] for name in COLUMNS], axis=1)
    return Samples(
        COLUMNS,
        observed,
        cdf=scipy.stats.norm.cdf((observed - mean) / np.sqrt(variance)),
        mean=mean,
        variance=variance,
    )


CHECKS = (
    Check(
        "shipped mean and covariance",
        FORMULA,
        controls=tuple(
            Control(name, {"claim": replace(FORMULA, shipped=partial(lambda f, s: flatten(f(s)), function))})
            for name, function in WRONG
        ),
    ),
    Check(
        "functions drawn from heads",
        EqualInLaw(),
        settings=ensemble_law.BOTH,
        experiment=posterior_draws,
        plan=ByBudget(quick=({"models": 20_000},)),
        compare=compare_law,
        controls=(
            *(Control(name, {"predict": function}) for name, function in WRONG),
            Control("heads drawn with replacement", {"experiment": partial(posterior_draws, replacement=True)}),
            Control("last layer of psi not zeroed", {"experiment": partial(posterior_draws, zeroed=False)}),
        ),
    ),
)

RESULT = Result(
    BRND_SAMPLING,
    predict,
    ensemble_law.EXAMPLE,
    CHECKS,
    uses=(centred.CENTRED, error_law.RESULT, head_independence.RESULT),
    derivation=DERIVATION,
)
