"""Second and fourth moments of u = (1, z), z standard normal: what sampled training multiplies its state by.

Everything is exact: Gaussian moments by counting, the full second-moment operator in fractions, and expectations of
polynomials by a Gauss-Hermite rule of enough nodes. Nothing here uses the two-number recursion of the theorem.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from flint import acb, arb, fmpq, fmpq_mat, fmpq_poly

Equations = list[tuple[Any, Any]]


def gaussian_moment(indices: tuple[int, ...]) -> int:
    """E u_i u_j ... for u = (1, z_1, ..., z_R): index 0 stands for the constant."""
    value = 1
    for index, power in Counter(indices).items():
        if index and power % 2:
            return 0
        if index:
            for odd in range(1, power, 2):
                value *= odd
    return value


def paired_moment(i: int, k: int, j: int, m: int) -> int:
    """E A_ik A_jm for A = (u u^T + u' u'^T)/2, u' = (1, -z): entries with one index 0 vanish before any average."""
    alive = all((first == 0) == (second == 0) for first, second in ((i, k), (j, m)))
    return gaussian_moment((i, k, j, m)) if alive else 0


def mixed_moment(i: int, k: int, j: int, m: int, *, samples: int, estimator: str) -> Fraction:
    """E U_ik U_jm for U the average over the draws (or pairs) of one step."""
    mean = Fraction(int(i == k and j == m))
    if estimator == "analytic":
        return mean
    groups = samples // 2 if estimator == "antithetic" else samples
    one = paired_moment(i, k, j, m) if estimator == "antithetic" else gaussian_moment((i, k, j, m))
    return Fraction(one, groups) + (1 - Fraction(1, groups)) * mean


def second_moment_operator(
    rate: Fraction, *, rank: int, samples: int, momentum: Fraction, covariance_rate: Fraction, estimator: str
) -> fmpq_mat:
    """The exact map on the symmetric matrices E v^T v, v = (w_t, w_{t-1}) one mode of (mean, factor) and its predecessor.

    w_{t+1} = (1 + b) w_t - b w_{t-1} - a w_t U D with D = diag(1, k, ..., k); without momentum v = w_t alone.
    """
    n = rank + 1
    scale = [rate] + [rate * covariance_rate] * rank
    size = n if momentum == 0 else 2 * n
    basis = list(itertools.combinations_with_replacement(range(size), 2))
    place = {pair: index for index, pair in enumerate(basis)}
    # v+ = v F with E F below and the noise in the first block column only
    mean = [[Fraction(0)] * size for _ in range(size)]
    for i in range(n):
        mean[i][i] = 1 + momentum - scale[i]
        if momentum:
            mean[n + i][i], mean[i][n + i] = -momentum, Fraction(1)
    matrix = [[Fraction(0)] * len(basis) for _ in basis]
    for column, (p, q) in enumerate(basis):
        for k, m in {(p, q), (q, p)}:
            for row, (i, j) in enumerate(basis):
                value = mean[k][i] * mean[m][j]
                if i < n and j < n and k < n and m < n:
                    moment = mixed_moment(k, i, m, j, samples=samples, estimator=estimator)
                    value += scale[i] * scale[j] * (moment - int(i == k and j == m))
                matrix[row][column] += value
    assert len(place) == len(basis)
    return fmpq_mat(len(basis), len(basis), [fmpq(v.numerator, v.denominator) for row in matrix for v in row])


def exact_threshold(**options: Any) -> arb:
    """Smallest positive a with eigenvalue 1 of the full operator: det(I - A(a)) is a polynomial in a, interpolated exactly."""
    size = second_moment_operator(Fraction(1), **options).nrows()
    eye = fmpq_mat(size, size, [int(i == j) for i in range(size) for j in range(size)])
    nodes = [Fraction(k, size) for k in range(1, 2 * size + 2)]
    values = [(eye - second_moment_operator(a, **options)).det() for a in nodes]
    polynomial = newton_interpolation(nodes, values)
    real = [root.real for root in roots(polynomial) if root.imag.contains(0) and root.real > 0]
    return min(real, key=float)


