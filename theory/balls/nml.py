"""C(M,n), the normalised maximum likelihood sum of a multinomial, exactly and as a ball. Neither uses the recurrence in M.

C(M,n) = sum over counts c of n!/prod c_i! prod (c_i/n)^c_i = (n!/n^n) [x^n] (sum_c c^c x^c/c!)^M, and as an integral
C(M,n) = n^(M-1)/(M-2)! int_0^inf e^(-nt) t^(M-2) (1+t)^n dt for M >= 2; expanding t = (1+t) - 1 leaves incomplete gamma functions.
"""

from __future__ import annotations

from fractions import Fraction
from math import comb, factorial

from flint import arb, fmpq, fmpq_poly

from ..validation import sample_size
from .context import refine


def nml_exact(classes: int, n: int) -> Fraction:
    """C(M,n) as a rational number, from the defining sum (as a coefficient of a power of a series); for n up to a few hundred."""
    count, size = sample_size("classes", classes), sample_size("n", n)
    base = fmpq_poly([fmpq(c**c, factorial(c)) for c in range(size + 1)])
    power = fmpq_poly([1])
    for _ in range(count):
        power = fmpq_poly((power * base).coeffs()[: size + 1])
    found = power.coeffs()[size] * fmpq(factorial(size), size**size)
    return Fraction(int(found.p), int(found.q))


def nml_ball(classes: int, n: int, digits: int = 60) -> arb:
    """Enclosure of C(M,n) with `digits` correct digits, for any n and M up to some hundreds."""
    count, size = sample_size("classes", classes), sample_size("n", n)
    if count == 1:
        return arb(1)

    def integral() -> arb:
        x = arb(size)
        # int_1^inf e^(-n s) s^(n+j) ds = Gamma(n+j+1, n)/n^(n+j+1), with e^n n^(M-1) in front
        gamma, total = x.gamma_upper(x + 1), arb(0)
        scale = (x - x * x.log()).exp()  # e^n/n^n
        for j in range(count - 1):
            term = gamma * scale * x ** (count - 2 - j)
            total += comb(count - 2, j) * (-1) ** (count - j) * term
            gamma = (x + j + 1) * gamma + ((x + j + 1) * x.log() - x).exp()  # Gamma(s+1, n) = s Gamma(s, n) + n^s e^-n
        return total / factorial(count - 2)

    return refine(integral, digits)
