"""Alignment of a Gram matrix with labels in ball arithmetic, with the centring matrix written out."""

from __future__ import annotations

from collections.abc import Sequence

from flint import arb, ctx, fmpq, fmpq_mat

from .context import Exact, exact_fraction


def alignment_ball(gram: Sequence[Sequence[Exact]], labels: Sequence[Exact], *, centred: bool, digits: int = 60) -> arb:
    """`<A, y y^T>/(|A| |y y^T|)` in the Frobenius inner product, A = K or C K C and y or C y; exact up to the last root."""
    size = len(labels)

    def rational(value: Exact) -> fmpq:
        fraction = exact_fraction("entry", value)
        return fmpq(fraction.numerator, fraction.denominator)

    k = fmpq_mat([[rational(x) for x in row] for row in gram])
    y = fmpq_mat([[rational(x)] for x in labels])
    if centred:
        c = fmpq_mat([[fmpq(int(i == j)) - fmpq(1, size) for j in range(size)] for i in range(size)])
        k, y = c * k * c, c * y
    outer = y * y.transpose()
    inner = sum((a * b for a, b in zip(k.entries(), outer.entries(), strict=True)), fmpq(0))
    squares = [sum((a * a for a in matrix.entries()), fmpq(0)) for matrix in (k, outer)]
    with ctx.workdps(2 * digits):
        return arb(inner) / arb(squares[0] * squares[1]).sqrt()
