"""Repeated training inputs: unique points with multiplicities and mean labels train as all rows do."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy
from flint import arb, arb_mat, ctx
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.store import Rows
from ....numerics.wide_networks.duplicates import Collapsed, ConflictingLabels, collapse_duplicates
from ....numerics.wide_networks.ensemble import ensemble_law
from ....numerics.wide_networks.posterior import ntkgp_posterior
from ....theory.axioms import SPECTRAL
from ....theory.balls.linear_training import conditional_covariance, exact_matrix, flow_map, law, regression_map
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.infinite_width.dynamics import DUPLICATES
from ...result import ByBudget, Check, Control, Result
from ..linear_models import (
    DIGITS,
    EPS,
    LinearModel,
    exact_kernels,
    gain_error,
    kernels,
    parameter_flow,
    random_model,
    relative,
)
from .flow import FLOW, mutant


@dataclass(frozen=True, eq=False)
class RepeatedModel(LinearModel):
    """A linear model whose training points occur `multiplicity` times, with labels `labels + copy/4` (copy = 0, 1, ...)."""

    multiplicity: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.multiplicity) != len(self.labels) or any(m < 1 for m in self.multiplicity):
            raise InvalidInput(f"multiplicity is {self.multiplicity}.", "Pass one count of at least 1 for each label.")

    @property
    def raw(self) -> LinearModel:
        """All rows."""
        rows = [*range(self.tests), *np.repeat(np.arange(len(self.labels)) + self.tests, self.multiplicity)]
        labels = np.concatenate([v + np.arange(m) / 4 for v, m in zip(self.labels, self.multiplicity, strict=True)])
        return LinearModel(
            self.readout[rows], self.hidden[rows], labels, time_sum_loss=self.time_sum_loss, noise=self.noise
        )


@dataclass(frozen=True)
class RepeatedPrediction:
    """The ensemble's law at the setting's time, the posterior covariance at its noise, and what no function can fit."""

    mean: Float[np.ndarray, " test"]
    covariance: Float[np.ndarray, "test test"]
    posterior: Float[np.ndarray, "test test"]
    irreducible_loss: float


def collapse(s: RepeatedModel) -> Collapsed:
    raw = s.raw
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConflictingLabels)  # they are the subject
        return collapse_duplicates(raw.jacobian[raw.tests :], raw.labels)


def predict(
    s: RepeatedModel, *, counts: bool = True, rule: Callable[[float, np.ndarray], Any] | None = None
) -> RepeatedPrediction:
    k, t = kernels(s)
    found = collapse(s)
    members = ensemble_law(k, t, found.labels, training=s.training, multiplicity=found.multiplicity if counts else None)
    noise = found.noise(s.noise) if rule is None else rule(s.noise, found.multiplicity)
    posterior = ntkgp_posterior(t, found.labels, noise=noise)
    return RepeatedPrediction(members.mean, members.covariance, posterior.covariance, found.irreducible_loss)


# --- derivation ---------------------------------------------------------------------------------------------------


def copies_add_up() -> list[tuple[Any, Any]]:
    """sum over copies of (f - y_i)^2/2 = m (f - mean)^2/2 + sum (y_i - mean)^2/2, three copies; so the residual's weight is m."""
    f, a, b, c = sympy.symbols("f a b c", real=True)
    mean = (a + b + c) / 3
    total = sum((f - y) ** 2 for y in (a, b, c)) / 2
    rest = sum((y - mean) ** 2 for y in (a, b, c)) / 2
    return [(total, sympy.Rational(3, 2) * (f - mean) ** 2 + rest), (total.diff(f), 3 * (f - mean))]


def symmetrised() -> list[tuple[Any, Any]]:
    """D^{1/2} S^k D^{1/2} = (D T)^k D for k = 1, 2: c' = D (y - f0 - T c) is b' = D^{1/2} (y - f0) - S b with c = D^{1/2} b."""
    a, b, d = sympy.symbols("a b d", real=True)
    p, q = sympy.symbols("p q", positive=True)  # square roots of the multiplicities
    train, root = sympy.Matrix([[a, b], [b, d]]), sympy.diag(p, q)
    s = root * train * root
    pairs = [
        (root * s * root, root**2 * train * root**2),
        (root * s * s * root, root**2 * train * root**2 * train * root**2),
    ]
    limit = sympy.simplify(root * s.inv() * root - train.inv())
    return [*((x, y) for left, right in pairs for x, y in zip(left, right, strict=True)), *((x, sympy.Integer(0)) for x in limit)]  # fmt: skip


