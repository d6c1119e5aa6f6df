"""Rademacher bound for kernel interpolants: explicit constants, and a union over the norms that the labels may need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from flint import arb

from ....numerics.claims import Agreement, Comparison, Coverage, Enclosures, Formula, HighProbabilityBound, Inequality
from ....numerics.kernel_regression.rademacher import arora2019_kernel, interpolant_norm, kernel_ball_bound
from ....numerics.kernels.fully_connected import fully_connected_kernels
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import INDEPENDENCE, JENSEN, MCDIARMID, RADEMACHER_CONTRACTION, UNION
from ....theory.balls.rademacher import kernel_ball_bound as exact_bound
from ....theory.derivation import Algebra, Axiom, Enumeration
from ....theory.errors import InvalidInput
from ....theory.statements.infinite_width.neighbours import ARORA2019
from ....theory.validation import log_inverse_delta, sample_size
from ...result import ByBudget, Check, Control, Result, Run
from . import rademacher_algebra

UNIT = 2.0**-53


@dataclass(frozen=True)
class KernelBallSetting:
    """Mean loss on the sample, norm of the predictor, unit norm fixed beforehand, tr T over the sample, n, ln(1/delta)."""

    risk: float
    norm: float
    unit_norm: float
    trace: float
    n: int
    log_inv_delta: float

    def __post_init__(self) -> None:
        sample_size("n", self.n), log_inverse_delta(log_inv_delta=self.log_inv_delta)
        if not (self.norm >= 0 and self.unit_norm > 0 and self.trace >= 0 and 0 <= self.risk <= 1):
            raise InvalidInput("A norm, the trace or the risk is out of range.")


@dataclass(frozen=True)
class KernelBallPrediction:
    """The bound on the true risk before it is clipped at 1."""

    bound: float


# --- derivation ---------------------------------------------------------------------------------------------------

DERIVATION = (
    Axiom(MCDIARMID, "with probability 1 - d/2: sup_f (L - L_S) is at most its mean plus sqrt(ln(2/d)/(2n)), for losses in [0, 1]"),
    Axiom(INDEPENDENCE, "that mean is at most twice that of sup_f (1/n) sum_i s_i l(f(x_i)) with fair signs s (a second sample, and the signs exchange the two)"),
    Axiom(JENSEN, "the supremum of a mean over the second sample is at most the mean of the supremum"),
    Axiom(MCDIARMID, "with probability 1 - d/2 the latter is at most its value on the sample plus sqrt(ln(2/d)/(2n))"),
    Axiom(RADEMACHER_CONTRACTION, "and there the loss may be dropped: it is 1-Lipschitz in f"),
    Algebra("sup over the ball of sum_i s_i f(x_i) is B sqrt(s^T T s)", rademacher_algebra.largest_correlation),
    Enumeration("E s^T T s = tr T", rademacher_algebra.mean_of_the_form),
    Axiom(JENSEN, "so the complexity on the sample is at most B sqrt(tr T)/n"),
    Algebra("the interpolant has norm sqrt(y^T T^{-1} y), bounded from above by any approximate solution", rademacher_algebra.norm_of_the_interpolant),
    Axiom(UNION, "the norm depends on the labels: radius k B0 is given delta/(k(k+1))"),
    Algebra("which sums to delta", rademacher_algebra.shares_of_delta),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def _bound(s: KernelBallSetting, **changes: Any) -> float:
    return kernel_ball_bound(**(vars(s) | changes)).raw


def predict(s: KernelBallSetting) -> KernelBallPrediction:
    return KernelBallPrediction(_bound(s))


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> KernelBallSetting:
    return KernelBallSetting(
        float(rng.choice([0.0, rng.uniform(0, 1)])),
        float(10 ** rng.uniform(-2, 3)),
        float(10 ** rng.uniform(-2, 2)),
        float(10 ** rng.uniform(-2, 4)),
        int(10 ** rng.uniform(0, 6)),
        float(10 ** rng.uniform(-1, 2)),
    )


def exact(s: KernelBallSetting) -> arb:
    return exact_bound(s.risk, s.norm, s.unit_norm, s.trace, s.n, s.log_inv_delta)


FORMULA = Formula(
    expression=exact,
    shipped=_bound,
    read=lambda p: p.bound,
    sample=sample,
    width=lambda s: 32 * UNIT,  # outward by at most an ulp a step (two for the logarithm), on a chain of positive terms
    side="upper",
)


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=function)}


def written_out(
    s: KernelBallSetting,
    *,
    factor: float = 2.0,
    three: float = 3.0,
    union: bool = True,
    shift: int = 1,
    rounded: bool = True,
) -> float:
    """The bound in plain float64, pushed upward by 1e-14 so that only its constants can be refuted."""
    k = max(1, int(np.ceil(s.norm / s.unit_norm)))
    radius = k * s.unit_norm if rounded else s.norm
    level = s.log_inv_delta + np.log(2 * k * (k + shift) if union else 2)
    return float(s.risk + factor * radius * np.sqrt(s.trace) / s.n + three * np.sqrt(level / (2 * s.n))) * (1 + 1e-14)


# --- checks: complexity by all signs, and how often the bound fails --------------------------------------------------


def points(count: int, seed: int) -> np.ndarray:
    x = generator(seed, "unit inputs").normal(size=(count, 3))
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def compare_complexity(s: KernelBallSetting, p: KernelBallPrediction, rows: Rows, *, factor: float = 1.0) -> Enclosures:
    """sqrt(tr T) - E sqrt(s^T T s) over all 2^10 signs: for the kernel of two-layer networks, and for orthogonal inputs (equality)."""
    signs = np.array(list(product((-1.0, 1.0), repeat=10)))
    low, high = [], []
    for gram in (arora2019_kernel(points(10, 0)), np.eye(10)):
        mean = float(np.mean(np.sqrt(np.einsum("si,ij,sj->s", signs, gram, signs))))
        gap, doubt = factor * float(np.sqrt(np.trace(gram))) - mean, 1e-13
        low.append(gap - doubt)
        high.append(gap + doubt)
    return Enclosures(np.array(low), np.array(high), width=1e-12)


def interpolants(setting: KernelBallSetting, run: Run, *, memorise: bool = False) -> Mapping[str, Any]:
    """Samples of n from a finite world; norm, trace and true risk (loss min(1, |f - y|)) of the interpolant of each.

    Smooth: 120 unit inputs, the kernel of two-layer networks, labels x_1. Memorised: 4000 orthogonal inputs and labels +-1,
    where nothing is learned about an input that was not drawn.
    """
    rng = generator(run.seed, "samples", memorise)
    count = 4_000 if memorise else 120
    if not memorise:
        x = points(count, 1)
        kernel, labels = arora2019_kernel(x), x[:, 0]
    found = []
    for _ in range(run.block["samples"]):
        drawn = rng.integers(count, size=setting.n)
        seen = np.unique(drawn)
        if memorise:
            norm, trace, risk = np.sqrt(len(seen)), float(setting.n), 1 - len(seen) / count
        else:
            weights = np.linalg.solve(kernel[np.ix_(seen, seen)], labels[seen])
            norm, trace = np.sqrt(weights @ labels[seen]), setting.n / 2
            risk = np.mean(np.minimum(1.0, np.abs(kernel[:, seen] @ weights - labels)))
        found.append((norm, trace, risk))
    norm, trace, risk = np.array(found).T
    return {"norm": norm, "trace": trace, "risk": risk}


def memorised(setting: KernelBallSetting, run: Run) -> Mapping[str, Any]:
    return interpolants(setting, run, memorise=True)


def compare_failures(s: KernelBallSetting, p: KernelBallPrediction, rows: Rows, *, bound: Any = _bound) -> Coverage:
    violations = 0
    for norm, trace, risk in zip(rows["norm"], rows["trace"], rows["risk"], strict=True):
        value = bound(replace(s, norm=float(norm), trace=float(trace)))
        violations += bool(risk > value + 1e-9)
    return Coverage(float(np.exp(-s.log_inv_delta)), violations=violations, trials=len(rows["risk"]))


def without_the_root(s: KernelBallSetting) -> float:
    return float(2 * s.norm / s.n + 3 * np.sqrt((np.log(2) + s.log_inv_delta) / (2 * s.n)))


def compare_kernel(s: KernelBallSetting, p: KernelBallPrediction, rows: Rows, *, scale: float = 1.0) -> Comparison:
    """H is the share of the first layer of a one-hidden-layer tangent kernel with sw = 1, sb = 0 and inputs times sqrt(d)."""
    x = points(8, 2)
    both = fully_connected_kernels(np.sqrt(3) * scale * x, depth=1, activation="relu", weight_scale=1.0, bias_scale=0.0)
    found = both.ntk - both.nngp
    return Comparison(arora2019_kernel(x), found, np.full_like(found, 60 * UNIT), 1.0)


def norms(s: KernelBallSetting, p: KernelBallPrediction, rows: Rows, *, factor: float = 1.0) -> Enclosures:
    """The upper norm less the exact one, in balls, on nearly singular matrices."""
    from flint import arb_mat, ctx

    low, high = [], []
    for seed in range(6):
        x = points(6, seed)
        x[1] = (x[0] + 10.0 ** -(seed + 1) * x[1]) / np.linalg.norm(x[0] + 10.0 ** -(seed + 1) * x[1])
        gram, y = arora2019_kernel(x), np.sin(5 * x[:, 0])
        gram = (gram + gram.T) / 2
        with ctx.workdps(60):
            column = arb_mat([[arb(value)] for value in y.tolist()])
            matrix = arb_mat([[arb(value) for value in row] for row in gram.tolist()])
            true = (column.transpose() * matrix.solve(column))[0, 0].sqrt()
            gap = (factor * arb(interpolant_norm(gram=gram, labels=y).upper) - true) / true
            low.append(float(gap.lower()))
            high.append(float(gap.upper()))
    return Enclosures(np.array(low), np.array(high), width=1e-12)


EXAMPLE = KernelBallSetting(0.0, 2.0, 1.0, 200.0, 400, float(-np.log(0.05)))
SETTINGS = ByBudget(quick=(EXAMPLE,))
SAMPLES = ByBudget(quick=({"samples": 1_200},))

CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        FORMULA,
        controls=(
            Control("B sqrt(tr T)/n once", _mutant(lambda s: written_out(s, factor=1.0))),
            Control("one deviation for three", _mutant(lambda s: written_out(s, three=1.0))),
            Control("observed norm plugged in", _mutant(lambda s: written_out(s, union=False, rounded=False))),
            Control("union not paid", _mutant(lambda s: written_out(s, union=False))),
            Control("k^2 for k(k+1)", _mutant(lambda s: written_out(s, shift=0))),
            Control("norm not rounded up to the grid", _mutant(lambda s: written_out(s, rounded=False))),
            Control("1/delta for 2/delta", _mutant(lambda s: _bound(s, log_inv_delta=max(s.log_inv_delta - np.log(2), 0.01)))),
        ),
    ),
    Check(
        "complexity by all 2^10 signs is at most sqrt(tr T)",
        Inequality(),
        settings=SETTINGS,
        compare=compare_complexity,
        controls=(Control("0.999 of it", {"compare": lambda s, p, rows: compare_complexity(s, p, rows, factor=0.999)}),),
    ),
    Check(
        "the upper norm is not below the exact one",
        Inequality(),
        settings=SETTINGS,
        compare=norms,
        controls=(Control("1e-6 less", {"compare": lambda s, p, rows: norms(s, p, rows, factor=1 - 1e-6)}),),
    ),
    Check(
        "H is the first layer's share of the tangent kernel",
        Agreement("rounding"),
        settings=SETTINGS,
        compare=compare_kernel,
        controls=(Control("inputs not multiplied by sqrt(d)", {"compare": lambda s, p, rows: compare_kernel(s, p, rows, scale=3**-0.5)}),),
    ),
    Check(
        "smooth labels in a finite world",
        HighProbabilityBound(),
        settings=SETTINGS,
        experiment=interpolants,
        plan=SAMPLES,
        compare=compare_failures,
        controls=(Control("risk on the sample", {"compare": lambda s, p, rows: compare_failures(s, p, rows, bound=lambda t: t.risk)}),),
    ),
    Check(
        "memorised labels",
        HighProbabilityBound(),
        settings=SETTINGS,
        experiment=memorised,
        plan=SAMPLES,
        compare=compare_failures,
        controls=(
            Control("complexity dropped", {"compare": lambda s, p, rows: compare_failures(s, p, rows, bound=lambda t: _bound(t, trace=0.0))}),
            Control("sqrt(tr T) forgotten", {"compare": lambda s, p, rows: compare_failures(s, p, rows, bound=without_the_root)}),
        ),
    ),
)  # fmt: skip

RESULT = Result(ARORA2019, predict, EXAMPLE, CHECKS, derivation=DERIVATION)