def roots(polynomial: Any) -> list[acb]:
    """The different complex roots, isolated rigorously."""
    return [root for root, _ in polynomial.complex_roots()]


def newton_interpolation(nodes: list[Fraction], values: list[fmpq]) -> fmpq_poly:
    points = [fmpq(a.numerator, a.denominator) for a in nodes]
    table = list(values)
    for order in range(1, len(points)):
        for i in range(len(points) - 1, order - 1, -1):
            table[i] = (table[i] - table[i - 1]) / (points[i] - points[i - order])
    total = fmpq_poly([table[-1]])
    for coefficient, point in zip(reversed(table[:-1]), reversed(points[:-1]), strict=True):
        total = total * fmpq_poly([-point, 1]) + fmpq_poly([coefficient])
    return total


def exact_rate(rate: Fraction, **options: Any) -> arb:
    """Spectral radius of the full operator, from the roots of its characteristic polynomial."""
    return max((abs(root) for root in roots(second_moment_operator(rate, **options).charpoly())), key=float)


@cache
def moment_operator(
    power: int, rate: float, *, rank: int, samples: int, momentum: float, covariance_rate: float, estimator: str
) -> np.ndarray:
    """E F^(power), power 2 or 4, acting from the right on Kronecker powers of v, where v+ = v F: moments of any order.

    F is linear in the draws' u u^T, so the entries are polynomials of degree 2 * power in z, exact with power + 1 nodes.
    """
    n = rank + 1
    points, weights = np.polynomial.hermite_e.hermegauss(power + 1)
    free = {"antithetic": samples // 2, "independent": samples, "analytic": 0}[estimator]
    total: Any = 0.0
    for choice in itertools.product(range(power + 1), repeat=free * rank):
        z = points[list(choice)].reshape(free, rank)
        drawn = np.concatenate([z, -z]) if estimator == "antithetic" else z
        u = np.column_stack([np.ones(len(drawn)), drawn])
        average = u.T @ u / len(u) if free else np.eye(n)
        step = (1 + momentum) * np.eye(n) - average * (rate * np.array([1.0] + [covariance_rate] * rank))
        if momentum:
            step = np.block([[step, np.eye(n)], [-momentum * np.eye(n), np.zeros((n, n))]])
        lifted = np.kron(step, step)
        total = total + float(np.prod(weights[list(choice)] / np.sqrt(2 * np.pi))) * (
            lifted if power == 2 else np.kron(lifted, lifted)
        )
    return np.asarray(total)


# --- replayed steps ---------------------------------------------------------------------------------------------


def wick_on_every_state() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    """E[U C U] for every symmetric unit matrix C: its corner and its trace need only the corner and the trace of C."""
    for rank, samples, estimator in itertools.product((1, 2, 3), (1, 2, 4), ("independent", "antithetic", "analytic")):
        groups = samples // 2 if estimator == "antithetic" else samples
        if groups < 1 or (estimator == "analytic" and samples > 1):
            continue
        noise = 0 if estimator == "analytic" else Fraction(1, groups)
        mixed = noise if estimator == "independent" else 0
        for k, m in itertools.combinations_with_replacement(range(rank + 1), 2):

            def entry(
                i: int, j: int, k: int = k, m: int = m, rank: int = rank, samples: int = samples, kind: str = estimator
            ) -> Fraction:
                pairs = {(k, m), (m, k)}
                return sum((mixed_moment(i, p, j, q, samples=samples, estimator=kind) for p, q in pairs), Fraction(0))

            corner, trace = Fraction(int(k == m == 0)), Fraction(int(k == m > 0))
            label = f"R = {rank}, {samples} {estimator}, C_{k}{m}"
            yield f"{label}, corner", entry(0, 0), "==", corner + mixed * trace
            total = sum((entry(i, i) for i in range(1, rank + 1)), Fraction(0))
            yield f"{label}, trace", total, "==", mixed * rank * corner + (1 + noise * (rank + 1)) * trace


def one_step_of_the_moments() -> Equations:
    """E (s w - b w' - a g)^2 and E (s w - b w' - a g) w, with E g w = E w^2, E g w' = E w w', E g^2 = q."""
    import sympy

    s, b, a, x, y, z, q = sympy.symbols("s b a x y z q", real=True)  # x = E w^2, y = E w w', z = E w'^2
    square = s**2 * x + b**2 * z + a**2 * q - 2 * s * b * y - 2 * s * a * x + 2 * b * a * y
    matrix_row = (s**2 - 2 * s * a) * x + a**2 * q - 2 * b * (s - a) * y + b**2 * z
    w, old, g = sympy.symbols("w old g", real=True)
    expanded = sympy.expand((s * w - b * old - a * g) ** 2)
    moments = {w**2: x, w * old: y, old**2: z, g**2: q, w * g: x, old * g: y}
    averaged = sum(c * moments[sympy.Mul(*m)] for m, c in _monomials(expanded, (w, old, g)))
    return [(averaged, square), (square, matrix_row)]


def _monomials(expression: Any, symbols: tuple[Any, ...]) -> list[tuple[list[Any], Any]]:
    import sympy

    terms = sympy.Poly(expression, *symbols).terms()
    return [([v**p for v, p in zip(symbols, powers, strict=True) if p], c) for powers, c in terms]


def stationary_moments() -> Equations:
    """At eigenvalue 1: z = x and y = (s - a) x/s, s = 1 + b; what is left is a^2 q = a [2 (1 - b) + 2 a b/s] x."""
    import sympy

    a, b, x, q = sympy.symbols("a b x q", positive=True)
    s = 1 + b
    y = (s - a) * x / s
    balance = (s**2 - 2 * s * a) * x + a**2 * q - 2 * b * (s - a) * y + b**2 * x - x
    return [((s - a) * x - b * y, y), (balance, a**2 * q - a * (2 * (1 - b) + 2 * a * b / s) * x)]


def threshold_solves_it() -> Equations:
    """With a = 2 (1 - b)/L the two balances become (L - p) c_0 = Q_01 c_1 and (L - q) c_1 = k Q_10 c_0."""
    import sympy

    b, k, cross, back, inner = sympy.symbols("b k cross back inner", positive=True)
    level = sympy.Symbol("L", positive=True)
    s, a = 1 + b, 2 * (1 - b) / level
    p = (1 - b) / s
    q = k * (inner - 1 + p)
    first = (2 * (1 - b) + 2 * a * b / s) - a  # times c_0 equals a Q_01 c_1
    second = (2 * (1 - b) + 2 * a * k * b / s) - a * k * inner  # times c_1 equals a k Q_10 c_0
    root = (p + q + sympy.sqrt((p - q) ** 2 + 4 * k * cross * back)) / 2
    return [
        (first / a, level - p),
        (second / a, level - q),
        (sympy.expand((root - p) * (root - q)), k * cross * back),
    ]


def named_thresholds() -> Equations:
    """The closed forms for equal rates, for the factor's rate 1/R, for heavy ball, for antithetic pairs and without noise."""
    import sympy

    rank, draws, b = sympy.symbols("R M b", positive=True)

    def edge(k: Any, cross: Any, back: Any, inner: Any, b: Any) -> Any:
        p = (1 - b) / (1 + b)
        q = k * (inner - 1 + p)
        return 4 * (1 - b) / (p + q + sympy.sqrt((p - q) ** 2 + 4 * k * cross * back))

    sampled = (rank / draws, 1 / draws, 1 + (rank + 1) / draws)
    level = 1 + ((rank + 3 + sympy.sqrt((rank + 3) ** 2 - 8)) / 2 - 1) / draws
    one, none = sympy.Integer(1), sympy.Integer(0)
    slow = edge(1 / rank, rank, one, rank + 2, none)
    return [
        (edge(one, *sampled, none), 2 / level),
        (edge(one, *sampled, b), 2 * (1 - b**2) / (level * (1 + b) - 2 * b)),
        (slow, rank + 1 - sympy.sqrt(rank**2 + 1)),
    ]
