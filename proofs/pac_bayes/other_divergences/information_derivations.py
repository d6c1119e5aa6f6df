"""Derivations of the information-theoretic bounds: change of measure between a joint law and the product of its marginals."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import factorial
from typing import Any

from ....theory.axioms import CHAIN_RULE, CONDITIONING, DATA_PROCESSING, INDEPENDENCE, JENSEN
from ....theory.derivation import Algebra, Axiom, Enumeration, Uses
from ..foundations import change_of_measure, kl_inverse
from ..kl_bounds.monte_carlo import best_exponent


def best_tilt() -> list[tuple[Any, Any]]:
    import sympy

    i, v, tilt = sympy.symbols("I v l", positive=True)
    bound = (i + tilt**2 * v / 2) / tilt
    best = sympy.sqrt(2 * i / v)
    return [
        (sympy.diff(bound, tilt).subs(tilt, best), 0),
        (sympy.simplify(bound.subs(tilt, best) - sympy.sqrt(2 * i * v)), 0),
    ]


def factorials() -> list[tuple[Any, Any]]:
    import sympy

    k = sympy.Symbol("k", positive=True)
    return [((2 * k + 1) * (2 * k + 2), 2 * (k + 1) * (2 * k + 1))]


def coefficients() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    for k in range(41):
        yield f"k={k}", Fraction(1, factorial(2 * k)), "<=", Fraction(1, 2**k * factorial(k))


def one_pair() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    # mean over the coin of 2^(loss of the example left out), or 0 where the example trained on has a loss
    yield "no loss in the pair", Fraction(1), "<=", Fraction(1)
    yield "one loss, of size 0", Fraction(1, 2) * 1, "<=", Fraction(1)
    yield "one loss, of size 1", Fraction(1, 2) * 2, "<=", Fraction(1)
    yield "two losses", Fraction(0), "<=", Fraction(1)


OPTIMUM = Algebra("the least (I + l^2 v/2)/l is sqrt(2 I v)", best_tilt)
MI_DERIVATION = (
    Uses(change_of_measure.RESULT, "Q the joint law of W and Z_i, P the product of its marginals, f = +-l (L(W) - loss(W, Z_i)): l |E gap_i| <= I(W;Z_i) + l^2 sigma^2/2"),
    OPTIMUM,
    Axiom(CHAIN_RULE, "I(W;S) is the sum of I(W;Z_i|Z_1..Z_(i-1))"),
    Axiom(INDEPENDENCE, "of the examples: I(W;Z_i|Z_1..Z_(i-1)) >= I(W;Z_i)"),
    Axiom(JENSEN, "the root is concave: the mean over i of sqrt(2 sigma^2 I(W;Z_i)) is at most sqrt(2 sigma^2 I(W;S)/n)"),
)  # fmt: skip
COINS = (
    Axiom(CONDITIONING, "given the supersample, P makes the coins U fair and independent of W (of the losses)"),
    Axiom(
        DATA_PROCESSING,
        "the losses on the supersample are a function of W: I(losses;U|supersample) <= I(W;U|supersample)",
    ),
)
CMI_DERIVATION = (
    *COINS,
    Uses(change_of_measure.RESULT, "f = l (mean over pairs of +- the difference of the two losses); n E f/l is the expected gap under the joint law"),
    Enumeration("cosh x <= e^(x^2/2) term by term, the first 41 coefficients", coefficients),
    Algebra("(2k+2)!/(2k)! = (2k+1) 2^(k+1) (k+1)!/(2^k k!): so it goes on", factorials),
    Axiom(INDEPENDENCE, "of the coins: E_P e^f is a product of n hyperbolic cosines, at most e^(l^2/(2n))"),
    OPTIMUM,
    Axiom(JENSEN, "2^loss is convex, so largest at loss 0 or 1"),
    Enumeration("interpolating, f = ln 2 times the losses left out, -infinity where a training loss is positive: E_P e^f <= 1 for each pair", one_pair),
)  # fmt: skip
KL_DERIVATION = (
    *COINS,
    Axiom(JENSEN, "a loss in [0, 1] that is one of two, by a fair coin, has E e^(l loss) <= 1 - p + p e^l, p their mean"),
    Uses(change_of_measure.RESULT, "f = sum over pairs of l (training loss) - ln(1 - p + p e^l): E f <= eCMI under the joint law, for every l"),
    Axiom(JENSEN, "-ln(1 - p + p e^l) is convex in p: n (l E Lh - ln(1 - P + P e^l)) <= eCMI with P = (E Lh + E L)/2"),
    Algebra("at the best l the left side is n kl(E Lh||P)", best_exponent, (("q", 0.1, 0.4), ("p", 0.5, 0.9))),
    Uses(kl_inverse.RESULT, "so P lies between LO(E Lh, eCMI/n) and UP(E Lh, eCMI/n), and E L = 2P - E Lh"),
)  # fmt: skip
