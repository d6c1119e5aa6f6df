"""Training of linear models in ball arithmetic, step by step or by matrix exponentials; no eigenvalue is ever computed.

Each function returns G (S,N) with trained test outputs f0 + G (y - f0(X)), for exactly given Gram blocks. The routes are those
of the differential or difference equations themselves: the exponential or power of the block map of (f(*), f(X) - y).
"""

from __future__ import annotations

from collections.abc import Sequence

from flint import arb, arb_mat, fmpq, fmpq_mat

from .context import Exact, exact_fraction, to_ball

Rows = Sequence[Sequence[Exact]]


def exact_matrix(rows: Rows) -> fmpq_mat:
    """A rational matrix from exactly given entries."""
    return fmpq_mat(
        [[fmpq(f.numerator, f.denominator) for f in (exact_fraction("entry", v) for v in row)] for row in rows]
    )


def part(matrix: arb_mat, rows: Sequence[int], columns: Sequence[int]) -> arb_mat:
    """A submatrix."""
    return arb_mat([[matrix[i, j] for j in columns] for i in rows])


def identity(size: int) -> arb_mat:
    return arb_mat([[int(i == j) for j in range(size)] for i in range(size)])


def diagonal(values: Sequence[arb]) -> arb_mat:
    return arb_mat([[v if i == j else arb(0) for j in range(len(values))] for i, v in enumerate(values)])


def split(joint: arb_mat, tests: int) -> tuple[arb_mat, arb_mat, arb_mat]:
    """Blocks (test, cross, train)."""
    a, b = range(tests), range(tests, joint.nrows())
    return part(joint, a, a), part(joint, a, b), part(joint, b, b)


def power(matrix: arb_mat, exponent: int) -> arb_mat:
    """matrix^exponent by repeated squaring."""
    result = identity(matrix.nrows())
    while exponent:
        if exponent & 1:
            result = result * matrix
        matrix = matrix * matrix
        exponent >>= 1
    return result


def flow_map(joint: arb_mat, tests: int, time: Exact) -> arb_mat:
    """Gradient flow: minus the upper right block of exp(t [[0, -T_*X], [0, -T_XX]])."""
    size, train = joint.nrows(), range(tests, joint.nrows())
    t = to_ball(exact_fraction("time", time))
    generator = arb_mat([[-t * joint[i, j] if j >= tests else arb(0) for j in range(size)] for i in range(size)])
    return -part(generator.exp(), range(tests), train)


def ridge_flow_map(joint: arb_mat, tests: int, *, time: Exact, ridge: Exact) -> arb_mat:
    """Gradient flow with a penalty: T_*X times the upper right block of exp(t [[-(T_XX + lam), I], [0, 0]])."""
    _, cross, train = split(joint, tests)
    t, lam = to_ball(exact_fraction("time", time)), to_ball(exact_fraction("ridge", ridge))
    n = train.nrows()
    rows = [
        [-t * (train[i, j] + lam * int(i == j)) for j in range(n)] + [t * int(i == j) for j in range(n)]
        for i in range(n)
    ]
    rows += [[arb(0)] * (2 * n)] * n
    return cross * part(arb_mat(rows).exp(), range(n), range(n, 2 * n))


def descent_map(joint: arb_mat, tests: int, *, step: Exact, steps: int) -> arb_mat:
    """Gradient descent: the power of the block map (f(*), f(X) - y) <- itself - eta T (f(X) - y)."""
    size, eta = joint.nrows(), to_ball(exact_fraction("step", step))
    one = identity(size)
    block = arb_mat([[one[i, j] - (eta * joint[i, j] if j >= tests else 0) for j in range(size)] for i in range(size)])
    return -part(power(block, steps), range(tests), range(tests, size))


def heavy_ball_map(joint: arb_mat, tests: int, *, step: Exact, momentum: Exact, steps: int) -> arb_mat:
    """Heavy ball: the power of the companion map of two successive states, started at rest."""
    size, eta = joint.nrows(), to_ball(exact_fraction("step", step))
    beta = to_ball(exact_fraction("momentum", momentum))
    rows = []
    for i in range(size):
        now = [(1 + beta) * int(i == j) - (eta * joint[i, j] if j >= tests else 0) for j in range(size)]
        rows.append(now + [-beta * int(i == j) for j in range(size)])
    rows += [[arb(int(i == j)) for j in range(size)] + [arb(0)] * size for i in range(size)]
    moved = power(arb_mat(rows), steps)
    both = arb_mat([[moved[i, j] + moved[i, j + size] for j in range(size)] for i in range(tests)])
    return -part(both, range(tests), range(tests, size))


def regression_map(joint: arb_mat, tests: int, noise: Sequence[arb] | None = None) -> arb_mat:
    """T_*X (T_XX + diag(noise))^{-1} by Gaussian elimination."""
    _, cross, train = split(joint, tests)
    if noise is not None:
        train = train + diagonal(noise)
    return train.solve(cross.transpose()).transpose()


def law(prior: arb_mat, gain: arb_mat, labels: Sequence[Exact]) -> list[arb]:
    """Mean G y and the four terms of the covariance, one list (S, then S*S row by row)."""
    tests = gain.nrows()
    test, cross, train = split(prior, tests)
    covariance = test + gain * train * gain.transpose() - gain * cross.transpose() - cross * gain.transpose()
    y = arb_mat([[to_ball(exact_fraction("label", value))] for value in labels])
    return (gain * y).entries() + covariance.entries()


def conditional_covariance(joint: arb_mat, tests: int, noise: Sequence[arb]) -> arb_mat:
    """The posterior covariance as the inverse of the test block of the joint precision matrix: no smoother is formed."""
    noisy = joint + diagonal([arb(0)] * tests + list(noise))
    return part(noisy.inv(), range(tests), range(tests)).inv()


def pivots(matrix: arb_mat) -> list[arb]:
    """Pivots of elimination without exchanges: all positive iff the symmetric matrix is positive definite."""
    work, size = [[matrix[i, j] for j in range(matrix.ncols())] for i in range(matrix.nrows())], matrix.nrows()
    for k in range(size):
        for i in range(k + 1, size):
            factor = work[i][k] / work[k][k]
            for j in range(k, size):
                work[i][j] = work[i][j] - factor * work[k][j]
    return [work[k][k] for k in range(size)]