def mean_label_noise() -> list[tuple[Any, Any]]:
    """Two copies of one point with noise s2 each, against one with noise s2/2: gain on the mean label, and variance left."""
    t, c, v = sympy.symbols("t c v", real=True)
    s2 = sympy.symbols("s2", positive=True)
    both = sympy.Matrix([[t + s2, t], [t, t + s2]])
    gain = sympy.Matrix([[c, c]]) * both.inv()
    one = c / (t + s2 / 2)
    return [(gain[0] + gain[1], one), (gain[0], gain[1]), (v - gain[0] * c - gain[1] * c, v - one * c)]


# --- checks -------------------------------------------------------------------------------------------------------


def random_repeated(rng: np.random.Generator) -> RepeatedModel:
    time = math.inf if rng.integers(3) == 0 else float(rng.uniform(0.005, 0.5))
    s = random_model(rng, noise=float(rng.integers(1, 9)) / 4, time_sum_loss=time)
    counts = tuple(int(m) for m in rng.integers(1, 4, size=len(s.labels)))
    return RepeatedModel(s.readout, s.hidden, s.labels, time_sum_loss=time, noise=s.noise, multiplicity=counts)


def exact(s: RepeatedModel) -> list[arb]:
    """All rows: their flow by a matrix exponential, their posterior by the joint precision; unique points at t = inf."""
    with ctx.workdps(DIGITS + 60):
        raw = s.raw
        k, t = exact_kernels(raw)
        if math.isinf(s.time_sum_loss):
            means = [float(np.mean(v + np.arange(m) / 4)) for v, m in zip(s.labels, s.multiplicity, strict=True)]
            unique_k, unique_t = exact_kernels(s)
            members = law(unique_k, regression_map(unique_t, s.tests), means)
        else:
            members = law(k, flow_map(t, s.tests, s.time_sum_loss), raw.labels.tolist())
        noise = [arb(s.noise)] * len(raw.labels)
        posterior = conditional_covariance(t, s.tests, noise)
        loss = arb(0)
        for v, m in zip(s.labels.tolist(), s.multiplicity, strict=True):
            values = arb_mat(exact_matrix([[v + i / 4 for i in range(m)]])).entries()
            mean = sum(values, arb(0)) / m
            loss += sum(((value - mean) ** 2 for value in values), arb(0)) / 2
        return [*members, *posterior.entries(), loss]


def read(p: RepeatedPrediction) -> np.ndarray:
    return np.concatenate([p.mean, p.covariance.ravel(), p.posterior.ravel(), [p.irreducible_loss]])


def width(s: RepeatedModel) -> np.ndarray:
    """As for the unique points, with S in place of T in the smoother: a factor max m; sums of labels are exact to N eps."""
    _, t = kernels(s)
    gain, error = gain_error(s, t)
    most = max(s.multiplicity)
    gain, error = gain * most, error * most**3
    joint, label = float(np.linalg.norm(t.joint())), float(np.linalg.norm(s.raw.labels))
    noisy = 40 * len(s.labels) * EPS * float(np.linalg.cond(t.train)) * (1 + gain) ** 2 * joint
    n, total = s.tests, 20 * len(s.readout) * EPS
    absolute = np.concatenate([
        np.full(n, (error + total * gain) * label),
        np.full(n * n, 2 * error * (1 + gain) * joint + total * (1 + gain) ** 2 * joint),
        np.full(n * n, 2 * noisy),
        [total * label**2],
    ])  # fmt: skip
    return relative(absolute, read(predict(s)))


FORMULA = Formula(exact, lambda s: read(predict(s)), read, random_repeated, width, count=25)


