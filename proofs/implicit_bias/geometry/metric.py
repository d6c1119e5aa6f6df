"""Descent in a metric ends at the nearest solution in that metric: per-parameter step sizes and reparametrisations."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from flint import arb, fmpq, fmpq_mat

from ....numerics.claims import Agreement, Formula, Inequality
from ....numerics.implicit_bias.least_squares import gradient_descent_limit, null_projector
from ....numerics.implicit_bias.metric import largest_stable_metric_step, metric_limit, metric_path, oblique_projector
from ....theory.axioms import CONVEX_UNIQUE, KKT, SVD
from ....theory.derivation import Algebra, Axiom, Enumeration, Uses
from ....theory.statements.implicit_bias.geometry import LS_PRECOND
from ...result import ByBudget, Check, Control, Result
from ..exact_values import mutant, relative_width
from ..least_squares import minimum_norm
from ..problems import balls, identity, integer_design, pseudo_inverse, rational, sum_of_squares
from .metric_evidence import (
    MetricPrediction,
    MetricSetting,
    adapt,
    compare_adaptive,
    compare_competitors,
    compare_limit,
    compare_path,
    compare_rate,
    descend,
    distance_squared,
    draw_competitors,
    floors,
    predict,
    random_setting,
    reparametrise,
)

# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def substitution() -> Equations:
    """A step in the metric B B^T is a plain step on v in w = w_0 + B v, for generic X (1 x 2) and triangular B."""
    import sympy

    x = sympy.Matrix([sympy.symbols("x1:3", real=True)])
    y = sympy.Matrix([sympy.Symbol("y", real=True)])
    start, v = (sympy.Matrix(sympy.symbols(f"{name}1:3", real=True)) for name in ("w", "v"))
    a, c = sympy.symbols("a c", positive=True)
    b, eta = sympy.symbols("b eta", real=True)
    root = sympy.Matrix([[a, 0], [b, c]])
    moved = root * v
    in_metric = start + moved - eta * root * root.T * x.T * (x * (start + moved) - y)
    plain = start + root * (v - eta * (x * root).T * (x * root * v - (y - x * start)))
    return [*zip(in_metric, plain, strict=True), (moved.dot((root * root.T).inv() * moved), v.dot(v))]


def pseudo_inverse_of_a_product() -> Equations:
    """A^+ = A^T (A A^T)^+ in each singular direction of A = X B, so B (X B)^+ = D X^T (X D X^T)^+."""
    import sympy

    s = sympy.Symbol("s", positive=True)
    return [(s * (1 / s**2), 1 / s)]


def small_metrics() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    """Every 1 x 3 and 2 x 2 design with entries -1, 0, 1, two metrics each: projector identities and KKT conditions."""
    metrics = {3: ([2, 1, 0, 1, 3, 1, 0, 1, 1], [1, 0, 0, 0, 5, 0, 0, 0, 2]), 2: ([2, 1, 1, 3], [1, 0, 0, 4])}
    for n, p in ((1, 3), (2, 2)):
        for entries in itertools.product((-1, 0, 1), repeat=n * p):
            x = fmpq_mat(n, p, list(entries))
            start, y = fmpq_mat(p, 1, [3, -1, 2][:p]), fmpq_mat(n, 1, [1, 5][:n])
            for k, values in enumerate(metrics[p]):
                d = fmpq_mat(p, p, values)
                inverse = pseudo_inverse(x * d * x.transpose())
                pi = identity(p) - d * x.transpose() * inverse * x
                move = d * x.transpose() * inverse * (y - x * start)
                zeros = (pi * pi - pi, x * pi, pi * d - d * pi.transpose(), x.transpose() * (x * (start + move) - y))
                lagrange = pseudo_inverse(x) * x  # D^{-1} (w - w_0) lies in the row space
                for zero in (*zeros, d.inv() * move - lagrange * (d.inv() * move)):
                    size = sum_of_squares(zero)
                    yield f"{entries}, metric {k}", Fraction(int(size.p), int(size.q)), "==", Fraction(0)


DERIVATION = (
    Algebra("w <- w - eta D g is a plain step on v in w = w_0 + B v, D = B B^T, and ||v||^2 = (w - w_0)^T D^{-1} (w - w_0)", substitution),
    Uses(minimum_norm.RESULT, "for X B, y - X w_0 and v_0 = 0: limit, path, rate (the nonzero eigenvalues of X D X^T) and minimality"),
    Axiom(SVD, "of X B"),
    Algebra("the limit B (X B)^+ (y - X w_0) is D X^T (X D X^T)^+ (y - X w_0)", pseudo_inverse_of_a_product),
    Enumeration("Pi^2 = Pi, X Pi = 0, Pi D = D Pi^T, normal equations, D^{-1} (w_inf - w_0) in the row space, for designs of every rank", small_metrics),
    Axiom(KKT, "so w_inf minimises the D^{-1} distance over the solutions of the normal equations"),
    Axiom(CONVEX_UNIQUE, "and is the only one"),
)  # fmt: skip

# --- checks -------------------------------------------------------------------------------------------------------

SETTINGS = ByBudget(quick=tuple(map(random_setting, range(12))), standard=lambda: tuple(map(random_setting, range(48))))
UNDERDETERMINED = tuple(s for s in SETTINGS.quick if np.linalg.matrix_rank(s.design) <= s.design.shape[1] - 2)


def with_(**changes: Callable[[MetricSetting], Any]) -> Mapping[str, Any]:
    return {"predict": lambda s: replace(predict(s), **{name: change(s) for name, change in changes.items()})}


def symmetric_power(s: MetricSetting, power: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(s.metric)
    d = vectors * values**power @ vectors.T
    return (d + d.T) / 2


def limit_in(s: MetricSetting, power: float) -> np.ndarray:
    return metric_limit(*s.problem, metric=symmetric_power(s, power))


def path_in(s: MetricSetting, power: float) -> np.ndarray:
    metric = symmetric_power(s, power)
    step = min(s.step, 0.5 * largest_stable_metric_step(s.design, metric=metric))
    return metric_path(*s.problem, metric=metric, step=step, time=s.times)


def orthogonal(s: MetricSetting) -> np.ndarray:
    return gradient_descent_limit(*s.problem)


def sample(rng: np.random.Generator) -> MetricSetting:
    design = integer_design(rng)
    n, p = design.shape
    root = np.tril(rng.integers(-2, 3, size=(p, p)), -1) / 2 + np.diag(rng.integers(1, 4, size=p))
    metric = root @ root.T  # exact in floats
    step = rng.uniform(0.1, 0.9) * largest_stable_metric_step(design, metric=metric)
    return MetricSetting(design, rng.normal(size=(n,)), rng.normal(size=(p,)), metric, step, (0, 1, 6))


def last_steps(s: MetricSetting) -> list[arb]:
    x, y, start, d = rational(s.design), rational(s.targets), rational(s.initial), rational(s.metric)
    gain = d * x.transpose() * pseudo_inverse(x * d * x.transpose())
    limit = start + gain * (y - x * start)
    shrink = identity(x.ncols()) - fmpq(*s.step.as_integer_ratio()) * (d * x.transpose() * x)
    path = [entry for t in s.times for entry in balls(limit + shrink**t * (start - limit))]
    return [*balls(limit), *path, *balls(identity(x.ncols()) - gain * x)]


def read(p: MetricPrediction) -> np.ndarray:
    return np.concatenate([p.limit, p.path.ravel(), p.projector.ravel()])


def shipped(s: MetricSetting) -> np.ndarray:
    path = metric_path(*s.problem, metric=s.metric, step=s.step, time=s.times)
    limit, projector = metric_limit(*s.problem, metric=s.metric), oblique_projector(s.design, metric=s.metric)
    return np.concatenate([limit, path.ravel(), projector.ravel()])


def width(s: MetricSetting) -> np.ndarray:
    p = len(s.initial)
    # Columns of Pi are null parts: Pi e = e - D X^T (X D X^T)^+ X e is the limit from w_0 = e with targets 0.
    columns = [floors(replace(s, targets=0 * s.targets, initial=e))[0] for e in np.eye(p)]
    cond = float(np.linalg.cond(s.metric))
    bound = np.concatenate([np.repeat([floors(s)[-1], *floors(s)], p), np.tile(columns, p) * cond])
    return relative_width(shipped(s), bound)


FORMULA = Formula(expression=last_steps, shipped=shipped, read=read, sample=sample, width=width, count=24)
EXAMPLE = MetricSetting(np.array([[1.0, 2.0, 0.0]]), np.array([1.0]), np.array([0.5, 0.0, 2.0]), np.diag([1.0, 4.0, 1.0]), 0.05, (1, 10, 100))  # fmt: skip

CHECKS = (
    Check(
        "limit of real descent in the metric",
        Agreement("convergence"),
        settings=SETTINGS,
        experiment=descend,
        compare=compare_limit,
        controls=(
            Control("nearest in the Euclidean norm", with_(limit=orthogonal)),
            Control("D^{-1} in place of D", with_(limit=lambda s: limit_in(s, -1.0))),
            Control("D^{1/2} in place of D", with_(limit=lambda s: limit_in(s, 0.5))),
            Control("orthogonal projector in place of the oblique one", with_(limit=lambda s: null_projector(s.design) @ s.initial + limit_in(replace(s, initial=0 * s.initial), 1.0))),
        ),
    ),
    Check(
        "every iterate, trained as w = C v",
        Agreement("rounding"),
        settings=SETTINGS,
        experiment=reparametrise,
        compare=compare_path,
        controls=(
            Control("metric forgotten", with_(path=lambda s: path_in(s, 0.0))),
            Control("D = C in place of C C^T", with_(path=lambda s: path_in(s, 0.5))),
            Control("start forgotten", with_(path=lambda s: metric_path(s.design, s.targets, 0 * s.initial, metric=s.metric, step=s.step, time=s.times))),
        ),
    ),
    Check(
        "rate in the norm of D^{-1}",
        Inequality(),
        settings=SETTINGS,
        experiment=descend,
        compare=compare_rate,
        controls=(
            Control("rate of the loss", with_(contraction=lambda s: predict(s).contraction ** 2)),
            Control("rate 1% faster", with_(contraction=lambda s: predict(s).contraction * 0.99)),
        ),
    ),
    Check(
        "no solution is nearer in D^{-1}",
        Inequality(),
        settings=ByBudget(quick=UNDERDETERMINED),
        experiment=draw_competitors,
        plan=ByBudget(quick=({"competitors": 200},)),
        compare=compare_competitors,
        controls=(
            Control("the Euclidean nearest one", with_(distance_squared=lambda s: distance_squared(s, orthogonal(s)))),
            Control("nearest in D", with_(distance_squared=lambda s: distance_squared(s, limit_in(s, -1.0)))),
        ),
    ),
    Check(
        "Adam and AdaGrad follow no metric: they leave w_0 + row(X), and do not move in proportion to the residual",
        Inequality(),
        settings=ByBudget(quick=tuple(s for s in UNDERDETERMINED if np.linalg.matrix_rank(s.design) > 1)[:3]),
        experiment=adapt,
        compare=compare_adaptive,
        controls=(
            Control("plain descent", {"experiment": partial(adapt, optimiser="descent")}),
            Control("descent in a metric", {"experiment": partial(adapt, optimiser="metric")}),
        ),
    ),
    Check(
        "shipped functions",
        FORMULA,
        controls=(
            Control("all off by 1e-9", mutant(FORMULA, lambda s: (1 + 1e-9) * shipped(s))),
            Control("one step size off by 1e-9", mutant(FORMULA, lambda s: shipped(replace(s, metric=s.metric + 1e-9 * np.diag(np.eye(len(s.initial))[0]))))),
            Control("orthogonal projector", mutant(FORMULA, lambda s: np.append(shipped(s)[: -len(s.initial) ** 2], null_projector(s.design).ravel()))),
        ),
    ),
)  # fmt: skip

RESULT = Result(LS_PRECOND, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(minimum_norm.RESULT,), derivation=DERIVATION)  # fmt: skip

RESULTS = (RESULT,)
