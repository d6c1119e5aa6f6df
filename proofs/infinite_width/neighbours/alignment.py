"""Kernel-target alignment lies in [0, 1], and reaches 1 only where the kernel is the labels' own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import sympy
from flint import arb

from ....numerics.claims import Enclosures, Formula, Identity, Inequality
from ....numerics.kernel_regression.alignment import alignment
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import CAUCHY_SCHWARZ, SPECTRAL
from ....theory.balls.alignment import alignment_ball
from ....theory.derivation import Algebra, Axiom
from ....theory.statements.infinite_width.neighbours import ALIGNMENT
from ...result import ByBudget, Check, Control, Result
from .cross_validation import RegressionSetting

UNIT = 2.0**-53


@dataclass(frozen=True)
class AlignmentPrediction:
    """Plain and centred alignment."""

    plain: float
    centred: float


# --- derivation ---------------------------------------------------------------------------------------------------


def inner_product() -> list[tuple[Any, Any]]:
    """y^T K y = <K, y y^T>, |y y^T|_F = |y|^2, and Lagrange's identity for the 3 distinct entries of 2 x 2 matrices."""
    a, b, c, y1, y2 = sympy.symbols("a b c y1 y2", real=True)
    k, y = sympy.Matrix([[a, b], [b, c]]), sympy.Matrix([y1, y2])
    outer = y * y.T
    inner = sum(p * q for p, q in zip(k, outer, strict=True))
    squares = [sum(p**2 for p in matrix) for matrix in (k, outer)]
    entries = list(zip(k, outer, strict=True))
    lagrange = sum((p1 * q2 - p2 * q1) ** 2 for i, (p1, q1) in enumerate(entries) for p2, q2 in entries[:i])
    return [
        ((y.T * k * y)[0], inner),
        (squares[1], (y1**2 + y2**2) ** 2),
        (squares[0] * squares[1] - inner**2, lagrange),
    ]


def centring() -> list[tuple[Any, Any]]:
    """C y y^T C = (Cy)(Cy)^T, so both must be centred: y^T CKC y = (Cy)^T CKC (Cy), and K = y y^T then has alignment 1."""
    y1, y2, y3 = sympy.symbols("y1 y2 y3", real=True)
    y, c = sympy.Matrix([y1, y2, y3]), sympy.eye(3) - sympy.ones(3, 3) / 3
    centred = c * y * y.T * c
    size = (y.T * c * y)[0]
    return [((y.T * centred * y)[0] ** 2, sum(e**2 for e in centred) * size**2), ((c * c - c).norm() ** 2, 0)]


DERIVATION = (
    Algebra("the alignment is the cosine of the angle between K and y y^T as vectors of entries", inner_product),
    Axiom(CAUCHY_SCHWARZ, "so it is at most 1, with equality iff K is a multiple of y y^T (the squares of Lagrange's identity vanish)"),
    Axiom(SPECTRAL, "and at least 0: y^T K y is a sum of squares times eigenvalues that are not negative"),
    Algebra("centred: C is idempotent, and with both centred K = y y^T has alignment 1", centring),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: RegressionSetting) -> AlignmentPrediction:
    return AlignmentPrediction(*(alignment(gram=s.gram, labels=s.labels, centred=c) for c in (False, True)))


def sample(rng: np.random.Generator) -> RegressionSetting:
    """Near and far from the labels' own kernel, any rank, any scale; labels with a mean of up to ten deviations."""
    size = int(rng.integers(2, 8))
    y = rng.normal(size=size) + rng.choice([0.0, 1.0, 10.0])
    features = rng.normal(size=(size, int(rng.integers(1, size + 1))))
    gram = (features @ features.T + rng.choice([0.0, 1.0, 100.0]) * np.outer(y, y)) * 10 ** rng.uniform(-6, 6)
    return RegressionSetting((gram + gram.T) / 2, y, 0.0)


def exact(s: RegressionSetting) -> list[arb]:
    return [alignment_ball(s.gram.tolist(), s.labels.tolist(), centred=c) for c in (False, True)]


def width(s: RegressionSetting) -> np.ndarray:
    """Each product rounds to 4(n+2) u of its absolute terms; what centring removes from K and y is lost from their digits."""
    k, y, size = s.gram, s.labels, len(s.labels)
    c = np.eye(size) - 1 / size
    small = c @ k @ c
    y0 = y - y.mean()
    found = []
    for kk, yy, lost in (
        (k, y, 1.0),
        (small, y0, float(np.linalg.norm(k) / np.linalg.norm(small) + np.linalg.norm(y) / np.linalg.norm(y0))),
    ):
        form = abs(float(yy @ kk @ yy))
        found.append(8 * (size + 4) * UNIT * lost * (1 + float(np.linalg.norm(kk) * (yy @ yy)) / form))
    return np.array(found)


