"""W2 between Gaussian laws that may be singular: ||shift||^2 + ||S_1||_F^2 + ||S_2||_F^2 - 2 ||S_1^T S_2||_*, by coupling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ....numerics.claims import Formula, Inequality
from ....numerics.implicit_bias.wasserstein import wasserstein2, wasserstein2_squared
from ....theory.axioms import CAUCHY_SCHWARZ, COUPLING, GAUSSIAN_AFFINE, LINEARITY, SVD
from ....theory.derivation import Algebra, Axiom
from ....theory.statements.implicit_bias.gaussian_family import W2_GAUSS
from ...result import ByBudget, Check, Control, Result
from .wasserstein_evidence import (
    DistancePrediction,
    TwoLawsSetting,
    bures_squared,
    compare_couplings,
    draw_couplings,
    neighbours,
    rounding,
    unrelated_laws,
)

# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def factors() -> tuple[Any, Any]:
    import sympy

    return sympy.Matrix(2, 2, sympy.symbols("a1:5", real=True)), sympy.Matrix(2, 2, sympy.symbols("b1:5", real=True))


def cost_of_a_coupling() -> Equations:
    """E ||S_1 z - S_2 z'||^2 with E z z^T = E z' z'^T = I and E z z'^T = K."""
    import sympy

    one, two = factors()
    k = sympy.Matrix(2, 2, sympy.symbols("k1:5", real=True))
    joint = sympy.Matrix(sympy.BlockMatrix([[sympy.eye(2), k], [k.T, sympy.eye(2)]]))
    difference = sympy.Matrix.hstack(one, -two)
    cost = (difference * joint * difference.T).trace()
    squares = sum(v**2 for v in one) + sum(v**2 for v in two)
    return [(sympy.expand(cost), sympy.expand(squares - 2 * (k.T * one.T * two).trace()))]


def trace_in_singular_directions() -> Equations:
    """tr(K^T U D V^T) = sum_i d_i u_i^T K v_i, for the columns u_i, v_i of any U, V."""
    import sympy

    k, u, v = (sympy.Matrix(2, 2, sympy.symbols(f"{name}1:5", real=True)) for name in ("k", "u", "v"))
    d = sympy.symbols("d1 d2", positive=True)
    total = sum(d[i] * (u[:, i].T * k * v[:, i])[0] for i in range(2))
    return [((k.T * u * sympy.diag(*d) * v.T).trace(), total)]


def best_rotation_attains_it() -> Equations:
    """K = U V^T gives tr(K^T U D V^T) = tr D; and with z' = K^T z the cost is ||S_1 - S_2 K^T||_F^2."""
    import sympy

    angle, turn = sympy.symbols("angle turn", real=True)  # tangents of half the angles: rotations as rational functions
    d = sympy.diag(*sympy.symbols("d1 d2", positive=True))

    def rotation(t: Any) -> Any:
        return sympy.Matrix([[1 - t**2, -2 * t], [2 * t, 1 - t**2]]) / (1 + t**2)

    u, v = rotation(angle), rotation(turn)
    k = u * v.T
    return [((k.T * u * d * v.T).trace(), d.trace())]


def eigenvalues_of_the_product() -> Equations:
    """Sigma_1 Sigma_2 S_1 = S_1 (M M^T), M = S_1^T S_2: S_1 carries eigenvectors over, eigenvalue by eigenvalue."""
    one, two = factors()
    one = one[:, :1]
    m = one.T * two
    return list(zip(one * one.T * two * two.T * one, one * (m * m.T), strict=True))


def bures_of_two_by_two() -> Equations:
    """For singular values d1, d2 of M: d1 + d2 is the trace of the root of M M^T, whose eigenvalues are d1^2 and d2^2."""
    import sympy

    d1, d2 = sympy.symbols("d1 d2", positive=True)
    return [(sympy.sqrt(d1**2) + sympy.sqrt(d2**2), d1 + d2), ((d1 + d2) ** 2, d1**2 + d2**2 + 2 * d1 * d2)]


DERIVATION = (
    Axiom(COUPLING, "W2^2 is the least E||w - w'||^2 over couplings; w = m_1 + S_1 z with z of mean 0 and covariance I"),
    Axiom(LINEARITY, "for singular S_1 such a z exists too: S_1^+ (w - m_1) plus independent noise on the kernel of S_1"),
    Algebra("the cost is ||m_1 - m_2||^2 + ||S_1||_F^2 + ||S_2||_F^2 - 2 tr(K^T S_1^T S_2), K = E z z'^T", cost_of_a_coupling),
    Axiom(SVD, "S_1^T S_2 = U D V^T"),
    Algebra("so tr(K^T S_1^T S_2) = sum d_i u_i^T K v_i", trace_in_singular_directions),
    Axiom(CAUCHY_SCHWARZ, "u_i^T K v_i = E (u_i^T z)(v_i^T z') <= 1: the trace is at most sum d_i, for any laws with these moments"),
    Algebra("K = U V^T attains it, and is the coupling w' = m_2 + S_2 K^T z of common noise: the polar form", best_rotation_attains_it),
    Axiom(GAUSSIAN_AFFINE, "that w' is N(m_2, S_2 S_2^T) since K is orthogonal, after padding with zero columns"),
    Algebra("the eigenvalues of Sigma_1 Sigma_2 are the squared singular values of S_1^T S_2", eigenvalues_of_the_product),
    Algebra("so the nuclear norm is tr (Sigma_1^{1/2} Sigma_2 Sigma_1^{1/2})^{1/2}: the Bures formula", bures_of_two_by_two),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: TwoLawsSetting) -> DistancePrediction:
    return DistancePrediction(wasserstein2_squared(*s.laws), wasserstein2(*s.laws))


