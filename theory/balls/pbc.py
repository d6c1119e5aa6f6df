"""PAC-Bayes-Chernoff bounds as balls: price per example, best tilt, and the value of (psi(l) + t)/l there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from flint import arb

from ..errors import InvalidInput
from .cgf import LawData, mixture_inverse_rate_ball
from .context import Exact, exact_fraction, refine, to_ball

Price = Callable[[], arb]


def price(kl: Exact, n: int, log_inv_delta: Exact) -> Price:
    """t = (K + ln(n/delta))/(n - 1), at the current precision."""
    if n < 2 or kl < 0 or log_inv_delta <= 0:
        raise InvalidInput(f"kl = {kl}, n = {n}, ln(1/delta) = {log_inv_delta}.", "n is at least 2, kl not negative.")
    spent = exact_fraction("kl", kl) + exact_fraction("log_inv_delta", log_inv_delta)
    return lambda: (to_ball(spent) + arb(n).log()) / (n - 1)


def price_alpha(kl: Exact, n: int, log_inv_delta: Exact, alpha: Exact, moment: str = "general") -> Price:
    """t = (K + ln C + ln(1/delta))/(a n); C = 1/(1-a) in general, (1 + (1-a)^(-1/2))/2 for Gaussian losses, and for exponential ones
    E e^{a n I(gen+)} = P(Gamma(n) >= n) + e^{-a n} n^n/(n-1)! gamma(m, m)/m^m, m = n (1 - a)."""
    a = exact_fraction("alpha", alpha)
    if n < 1 or not 0 < a < 1 or kl < 0 or log_inv_delta <= 0:
        raise InvalidInput(
            f"kl = {kl}, n = {n}, alpha = {alpha}, ln(1/delta) = {log_inv_delta}.", "0 < alpha < 1, n >= 1."
        )
    spent = exact_fraction("kl", kl) + exact_fraction("log_inv_delta", log_inv_delta)
    return lambda: (to_ball(spent) + moment_ball(n, a, moment).log()) / to_ball(a * n)


def moment_ball(n: int, a: Fraction, moment: str) -> arb:
    """The constant C(a, n) at the current precision."""
    rest = to_ball(1 - a)
    if moment == "general":
        return 1 / rest
    if moment == "Gaussian":
        return (1 + 1 / rest.sqrt()) / 2
    if moment != "exponential":
        raise InvalidInput(f"The moment {moment!r} is unknown.", "Use general, Gaussian or exponential.")
    size, m = arb(n), rest * n
    upper = size.gamma_upper(size) / size.gamma()
    lower = m.gamma_lower(m)
    return upper + (size * size.log() - to_ball(a) * n - m * m.log() - size.lgamma()).exp() * lower


def declared_ball(risk: Exact, variance: Fraction, scale: Fraction, t: Price, digits: int = 60) -> arb:
    """risk + inf over l of (psi(l) + t)/l, psi = v l^2/(2 (1 - c l)): psi at the best tilt l = x/(1 + c x), x = sqrt(2 t/v)."""
    r = exact_fraction("risk", risk)

    def evaluate() -> arb:
        level = t()
        if not variance:
            return to_ball(r) + to_ball(scale) * level  # as l approaches 1/c
        x = (2 * level / to_ball(variance)).sqrt()
        tilt = x / (1 + to_ball(scale) * x)
        psi = to_ball(variance) * tilt * tilt / (2 * (1 - to_ball(scale) * tilt))
        return to_ball(r) + (psi + level) / tilt

    return refine(evaluate, digits)


def known_laws_ball(
    risk: Exact, laws: Sequence[LawData], posterior: Sequence[Exact], t: Price, digits: int = 60
) -> arb:
    """risk + inf over l of (E_Q J(l) + t)/l."""
    r = exact_fraction("risk", risk)
    width = mixture_inverse_rate_ball(laws, posterior, t, digits + 5)
    return refine(lambda: to_ball(r) + width, digits)


def best_alpha_ball(anticipated: Exact, digits: int = 60) -> arb:
    """x = -W_{-1}(-e^{-1-B}), the root above 1 of x = 1 + B + ln x; the best alpha is 1 - 1/x and its price x/n."""
    b = exact_fraction("anticipated", anticipated)
    return refine(lambda: -((-(-1 - to_ball(b)).exp()).lambertw(-1)), digits)


def fixed_tilt_ball(
    risk: Exact, tilts: Sequence[Exact], second_moment: Exact, kl: Exact, n: int, log_inv_delta: Exact, digits: int = 60
) -> arb:
    """The least of risk + l B2/2 + (K + ln(G/delta))/(l n) over a grid of G tilts fixed in advance."""
    spent = exact_fraction("kl", kl) + exact_fraction("log_inv_delta", log_inv_delta)
    grid = [exact_fraction("tilt", x) for x in tilts]
    if not grid or min(grid) <= 0 or n < 1:
        raise InvalidInput("The grid of tilts is empty or not positive.", "Fix one or more tilts before the data.")
    half = exact_fraction("second_moment", second_moment) / 2

    def evaluate() -> arb:
        level = to_ball(spent) + arb(len(grid)).log()
        values = [to_ball(exact_fraction("risk", risk) + x * half) + level / to_ball(x * n) for x in grid]
        best = values[0]
        for value in values[1:]:
            best = best.min(value)
        return best

    return refine(evaluate, digits)


def fixed_posterior_tilt_ball(
    risk: Exact, kl: Exact, log_inv_delta: Exact, log_moment: Exact, tilt: Exact, digits: int = 60
) -> arb:
    """risk + (K + ln(1/delta) + Psi)/l."""
    numbers = [exact_fraction("input", x) for x in (risk, kl, log_inv_delta, log_moment, tilt)]
    total = numbers[0] + (numbers[1] + numbers[2] + numbers[3]) / numbers[4]
    return refine(lambda: to_ball(total), digits)