def shipped(s: RegressionSetting) -> np.ndarray:
    return np.array([alignment(gram=s.gram, labels=s.labels, centred=c) for c in (False, True)])


FORMULA = Formula(expression=exact, shipped=shipped, read=lambda p: [p.plain, p.centred], sample=sample, width=width, count=60)  # fmt: skip


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=function)}


def uncentred_labels(s: RegressionSetting) -> np.ndarray:
    k = s.gram - s.gram.mean(axis=0)
    k = k - k.mean(axis=1, keepdims=True)
    return np.array([shipped(s)[0], s.labels @ k @ s.labels / (np.linalg.norm(k) * (s.labels @ s.labels))])


def uncentred_kernel(s: RegressionSetting) -> np.ndarray:
    y = s.labels - s.labels.mean()
    return np.array([shipped(s)[0], y @ s.gram @ y / (np.linalg.norm(s.gram) * (y @ y))])


# --- checks: [0, 1], and 1 for the labels' own kernel ----------------------------------------------------------------


def _rational(matrices: int, *, semi_definite: bool = True) -> list[tuple[Fraction, Fraction]]:
    """(y^T K y, |K|^2 |y|^4) of random integer matrices."""
    rng, found = generator(0, "integer matrices"), []
    for _ in range(matrices):
        features = rng.integers(-4, 5, (4, 3))
        k = features @ features.T if semi_definite else features[:3] + features[:3].T
        y = rng.integers(-3, 4, len(k))
        found.append((Fraction(int(y @ k @ y)), Fraction(int((k**2).sum()) * int(y @ y) ** 2)))
    return found


def compare_range(s: Any, p: Any, rows: Rows, *, percent: int = 100, semi_definite: bool = True) -> Enclosures:
    """The form itself, and (percent/100)^2 |K|^2 |y|^4 less its square; both are at least 0."""
    top = Fraction(percent, 100) ** 2
    left = [x for form, square in _rational(100, semi_definite=semi_definite) for x in (form, top * square - form**2)]
    left += [top * 81 - 81]  # K = y y^T with |y|^2 = 3
    found = np.array([float(x) for x in left])
    return Enclosures(found, found)


def compare_own_kernel(s: RegressionSetting, p: Any, rows: Rows, *, function: Any = shipped) -> Enclosures:
    """Alignment of y y^T, less 1, as an interval of the rounding."""
    own = replace(s, gram=np.outer(s.labels, s.labels))
    left, doubt = function(own) - 1, width(own)
    return Enclosures(left - doubt, left + doubt, width=1e-9)


EXAMPLE = RegressionSetting(np.diag([1.0, 2.0, 3.0]) + 0.5, np.array([1.0, -1.0, 2.0]), 0.0)
SETTINGS = ByBudget(quick=(EXAMPLE,))

CHECKS = (
    Check(
        "shipped alignment",
        FORMULA,
        controls=(
            Control("labels not centred", _mutant(uncentred_labels)),
            Control("kernel not centred", _mutant(uncentred_kernel)),
            Control("spectral norm for the Frobenius norm", _mutant(lambda s: shipped(s) * np.array([np.linalg.norm(s.gram) / np.linalg.norm(s.gram, 2), 1]))),
            Control("|y| for |y|^2", _mutant(lambda s: shipped(s) * np.linalg.norm(s.labels))),
        ),
    ),
    Check(
        "between 0 and 1, in rationals",
        Inequality(),
        settings=SETTINGS,
        compare=compare_range,
        controls=(
            Control("at most 0.99", {"compare": lambda s, p, rows: compare_range(s, p, rows, percent=99)}),
            Control("matrices that are not positive semi-definite", {"compare": lambda s, p, rows: compare_range(s, p, rows, semi_definite=False)}),
        ),
    ),
    Check(
        "the labels' own kernel has alignment 1",
        Identity(),
        settings=SETTINGS,
        compare=compare_own_kernel,
        controls=(
            Control("labels not centred", {"compare": lambda s, p, rows: compare_own_kernel(s, p, rows, function=uncentred_labels)}),
            Control("kernel not centred", {"compare": lambda s, p, rows: compare_own_kernel(s, p, rows, function=uncentred_kernel)}),
        ),
    ),
)  # fmt: skip

RESULT = Result(ALIGNMENT, predict, EXAMPLE, CHECKS, derivation=DERIVATION)