# --- checks -------------------------------------------------------------------------------------------------------


SQUARED = Formula(
    expression=bures_squared,
    shipped=lambda s: wasserstein2_squared(*s.laws),
    read=lambda p: p.squared,
    sample=unrelated_laws,
    width=lambda s: rounding(s)[0] / wasserstein2_squared(*s.laws),
    count=40,
)
DISTANCE = Formula(
    expression=lambda s: bures_squared(s).sqrt(),
    shipped=lambda s: wasserstein2(*s.laws),
    read=lambda p: p.distance,
    sample=neighbours,
    width=lambda s: rounding(s)[1] / wasserstein2(*s.laws),
    count=40,
)


def mutant(formula: Formula, function: Callable[[TwoLawsSetting], float]) -> Mapping[str, Any]:
    return {"claim": replace(formula, shipped=function)}


def bures_in_floats(s: TwoLawsSetting) -> float:
    """Square roots of the covariances in float64."""

    def root(matrix: np.ndarray) -> np.ndarray:
        values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T)

    a, b = (f @ f.T for f in (s.first_factor, s.second_factor))
    shift = float(np.sum((s.first_mean - s.second_mean) ** 2))
    return shift + float(np.trace(a + b - 2 * root(root(a) @ b @ root(a))))


def ungraded(s: TwoLawsSetting) -> float:
    """The polar form of the factors as they are, their columns not sorted by length first."""
    rank = max(s.first_factor.shape[1], s.second_factor.shape[1])
    one, two = (np.pad(f, ((0, 0), (0, rank - f.shape[1]))) for f in (s.first_factor, s.second_factor))
    left, _, right = np.linalg.svd(two.T @ one)
    return float(np.hypot(np.linalg.norm(s.first_mean - s.second_mean), np.linalg.norm(one - two @ (left @ right))))


def with_nuclear(weight: float) -> Callable[[TwoLawsSetting], float]:
    def squared(s: TwoLawsSetting) -> float:
        nuclear = float(np.linalg.norm(s.first_factor.T @ s.second_factor, "nuc"))
        return wasserstein2_squared(*s.laws) + (2 - weight) * nuclear

    return squared


def frobenius(s: TwoLawsSetting) -> float:
    """||S_1 - S_2||_F^2 with zero columns appended: the factors compared as they are, without the best rotation."""
    rank = max(s.first_factor.shape[1], s.second_factor.shape[1])
    one, two = (np.pad(f, ((0, 0), (0, rank - f.shape[1]))) for f in (s.first_factor, s.second_factor))
    return float(np.sum((s.first_mean - s.second_mean) ** 2) + np.sum((one - two) ** 2))


def priced(squared: Callable[[TwoLawsSetting], float]) -> Mapping[str, Any]:
    return {"predict": lambda s: DistancePrediction(squared(s), float(np.sqrt(abs(squared(s)))))}


EXAMPLE = TwoLawsSetting(
    np.array([0.0, 1.0]), np.array([[1.0], [0.5]]), np.array([0.5, 1.0]), np.array([[0.2, 1.0], [0.3, -0.4]])
)
RNG = np.random.default_rng(9)
SETTINGS = ByBudget(
    quick=tuple(unrelated_laws(RNG) for _ in range(6)), standard=tuple(unrelated_laws(RNG) for _ in range(60))
)

CHECKS = (
    Check(
        "shipped square against the Bures formula",
        SQUARED,
        controls=(
            Control("off by 1e-10", mutant(SQUARED, lambda s: (1 + 1e-10) * wasserstein2_squared(*s.laws))),
            Control("nuclear norm once", mutant(SQUARED, with_nuclear(1))),
            Control("matrix square roots in float64", mutant(SQUARED, bures_in_floats)),
            Control("factors without the best rotation", mutant(SQUARED, frobenius)),
        ),
    ),
    Check(
        "shipped distance of laws that nearly agree",
        DISTANCE,
        controls=(
            Control("off by 1e-3", mutant(DISTANCE, lambda s: (1 + 1e-3) * wasserstein2(*s.laws))),
            Control("columns not graded first", mutant(DISTANCE, ungraded)),
            Control("root of the nuclear form", mutant(DISTANCE, lambda s: abs(wasserstein2_squared(*s.laws)) ** 0.5)),
            Control("root of the Bures formula in float64", mutant(DISTANCE, lambda s: abs(bures_in_floats(s)) ** 0.5)),
            Control("factors without the best rotation", mutant(DISTANCE, lambda s: frobenius(s) ** 0.5)),
        ),
    ),
    Check(
        "no coupling is cheaper, and some come close",
        Inequality(),
        settings=SETTINGS,
        experiment=draw_couplings,
        plan=ByBudget(quick=({"couplings": 120},)),
        compare=compare_couplings,
        controls=(
            Control("independent coupling", priced(with_nuclear(0))),
            Control("nuclear norm thrice", priced(with_nuclear(3))),
            Control("factors without the best rotation", priced(frobenius)),
            Control("1e-4 too large", priced(lambda s: (1 + 1e-4) * wasserstein2_squared(*s.laws))),
        ),
    ),
)  # fmt: skip

RESULT = Result(W2_GAUSS, predict=predict, example=EXAMPLE, checks=CHECKS, derivation=DERIVATION)
