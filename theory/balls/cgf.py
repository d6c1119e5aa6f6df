"""Cumulants, rates and inverse rates of finite, exponential and Gaussian laws as balls, and those of averages over models.

Everything is written in the dual form, independently of the float64 code: with nu_l the tilted law (weights p e^{-l loss}, normalised),
G(l) = KL(nu_l || nu) and J'(l) = mean - E_{nu_l} loss; Iinv(s) is J' at the tilt with G = s. Newton's steps find a candidate;
the signs of G - s on both sides of it prove the bracket (G and J' increase).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from flint import arb, ctx, fmpq

from ..errors import InvalidInput, NumericalFailure
from .context import Exact, exact_fraction, is_narrow, target_bits, to_ball

# (tag, numbers): ("finite", losses, weights), ("exponential", mean), ("gaussian", variance)
LawData = tuple[str, tuple[Exact, ...]] | tuple[str, tuple[Exact, ...], tuple[Exact, ...]]
Terms = tuple[arb, arb, arb]  # J, J', G at one tilt
_MOST_BITS = 1 << 13
_FARTHEST = arb(2) ** 1100  # in ln l: beyond every rate that is a float


@dataclass(frozen=True)
class BallLaw:
    """A law with exact parameters: its terms at a tilt (a ball), mean - minimum and P(minimum) (None where there is none), variance."""

    terms: Callable[[arb], Terms]
    gap: Fraction | None
    mass: Fraction | None
    variance: Fraction


def ball_law(law: LawData) -> BallLaw:
    """The law that the data describe."""
    numbers = tuple(exact_fraction("parameter", x) for x in law[1])
    if law[0] == "finite":
        given = law[2] if len(law) == 3 else (1,) * len(numbers)
        return _finite(numbers, tuple(exact_fraction("weight", x) for x in given))
    if len(numbers) != 1 or numbers[0] <= 0 or law[0] not in ("exponential", "gaussian"):
        raise InvalidInput(f"The law {law!r} is unknown.", "Use ('finite', losses, weights) and the like.")
    b = numbers[0]
    if law[0] == "gaussian":
        return BallLaw(lambda t: _gaussian(to_ball(b), t), None, None, b)
    return BallLaw(lambda t: _exponential(to_ball(b), t), b, None, b * b)


def _gaussian(v: arb, t: arb) -> Terms:
    return v * t * t / 2, v * t, v * t * t / 2


def _exponential(b: arb, t: arb) -> Terms:
    # the tilted law is exponential with mean m = b/(1 + b t), and KL = ln(b/m) + m/b - 1
    ratio = 1 / (1 + b * t)
    divergence = -ratio.log() + ratio - 1
    return t * (b - b * ratio) - divergence, b - b * ratio, divergence


def _finite(losses: Sequence[Fraction], weights: Sequence[Fraction]) -> BallLaw:
    if len(losses) != len(weights) or not losses or min(weights) < 0 or sum(weights) <= 0:
        raise InvalidInput("losses and weights do not belong together.", "One weight, not negative, for each loss.")
    total = sum(weights)
    joined: dict[Fraction, Fraction] = {}
    for x, p in zip(losses, weights, strict=True):
        if p:
            joined[x] = joined.get(x, Fraction(0)) + p / total
    low = min(joined)
    mean = sum((x * p for x, p in joined.items()), Fraction(0))
    variance = sum(((x - mean) ** 2 * p for x, p in joined.items()), Fraction(0))
    points = [
        (fmpq((x - low).numerator, (x - low).denominator), fmpq(p.numerator, p.denominator)) for x, p in joined.items()
    ]

    def terms(t: arb) -> Terms:
        mass = above = arb(0)
        for x, p in points:
            w = arb(p) * (-t * arb(x)).exp()
            mass, above = mass + w, above + w * arb(x)
        tilted = above / mass
        divergence = -t * tilted - mass.log()  # E_{nu_l} ln(dnu_l/dnu)
        slope = to_ball(mean - low) - tilted
        return t * slope - divergence, slope, divergence

    return BallLaw(terms, mean - low, joined[low], variance)


def average(laws: Sequence[BallLaw], q: Sequence[Exact]) -> tuple[Callable[[arb], Terms], Fraction, list[Fraction]]:
    """E_Q of the terms of several models, E_Q of the variance, and the normalised q."""
    weights = [exact_fraction("posterior", x) for x in q]
    if len(weights) != len(laws) or min(weights) < 0 or sum(weights) <= 0:
        raise InvalidInput("The posterior does not match the laws.", "One weight, not negative, for each model.")
    weights = [x / sum(weights) for x in weights]
    pairs = [(law, x) for law, x in zip(laws, weights, strict=True) if x]

    def terms(t: arb) -> Terms:
        found = [(to_ball(x), law.terms(t)) for law, x in pairs]
        return tuple(sum((x * part[i] for x, part in found), arb(0)) for i in range(3))  # type: ignore[return-value]

    return terms, sum((x * law.variance for law, x in pairs), Fraction(0)), weights


def cgf_ball(law: LawData, tilt: Exact, digits: int = 60) -> arb:
    """J(l) for l > 0."""
    return _refined(lambda: ball_law(law).terms(to_ball(exact_fraction("tilt", tilt)))[0], digits)


def slope_ball(law: LawData, tilt: Exact, digits: int = 60) -> arb:
    """J'(l) = mean - mean under the tilt, for l > 0."""
    return _refined(lambda: ball_law(law).terms(to_ball(exact_fraction("tilt", tilt)))[1], digits)


