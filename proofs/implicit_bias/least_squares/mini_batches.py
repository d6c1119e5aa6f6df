"""Mini-batch descent: the limit of plain descent when the data can be interpolated, a stationary law when they cannot."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, fmpq, fmpq_mat

from ....numerics.claims import Agreement, Formula, Inequality
from ....numerics.implicit_bias.least_squares import row_space
from ....numerics.implicit_bias.mini_batches import (
    batch_curvature,
    error_moments,
    largest_stable_batch_step,
    stationary_covariance,
)
from ....theory.axioms import CONTRACTION, FUBINI, INDEPENDENCE, LINEARITY, SPECTRAL, TOWER
from ....theory.derivation import Algebra, Axiom, Enumeration, Uses
from ....theory.statements.implicit_bias.least_squares import LS_SGD
from ...result import ByBudget, Check, Control, Result
from ..exact_values import mutant, relative_width
from ..problems import balls, identity, integer_design, pseudo_inverse, rational, sum_of_squares
from . import minimum_norm
from .mini_batches_evidence import (
    UNIT_ROUNDOFF,
    MiniBatchPrediction,
    MiniBatchSetting,
    compare_bound,
    compare_limit,
    compare_moments,
    compare_stationary,
    interpolating_setting,
    long_setting,
    noisy_setting,
    predict,
    run_many,
    settle,
    sum_over_batches,
    train,
)

# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def one_step() -> Equations:
    """||d - eta H d||^2 for a symmetric H, its two sides in one eigendirection, and the resulting rate."""
    import sympy

    a, b, c, one, two = sympy.symbols("a b c d1 d2", real=True)
    eta, top, part, low = sympy.symbols("eta top part low", positive=True)
    h, d = sympy.Matrix([[a, b], [b, c]]), sympy.Matrix([one, two])
    moved = d - eta * h * d
    curvature = part * top  # an eigenvalue between 0 and L_max
    return [
        (moved.dot(moved), d.dot(d) - 2 * eta * d.dot(h * d) + eta**2 * d.dot(h * h * d)),
        (top * curvature - curvature**2, part * (1 - part) * top**2),
        (1 - 2 * eta * low + eta**2 * top * low, 1 - eta * low * (2 - eta * top)),
    ]


def every_batch() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    """E H_B = H, and the second moments of H_B d and of the noise by one and two rows, for every batch of small designs."""
    for n, p, shift in ((2, 2, 0), (3, 2, 1), (4, 1, 2), (4, 2, 3)):
        x = fmpq_mat(n, p, [(3 * i + shift * j + i * j) % 5 - 2 for i in range(n) for j in range(p)])
        c = fmpq_mat(p, p, [2, 1, 1, 3] if p == 2 else [5])
        gram = x.transpose() * x
        rows = [fmpq_mat(p, 1, [x[i, j] for j in range(p)]) for i in range(n)]
        for size in range(1, n + 1):
            scale = fmpq(n, size)
            batches = [
                scale * sum_matrices([rows[i] * rows[i].transpose() for i in b], p)
                for b in itertools.combinations(range(n), size)
            ]
            share = fmpq(1, len(batches))
            alone = scale * (1 - fmpq(size - 1, n - 1))
            both = scale * fmpq(size - 1, n - 1)
            single = sum_matrices([(r.transpose() * c * r)[0, 0] * r * r.transpose() for r in rows], p)
            mean = share * sum_matrices(batches, p)
            second = share * sum_matrices([h * c * h for h in batches], p)
            for name, zero in (("mean", mean - gram), ("second", second - alone * single - both * gram * c * gram)):
                value = sum_of_squares(zero)
                yield f"{name}, {n} rows, batches of {size}", Fraction(int(value.p), int(value.q)), "==", Fraction(0)


def sum_matrices(matrices: list[fmpq_mat], size: int) -> fmpq_mat:
    total = fmpq_mat(size, size)
    for matrix in matrices:
        total = total + matrix
    return total


DERIVATION = (
    Uses(minimum_norm.RESULT, "every batch gradient lies in the row space, so P w_t = P w_0; when interpolating all of them vanish at w_inf, and d+ = (I - eta H_B) d"),
    Axiom(SPECTRAL, "0 <= H_B <= L_max: eigenvalue by eigenvalue H_B^2 <= L_max H_B"),
    Algebra("||d+||^2 = ||d||^2 - 2 eta d^T H_B d + eta^2 d^T H_B^2 d, and h (L - h) >= 0 for 0 <= h <= L", one_step),
    Axiom(INDEPENDENCE, "the batch is independent of d"),
    Axiom(LINEARITY, "E H_B = H, and d^T H d >= h_min ||d||^2 in the row space"),
    Axiom(TOWER, "so E ||d+||^2 <= [1 - eta h_min (2 - eta L_max)] E ||d||^2"),
    Axiom(FUBINI, "E sum ||d_t||^2 is a finite geometric series: the sum is finite and d_t -> 0, almost surely"),
    Enumeration("E H_B = H; E H_B C H_B = (N/B) [(1 - (B-1)/(N-1)) sum (x^T C x) x x^T + (B-1)/(N-1) H C H]", every_batch),
    Axiom(CONTRACTION, "C -> E (I - eta H_B) C (I - eta H_B) is self-adjoint and below 2/L_max contracts the trace on the row space: with noise at w_inf, C_t tends to its fixed point, which vanishes iff the noise does"),
)  # fmt: skip

# --- checks -------------------------------------------------------------------------------------------------------

INTERPOLATING = ByBudget(quick=tuple(map(interpolating_setting, range(9))), standard=lambda: tuple(map(interpolating_setting, range(40))))  # fmt: skip
LONG = ByBudget(quick=tuple(map(long_setting, range(1, 7))))
NOISY = ByBudget(quick=tuple(map(noisy_setting, range(8))), standard=lambda: tuple(map(noisy_setting, range(40))))
POPULATION = ByBudget(quick=(interpolating_setting(1, times=(1, 2, 6)), noisy_setting(2), noisy_setting(5)))


def with_(**changes: Callable[[MiniBatchSetting], Any]) -> Mapping[str, Any]:
    return {"predict": lambda s: replace(predict(s), **{name: change(s) for name, change in changes.items()})}


def bounds_by(rate: Callable[[MiniBatchSetting, np.ndarray, float], float]) -> Mapping[str, Any]:
    """Bounds with another rate, from the eigenvalues of H and L_max."""

    def bounds(s: MiniBatchSetting) -> np.ndarray:
        h = row_space(s.design).singular_values ** 2
        d = np.linalg.pinv(s.design) @ (s.design @ s.initial - s.targets)
        found = rate(s, h, batch_curvature(s.design, batch_size=s.batch_size))
        return max(found, 1e-3) ** np.array(s.times, dtype=np.float64) * float(d @ d)

    return with_(bounds=bounds)


def moments_by(change: Callable[[MiniBatchSetting], MiniBatchSetting]) -> Mapping[str, Any]:
    return with_(second_moments=lambda s: predict(change(s)).second_moments)


def without_noise(s: MiniBatchSetting) -> MiniBatchSetting:
    return replace(s, batch_size=len(s.targets))


def white_noise(s: MiniBatchSetting) -> np.ndarray:
    """The covariance if the noise were isotropic in the row space, with the right trace."""
    q = row_space(s.design).right
    found = predict(s).stationary
    return np.trace(found) / q.shape[1] * (q @ q.T) * 1.5


def sample(rng: np.random.Generator) -> MiniBatchSetting:
    while len(design := integer_design(rng)) < 2:
        pass
    n, p = design.shape
    size = int(rng.integers(1, n + 1))
    step = rng.uniform(0.1, 0.4) * largest_stable_batch_step(design, batch_size=size)
    return MiniBatchSetting(design, rng.normal(size=(n,)), rng.normal(size=(p,)), step, size, (0, 1, 3))


def last_steps(s: MiniBatchSetting) -> list[arb]:
    """Averages over every batch in exact fractions; the fixed point by the pseudo-inverse of I - T on all of R^(P x P)."""
    x, y, start = rational(s.design), rational(s.targets), rational(s.initial)
    (n, p), eta = s.design.shape, fmpq(*s.step.as_integer_ratio())
    limit = start + pseudo_inverse(x) * (y - x * start)
    residual, maps, kicks = y - x * limit, [], []
    for batch in itertools.combinations(range(n), s.batch_size):
        part = fmpq_mat(len(batch), p, [x[i, j] for i in batch for j in range(p)])
        off = fmpq_mat(len(batch), 1, [residual[i, 0] for i in batch])
        scale = eta * fmpq(n, s.batch_size)
        maps.append(identity(p) - scale * part.transpose() * part)
        kicks.append(scale * part.transpose() * off)
    share, mean = fmpq(1, len(maps)), start - limit
    second = mean * mean.transpose()
    means: list[arb] = []
    moments: list[arb] = []
    for t in range(max(s.times) + 1):
        if t in s.times:
            means, moments = [*means, *balls(mean)], [*moments, *balls(second)]
        cross = sum_matrices([a * mean * k.transpose() for a, k in zip(maps, kicks, strict=True)], p)
        inner = sum_matrices([a * second * a + k * k.transpose() for a, k in zip(maps, kicks, strict=True)], p)
        second = share * (inner + cross + cross.transpose())
        mean = share * (sum((a * mean + k for a, k in zip(maps, kicks, strict=True)), fmpq_mat(p, 1)))
    noise = share * sum_matrices([k * k.transpose() for k in kicks], p)
    operator = fmpq_mat(p * p, p * p, [int(i == j) for i in range(p * p) for j in range(p * p)])
    for a in maps:
        kron = [share * a[i, k] * a[j, m] for i in range(p) for j in range(p) for k in range(p) for m in range(p)]
        operator = operator - fmpq_mat(p * p, p * p, kron)
    fixed = (
        pseudo_inverse(operator) * fmpq_mat(p * p, 1, noise.entries()) if sum_of_squares(noise) else fmpq_mat(p * p, 1)
    )
    return [*means, *moments, *balls(fixed)]


def read(p: MiniBatchPrediction) -> np.ndarray:
    return np.concatenate([p.means.ravel(), p.second_moments.ravel(), p.stationary.ravel()])


def shipped(s: MiniBatchSetting) -> np.ndarray:
    found = [error_moments(*s.problem, time=t, **s.options) for t in s.times]
    fixed = stationary_covariance(s.design, s.targets, **s.options)
    return np.concatenate([*(mean for mean, _ in found), *(second.ravel() for _, second in found), fixed.ravel()])


def width(s: MiniBatchSetting) -> np.ndarray:
    """w_inf errs by c u (cond of its size + cond^2 of the residual), the residual by ||X|| times that; averages and solve by c u."""
    values, (n, p) = row_space(s.design).singular_values, s.design.shape
    low, high, found, unit = float(values[-1]), float(values[0]), predict(s), 10 * sum(s.design.shape) * UNIT_ROUNDOFF
    residual = float(np.linalg.norm(s.targets - s.design @ found.limit))
    size = float(np.linalg.norm(s.initial) + np.linalg.norm(found.limit))
    mean = unit * (high / low * size + high / low**2 * residual)
    off, most = high * mean, (1 + s.step * high**2 * n / s.batch_size) ** 2  # of one average
    kicks = s.step**2 * n / s.batch_size * high**2 * (2 * residual * off + off**2)
    traces = np.trace(found.second_moments, axis1=1, axis2=2).max() + float(np.trace(found.stationary))
    second = (1 + max(s.times)) * (unit * most * (traces + size**2) + kicks) + 2 * size * mean + mean**2
    rate = 1 - s.step * low**2 * (2 - s.step * batch_curvature(s.design, batch_size=s.batch_size))
    fixed = (kicks + unit * most * float(np.trace(found.stationary))) / (1 - rate)
    k = len(s.times)
    return relative_width(shipped(s), np.repeat([mean, second, fixed], [k * p, k * p * p, p * p]))


FORMULA = Formula(expression=last_steps, shipped=shipped, read=read, sample=sample, width=width, count=40)
EXAMPLE = MiniBatchSetting(np.array([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]]), np.array([1.0, -1.0]), np.array([0.5, 0.0, 2.0]), 0.1, 1, (1, 10, 50))  # fmt: skip

CHECKS = (
    Check(
        "single runs end at the limit of plain descent",
        Agreement("convergence"),
        settings=LONG,
        experiment=train,
        compare=compare_limit,
        controls=(
            Control("data that cannot be interpolated", {"experiment": lambda s, run: train(replace(s, design=np.vstack([s.design, s.design[:1]]), targets=np.append(s.targets, s.targets[0] + 1), step=s.step / 4), run)}),
            Control("null space trained towards 0", {"experiment": lambda s, run: train(replace(s, initial=0 * s.initial), run)}),
            Control("w_inf 1e-9 off", with_(limit=lambda s: predict(s).limit * (1 + 1e-9))),
        ),
    ),
    Check(
        "bound on the expected squared error",
        Inequality(),
        settings=INTERPOLATING,
        experiment=sum_over_batches,
        compare=compare_bound,
        controls=(
            Control("noise of the batches forgotten", bounds_by(lambda s, h, top: (1 - s.step * h[-1]) ** 2)),
            Control("h_max in place of L_max", bounds_by(lambda s, h, top: 1 - s.step * h[-1] * (2 - s.step * h[0]))),
            Control("h_max in place of h_min", bounds_by(lambda s, h, top: 1 - s.step * h[0] * (2 - s.step * top))),
        ),
    ),
    Check(
        "stationary covariance when the data cannot be interpolated",
        Agreement("convergence"),
        settings=NOISY,
        experiment=settle,
        compare=compare_stationary,
        controls=(
            Control("convergence to w_inf", with_(stationary=lambda s: 0 * predict(s).stationary)),
            Control("batches drawn with replacement", with_(stationary=lambda s: predict(s).stationary * (len(s.targets) - 1) / (len(s.targets) - s.batch_size))),
            Control("isotropic noise", with_(stationary=white_noise)),
            Control("first order in the step", with_(stationary=lambda s: predict(replace(s, step=s.step / 100)).stationary * 100)),
        ),
    ),
    Check(
        "expected squared error of many runs",
        Agreement("Monte Carlo", relative=0.2),
        settings=POPULATION,
        experiment=run_many,
        plan=ByBudget(quick=({"runs": 20_000},)),
        compare=compare_moments,
        controls=(
            Control("full batch", moments_by(without_noise)),
            Control("mean over the batch without the factor N", moments_by(lambda s: replace(s, step=s.step / len(s.targets)))),
        ),
    ),
    Check(
        "shipped functions",
        FORMULA,
        controls=(
            Control("all off by 1e-8", mutant(FORMULA, lambda s: (1 + 1e-8) * shipped(s))),
            Control("step off by 1e-8", mutant(FORMULA, lambda s: shipped(replace(s, step=s.step * (1 + 1e-8))))),
            Control("batch of another size", mutant(FORMULA, lambda s: shipped(replace(s, batch_size=max(1, s.batch_size - 1), step=s.step / 9)))),
        ),
    ),
)  # fmt: skip

RESULT = Result(LS_SGD, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(minimum_norm.RESULT,), derivation=DERIVATION)  # fmt: skip

RESULTS = (RESULT,)
