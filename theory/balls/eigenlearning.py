"""The eigenlearning equations in ball arithmetic: kappa by a proven sign change, the rest from its definition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flint import arb, ctx

from ..errors import NumericalFailure
from .context import Exact, exact_fraction, to_ball


@dataclass(frozen=True)
class EigenlearningBall:
    """Enclosures of kappa, sum m L, E0, test error, train error and total learnability."""

    kappa: arb
    spent: arb
    overfitting: arb
    test_error: arb
    train_error: arb
    total_learnability: arb


def eigenlearning_ball(
    *,
    eigenvalues: Sequence[Exact],
    multiplicities: Sequence[Exact],
    coefficients: Sequence[Exact],
    n: int,
    ridge: Exact,
    noise_variance: Exact,
    digits: int = 60,
) -> EigenlearningBall:
    """All quantities at the positive root of `sum m l/(l + k) + ridge/k = n`; a target and a root must exist.

    Source: Simon et al. 2021.
    """
    exact = [[exact_fraction("spectrum", x) for x in row] for row in (eigenvalues, multiplicities, coefficients)]
    with ctx.workdps(2 * digits):
        lam, m, v = ([to_ball(x) for x in row] for row in exact)
        d, s2 = (to_ball(exact_fraction("ridge or noise", x)) for x in (ridge, noise_variance))

        def total(k: arb) -> arb:
            return sum((mi * li / (li + k) for li, mi in zip(lam, m, strict=True)), d / k)

        kappa = _root(lambda k: total(k) - n, digits)
        learned = [li / (li + kappa) for li in lam]
        squares = sum((mi * x**2 for x, mi in zip(learned, m, strict=True)), arb(0))
        overfitting = n / (n - squares)
        missed = sum(((1 - x) ** 2 * vi**2 for x, vi in zip(learned, v, strict=True)), s2)
        power = sum((vi**2 for vi in v), arb(0))
        test = overfitting * missed
        return EigenlearningBall(
            kappa,
            sum((mi * x for x, mi in zip(learned, m, strict=True)), arb(0)),
            overfitting,
            test,
            (d / (n * kappa)) ** 2 * test,
            sum((x * vi**2 for x, vi in zip(learned, v, strict=True)), arb(0)) / power,
        )


def _root(function: object, digits: int) -> arb:
    """Root of a falling function on (0, inf): doubling to a bracket, then bisection with proven signs."""
    assert callable(function)
    low = high = arb(1)
    while not function(low) > 0:
        low = low / 2
    while not function(high) < 0:
        high = high * 2
    for _ in range(8 * digits):
        middle = arb(((low + high) / 2).mid())
        value = function(middle)
        if value > 0:
            low = middle
        elif value < 0:
            high = middle
        else:  # the sign is undecided within the working precision: the root is that close
            break
        if (high - low) < low * arb(10) ** (-digits):
            return low.union(high)
    raise NumericalFailure("kappa could not be enclosed.", "The equation is too flat at its root.")