def compare_rows(s: RepeatedModel, p: RepeatedPrediction, rows: Rows) -> Comparison:
    """All rows in the parameters: the flow at finite time, the minimum-norm least-squares change at infinite time."""
    raw = s.raw
    j, n, readout = raw.jacobian, raw.tests, raw.readout.shape[1]
    start = np.eye(j.shape[1], readout + 1)
    start[:, -1] = 0
    goals = np.zeros((len(raw.labels), readout + 1))
    goals[:, -1] = raw.labels
    if math.isinf(s.time_sum_loss):
        moved = start + np.linalg.lstsq(j[n:], goals - j[n:] @ start, rcond=1e-10)[0]
    else:
        moved = parameter_flow(raw)(j[n:], goals, start)
    outputs = j[:n] @ moved
    observed = np.concatenate([outputs[:, -1], (outputs[:, :-1] @ outputs[:, :-1].T).ravel()])
    predicted = read(p)[: n + n * n]
    absolute = width(s)[: n + n * n] * np.abs(np.where(predicted == 0, 1.0, predicted))
    norm = float(np.linalg.norm(j))
    time = 1.0 if math.isinf(s.time_sum_loss) else s.time_sum_loss
    condition = max(time * (norm**2 + norm), float(np.linalg.cond(kernels(s)[1].train)))
    scale = (1 + norm) ** 2 * (1 + float(np.linalg.norm(raw.labels)))
    bound = absolute + 40 * sum(j.shape) * EPS * condition * scale
    return Comparison(observed, predicted, bound, scale)


def plain(s: RepeatedModel) -> RepeatedPrediction:
    return predict(s, counts=False)


def noise_rule(rule: Callable[[float, np.ndarray], Any]) -> Callable[[RepeatedModel], RepeatedPrediction]:
    return lambda s: predict(s, rule=rule)


def first_labels(s: RepeatedModel) -> RepeatedPrediction:
    """The first copy's label in place of the mean."""
    k, t = kernels(s)
    return replace(
        predict(s),
        mean=ensemble_law(k, t, s.labels, training=s.training, multiplicity=collapse(s).multiplicity).mean,
    )


_rng = np.random.default_rng(24)
_BASE = random_model(_rng)
_COUNTS = tuple(1 + i % 3 for i in range(len(_BASE.labels)))
TIMES = tuple(RepeatedModel(_BASE.readout, _BASE.hidden, _BASE.labels, time_sum_loss=t, noise=0.5, multiplicity=_COUNTS) for t in (0.01, 0.05, 0.2))  # fmt: skip
LATE = replace(TIMES[0], time_sum_loss=math.inf)

RESULT = Result(
    DUPLICATES,
    predict,
    TIMES[0],
    (
        Check(
            "shipped collapse against all rows",
            FORMULA,
            controls=(
                Control("multiplicities forgotten", mutant(FORMULA, plain)),
                Control("noise s2, not s2/m", mutant(FORMULA, noise_rule(lambda s2, m: s2))),
                Control("noise s2/m^2", mutant(FORMULA, noise_rule(lambda s2, m: s2 / m**2))),
                Control("the first copy's label", mutant(FORMULA, first_labels)),
                Control("irreducible loss without 1/2", mutant(FORMULA, lambda s: replace(predict(s), irreducible_loss=2 * predict(s).irreducible_loss))),
            ),
        ),
        Check(
            "all rows trained in the parameters",
            Agreement("rounding"),
            settings=ByBudget(quick=(*TIMES, LATE)),
            compare=compare_rows,
            controls=(
                Control("multiplicities forgotten", {"predict": plain}),
                Control("the first copy's label", {"predict": first_labels}),
            ),
        ),
    ),
    uses=(FLOW,),
    derivation=(
        Algebra("m copies of a point count m times with their mean label, and the rest of the loss is constant", copies_add_up),
        Uses(FLOW, "so the residual at the unique points moves by -T_uu D (f_u - mean): with f - f0 = T_*u c, c' = D (mean - f0(u) - T_uu c)"),
        Axiom(SPECTRAL, "S = D^{1/2} T_uu D^{1/2} is diagonal in an orthonormal basis"),
        Algebra("in the variable D^{-1/2} c it is a flow with S, and D^{1/2} S^{-1} D^{1/2} = T_uu^{-1}: multiplicities do not matter at t = inf", symmetrised),
        Algebra("with noise, copies are one observation of their mean with variance s2/m", mean_label_noise),
    ),
)  # fmt: skip

RESULTS = (RESULT,)