def inverse_rate_ball(law: LawData, s: Exact | Callable[[], arb], digits: int = 60) -> arb:
    """Iinv(s); s is an exact number, or a function that evaluates it as a ball at the current precision."""
    return mixture_inverse_rate_ball([law], [1], s, digits)


def mixture_inverse_rate_ball(
    laws: Sequence[LawData], q: Sequence[Exact], s: Exact | Callable[[], arb], digits: int = 60
) -> arb:
    """inf over l of (E_Q J(l) + s)/l: E_Q J' at the tilt with E_Q G = s, or E_Q (mean - minimum) at and beyond saturation."""
    models = [ball_law(law) for law in laws]
    terms, variance, weights = average(models, q)
    level = s if callable(s) else _constant(s)

    def evaluate() -> arb:
        target = level()
        if target == 0:
            return arb(0)
        if all(m.gap is not None for m in models) and (all(m.mass for m in models) or not target.is_finite()):
            gap = to_ball(
                sum((x * m.gap for m, x in zip(models, weights, strict=True) if m.gap is not None), Fraction(0))
            )
            limit = sum(
                (-to_ball(x) * to_ball(m.mass).log() for m, x in zip(models, weights, strict=True) if x and m.mass),
                arb(0),
            )
            if not target.is_finite() or target >= limit or variance == 0:
                return gap
        return _at_divergence(terms, target, variance)

    return _refined(evaluate, digits)


def rate_ball(law: LawData, a: Exact, digits: int = 60) -> arb:
    """I(a): G at the tilt with J' = a; 0 for a <= 0, ln(1/P(minimum)) at a = mean - minimum, infinite above."""
    model, x = ball_law(law), exact_fraction("a", a)
    if x <= 0:
        return arb(0)
    if model.gap is not None and x >= model.gap:
        if x > model.gap or not model.mass:
            return arb("inf")
        return _refined(lambda: -to_ball(model.mass or Fraction(1)).log(), digits)

    def evaluate() -> arb:
        low, high = _bracket(lambda t: model.terms(t)[1] - to_ball(x), to_ball(x / model.variance))
        return model.terms(low)[2].union(model.terms(high)[2])

    return _refined(evaluate, digits)


def _at_divergence(terms: Callable[[arb], Terms], target: arb, variance: Fraction) -> arb:
    low, high = _bracket(lambda t: terms(t)[2] - target, (2 * target / to_ball(variance)).sqrt())
    return terms(low)[1].union(terms(high)[1])


def _bracket(increasing: Callable[[arb], arb], start: arb) -> tuple[arb, arb]:
    """Exact tilts on both sides of the root of an increasing function, as close as the working precision proves."""
    v = arb(start.mid()).log().mid()
    low, high = None, None
    f = increasing(arb(v).exp())
    step = arb(1)
    # secant in ln l: expand until the sign changes, then close in
    direction = 1 if f < 0 else -1
    while True:
        new = v + direction * step
        g = increasing(arb(new).exp())
        if (g > 0) if direction > 0 else (g < 0):
            low, high, fl, fh = (v, new, f, g) if direction > 0 else (new, v, g, f)
            break
        v, f, step = new, g, step * 2
        if step > _FARTHEST:
            raise NumericalFailure("No tilt was found.", "The argument is too close to a limit.")
    for _ in range(400):
        width = high - low
        if width < arb(2) ** (40 - ctx.prec) * (1 + abs(low)):  # a rate of 10^300 has an l of e^(10^300)
            break
        # Illinois-free: regula falsi point, pushed inwards to both sides so that the bracket shrinks superlinearly
        guess = arb((low - fl * width / (fh - fl)).mid()) if (fh - fl) > 0 else arb((low + width / 2).mid())
        if not (guess > low and guess < high):
            guess = arb((low + width / 2).mid())
        fg = increasing(guess.exp())
        slope = (fh - fl) / width
        reach = arb((abs(fg / slope) * 4).mid()) if slope > 0 else width / 2
        moved = False
        if fg < 0:
            low, fl = guess, fg
            other = arb((guess + reach).mid())
            if other < high and (fo := increasing(other.exp())) > 0:
                high, fh, moved = other, fo, True
        elif fg > 0:
            high, fh = guess, fg
            other = arb((guess - reach).mid())
            if other > low and (fo := increasing(other.exp())) < 0:
                low, fl, moved = other, fo, True
        else:
            break
        if not moved and high - low > width / 2:
            middle = arb((low + (high - low) / 2).mid())
            fm = increasing(middle.exp())
            if fm < 0:
                low, fl = middle, fm
            elif fm > 0:
                high, fh = middle, fm
            else:
                break
    return arb(low).exp(), arb(high).exp()


def _constant(s: Exact) -> Callable[[], arb]:
    if isinstance(s, float) and s == math.inf:
        return lambda: arb("inf")
    value = exact_fraction("s", s)
    if value < 0:
        raise InvalidInput(f"s is {s!r}.", "It must be zero or larger.")
    return lambda: to_ball(value)


def _refined(evaluate: Callable[[], arb], digits: int) -> arb:
    """Repeat at growing precision, also where a root is not yet resolved."""
    wanted = target_bits(digits)
    bits = wanted + 64
    while bits <= _MOST_BITS + wanted:
        with ctx.workprec(bits):
            try:
                ball = evaluate()
            except NumericalFailure:
                ball = arb("nan")
        if is_narrow(ball, wanted):
            return ball
        bits *= 2
    raise NumericalFailure(
        f"No enclosure with {digits} digits was found.", "The input is too extreme for ball arithmetic."
    )
