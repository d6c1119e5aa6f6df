"""Separable problems on which classification is checked, their exact solutions, and what a trained state says about its limit."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from flint import arb, arb_mat, fmpq, fmpq_mat
from jaxtyping import Float

from .problems import rational, sum_of_squares

EXPONENT_SLACK = 1e-6  # what float64 may leave to the exact answer when designs are drawn


def separable_design(
    rng: np.random.Generator, *, examples: int, parameters: int, distance: float = 0.1
) -> Float[np.ndarray, "examples parameters"]:
    """Rows of order 1 on one side of a random hyperplane, at least `distance` away from it."""
    direction = rng.normal(size=parameters)
    direction /= np.linalg.norm(direction)
    rows = rng.normal(size=(examples, parameters))
    along = rows @ direction
    return np.asarray(rows + np.outer(distance + np.abs(along) - along, direction))


@dataclass(frozen=True)
class ExactSeparator:
    """w_hat (parameters x 1), alpha of the support rows (support x 1), which rows those are, and every margin."""

    weights: fmpq_mat
    dual: fmpq_mat
    support: tuple[int, ...]
    margins: fmpq_mat


def exact_separator(design: np.ndarray) -> ExactSeparator | None:
    """The shortest of the points X_S^+ 1 that satisfy X w >= 1, over all independent sets S of rows: no dual is involved.

    None if there is no such point (the data are inseparable). Needs independent support vectors for the dual.
    """
    x = rational(design)
    best: tuple[fmpq, fmpq_mat, fmpq_mat] | None = None
    for size in range(1, x.rank() + 1):
        for chosen in itertools.combinations(range(x.nrows()), size):
            rows = take(x, chosen)
            gram = rows * rows.transpose()
            if gram.det() == 0:
                continue
            w = rows.transpose() * gram.inv() * ones(size)
            margins = x * w
            if all(margin >= 1 for margin in margins.entries()):
                length = sum_of_squares(w)
                if best is None or length < best[0]:
                    best = length, w, margins
    if best is None:
        return None
    _, weights, margins = best
    support = tuple(n for n in range(x.nrows()) if margins[n, 0] == 1)
    rows = take(x, support)
    return ExactSeparator(weights, (rows * rows.transpose()).inv() * ones(len(support)), support, margins)


def take(x: fmpq_mat, rows: tuple[int, ...]) -> fmpq_mat:
    return fmpq_mat(len(rows), x.ncols(), [x[i, j] for i in rows for j in range(x.ncols())])


def ones(size: int) -> fmpq_mat:
    return fmpq_mat(size, 1, [1] * size)


def floats(matrix: fmpq_mat) -> np.ndarray:
    return np.array([int(e.p) / int(e.q) for e in matrix.entries()]).reshape(matrix.nrows(), matrix.ncols())


def ball_vector(matrix: arb_mat) -> list[arb]:
    return [matrix[i, j] for i in range(matrix.nrows()) for j in range(matrix.ncols())]


def constant_balls(design: np.ndarray, separator: ExactSeparator, eta: float) -> arb_mat:
    """X_S^T (X_S X_S^T)^{-1} log(eta/alpha) in ball arithmetic, (parameters x 1)."""
    rows = take(rational(design), separator.support)
    goal = arb_mat([[(arb(eta) / arb(alpha)).log()] for alpha in separator.dual.entries()])
    return arb_mat(rows.transpose() * (rows * rows.transpose()).inv()) * goal


def random_separable(
    rng: np.random.Generator,
    *,
    examples: int,
    parameters: int,
    spanning: bool = False,
    exponent: float = 0.0,
    distance: float = 0.1,
) -> Float[np.ndarray, "examples parameters"]:
    """A separable design with generic support vectors, on request spanning and with a remainder of at least this exponent."""
    while True:
        design = separable_design(rng, examples=examples, parameters=parameters, distance=distance)
        if spanning and examples <= parameters:
            # independent rows span only if each of them supports, so that alpha solves a system: cheaper than the exact answer
            gram = design @ design.T
            alpha = np.linalg.solve(gram, np.ones(examples))
            if (alpha <= 0).any() or np.linalg.eigvals(alpha[:, None] * gram).real.min() < exponent - EXPONENT_SLACK:
                continue
        found = SeparatorFloats.of(design)
        if found is None or (spanning and len(found.support) < np.linalg.matrix_rank(design)):
            continue
        if min(found.spectrum[0], found.second_margin - 1) >= exponent:
            return design


@dataclass(frozen=True, eq=False)
class SeparatorFloats:
    """The exact separator, rounded once: weights (parameters,), alpha and rows of the support, spectrum of A, m_2."""

    weights: np.ndarray
    alpha: np.ndarray
    support: tuple[int, ...]
    rows: np.ndarray
    spectrum: np.ndarray
    second_margin: float

    @staticmethod
    def of(design: np.ndarray) -> SeparatorFloats | None:
        try:
            exact = exact_separator(design)
        except ZeroDivisionError:  # dependent support vectors
            return None
        if exact is None or any(a <= 0 for a in exact.dual.entries()):
            return None
        rows, alpha = design[list(exact.support)], floats(exact.dual)[:, 0]
        others = [floats(exact.margins)[n, 0] for n in range(len(design)) if n not in exact.support]
        spectrum = np.sort(np.linalg.eigvals(alpha[:, None] * (rows @ rows.T)).real)
        return SeparatorFloats(
            floats(exact.weights)[:, 0], alpha, exact.support, rows, spectrum, min(others, default=np.inf)
        )

    @property
    def basis(self) -> np.ndarray:
        """Orthonormal basis of the span of the support vectors, (parameters, support)."""
        return np.asarray(np.linalg.qr(self.rows.T)[0])


def distance_to_constant(found: SeparatorFloats, weights: np.ndarray, log_time: float) -> float:
    """Bound on ||Q_SV (w - w_hat log T) - w_tilde||, T = eta t, from the state w alone.

    On span(SV), F(r) = sum_SV T e^{-log T} exp(-x_n^T r) + w_hat^T r is convex with its minimum at w_tilde (eta = 1), where
    exp(-x_n^T w_tilde) = alpha_n. Its gradient at r = w - w_hat log T is g = w_hat - sum c_n x_n, c_n = T exp(-x_n^T w), its
    Hessian H = sum c_n x_n x_n^T, which along a path of length s changes by a factor of at least e^{-M s}, M the longest
    support row. So lambda_min(H) (1 - e^{-M s})/M <= ||g|| for s = ||r - w_tilde||. Infinite where g is too large to tell.
    """
    force = np.exp(log_time - found.rows @ weights)
    basis = found.basis
    gradient = basis.T @ (found.weights - found.rows.T @ force)
    hessian = basis.T @ ((found.rows.T * force) @ found.rows) @ basis
    longest = float(np.linalg.norm(found.rows, axis=1).max())
    ratio = longest * float(np.linalg.norm(gradient)) / float(np.linalg.eigvalsh(hessian)[0])
    return float(-np.log1p(-ratio) / longest) if ratio < 1 else float("inf")


def small_separable_designs() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    """Every design of three rows in the plane with entries -1, 0, 2: the shortest feasible point against the dual."""
    for entries in itertools.product((-1, 0, 2), repeat=6):
        design = np.array(entries, dtype=np.float64).reshape(3, 2)
        try:
            found = exact_separator(design)
        except ZeroDivisionError:  # support vectors that coincide or are otherwise dependent have no unique dual
            continue
        if found is None:
            continue
        rows, total = take(rational(design), found.support), sum(found.dual.entries(), fmpq(0))
        length = sum_of_squares(found.weights)
        yield f"{entries}: ||w||^2 = sum alpha", fraction(length), "==", fraction(total)
        if all(a >= 0 for a in found.dual.entries()):
            # A w_hat = w_hat, and w_hat = X^T alpha
            image = rows.transpose() * diagonal(found.dual) * rows * found.weights
            for zero in (image - found.weights, rows.transpose() * found.dual - found.weights):
                yield f"{entries}: A w = w", fraction(sum_of_squares(zero)), "==", Fraction(0)
        else:
            yield f"{entries}: negative dual weight", Fraction(1), "==", Fraction(0)


def diagonal(vector: fmpq_mat) -> fmpq_mat:
    size = vector.nrows()
    return fmpq_mat(size, size, [vector[i, 0] if i == j else fmpq(0) for i in range(size) for j in range(size)])


def fraction(value: fmpq) -> Fraction:
    return Fraction(int(value.p), int(value.q))


def balls_of(values: Iterable[fmpq]) -> list[arb]:
    return [arb(value) for value in values]
