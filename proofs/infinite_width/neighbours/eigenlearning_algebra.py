"""Algebra of the eigenlearning equations: leave one out, the fixed point, bias and variance, conservation on every draw."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import Any

import sympy


def leave_one_out() -> list[tuple[Any, Any]]:
    """With B = A + f f^T: B^{-1} f = A^{-1} f/(1 + q), q = f^T A^{-1} f; and a residual is the left-out one over 1 + q."""
    a, c, f1, f2, y, r1, r2 = sympy.symbols("a c f1 f2 y r1 r2", positive=True)
    without = sympy.diag(a, c)  # in its eigenbasis
    f, rest = sympy.Matrix([f1, f2]), sympy.Matrix([r1, r2])  # rest = Phi^T y without this example
    q = (f.T * without.inv() * f)[0]
    whole = without + f * f.T
    left = whole.inv() * f
    right = without.inv() * f / (1 + q)
    residual = y - (f.T * whole.inv() * (rest + f * y))[0]
    return [(left[0], right[0]), (left[1], right[1]), (residual, (y - (f.T * without.inv() * rest)[0]) / (1 + q))]


def fixed_point() -> list[tuple[Any, Any]]:
    """del G + n l G/(1 + m) = 1 in each mode, m = sum l G, kappa = del (1 + m)/n: del G = kappa/(l + kappa), and the equation for n."""
    l1, l2, d, n, k = sympy.symbols("l1 l2 d n k", positive=True)
    one_plus_m = n * k / d
    inverse = [1 / (d + n * lam / one_plus_m) for lam in (l1, l2)]
    spent = sum(lam / (lam + k) for lam in (l1, l2))
    m = sum(lam * g for lam, g in zip((l1, l2), inverse, strict=True))
    return [
        *((d * g, k / (lam + k)) for lam, g in zip((l1, l2), inverse, strict=True)),
        ((1 + m) * d / k, d / k + spent),  # equal to n where 1 + m = n kappa/del
    ]


def _mode() -> tuple[Any, ...]:
    """One mode of penalty del (1 + t l): its share of n and of del G, their slopes in t and k at t = 0, and l, in terms of L and k."""
    lam, learned, k, t = sympy.symbols("l L k t", positive=True)
    share, kept = lam / (lam + k * (1 + t * lam)), k / (lam + k * (1 + t * lam))
    here = {lam: k * learned / (1 - learned)}
    slopes = [sympy.cancel(f.diff(x).subs(t, 0).subs(here)) for f in (share, kept) for x in (t, k)]
    return learned, k, slopes, here[lam]


def bias() -> list[tuple[Any, Any]]:
    """|l^{1/2} del B^{-1} b|^2 = -d/dt sum_i b_i^2 del G_i(t) = E0 sum (1 - L)^2 v^2, with v^2 = l b^2; r is del/kappa."""
    learned, k, (share_t, share_k, kept_t, kept_k), lam = _mode()
    r, *names = sympy.symbols("r x1 x2 v1 v2", positive=True)
    modes = list(zip(names[:2], names[2:], strict=True))
    # the equation for n stays true as t grows: its slope in t is made up for by k
    slope = -sum(share_t.subs(learned, x) for x, _ in modes) / (sum(share_k.subs(learned, x) for x, _ in modes) - r / k)
    moved = sum(v**2 / lam.subs(learned, x) * (kept_t + kept_k * slope).subs(learned, x) for x, v in modes)
    n = sum(x for x, _ in modes) + r
    overfitting = n / (n - sum(x**2 for x, _ in modes))
    return [(-moved, overfitting * sum((1 - x) ** 2 * v**2 for x, v in modes))]


def variance() -> list[tuple[Any, Any]]:
    """tr l B^{-1} Phi^T Phi B^{-1} = d/d(del) (del m) = n dk/d(del) - 1 = E0 - 1, m = n k/del - 1; r is del/kappa."""
    learned, k, (_, share_k, _, _), _ = _mode()
    r, x1, x2, n, d, k1 = sympy.symbols("r x1 x2 n d k1", positive=True)
    kappa = sympy.Function("kappa")(d)
    slope = -(1 / k) / (share_k.subs(learned, x1) + share_k.subs(learned, x2) - r / k)
    total = x1 + x2 + r
    product_rule = (d * (n * kappa / d - 1)).diff(d).subs(kappa.diff(d), k1)
    return [(product_rule, n * k1 - 1), (total * slope - 1, total / (total - x1**2 - x2**2) - 1)]


def trace_of_the_smoother() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    """n - tr K (K + del)^{-1} = del tr (K + del)^{-1} >= 0 for all 2 x 3 feature matrices over {-1, 0, 2}, zero iff del = 0 and K regular."""
    for entries in product((-1, 0, 2), repeat=6):
        rows = entries[:3], entries[3:]
        a, b, c = (
            sum(x * y for x, y in zip(p, q, strict=True))
            for p, q in ((rows[0], rows[0]), (rows[0], rows[1]), (rows[1], rows[1]))
        )
        for ridge in (Fraction(0), Fraction(1, 3)):
            det = (a + ridge) * (c + ridge) - b * b
            if det == 0:
                continue
            spent = Fraction(a * (c + ridge) - b * b + c * (a + ridge) - b * b) / det
            left = ridge * (a + c + 2 * ridge) / det
            yield f"{entries}, {ridge}", 2 - spent, "==", left
            yield f"{entries}, {ridge}: not above n", spent, "<=", Fraction(2)
            if ridge:
                yield f"{entries}, {ridge}: a ridge costs", Fraction(0), "<=", left - Fraction(1, 10**6)
