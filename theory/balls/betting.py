"""Limits for means of losses in [0, 1] by betting, as balls: max{sum rho_j u_j : sum rho_j psi_j(u_j) <= B}.

psi(u) = max over b in [-1/(1-u), 1/u] of sum_i c_i ln(1 + b (f_i - u)), convex in u. A candidate solution comes from Newton's method
in balls' midpoints; then two proofs: from above, psi_j lies above its tangents with w = u + b u (1-u) held fixed; from below, slightly
smaller u_j are feasible, since the sum of logarithms is concave in b and so lies below its own tangents.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from flint import arb, ctx

from ..errors import NumericalFailure
from .context import target_bits, to_ball

_LIMIT = 1 << 13
_STEEPEST = 600.0  # ln beta: every u_j is at least 1 - 1/beta


@dataclass
class _Predictor:
    """Distinct losses with their counts, the weight, and the current candidate (u, at the end of the betting range or not)."""

    losses: list[Fraction]
    counts: list[int]
    weight: Fraction
    u: arb = field(default_factory=arb)
    at_end: bool = False

    @property
    def mean(self) -> Fraction:
        return sum((f * c for f, c in zip(self.losses, self.counts, strict=True)), Fraction(0)) / sum(self.counts)


def mean_upper_ball(
    losses: Sequence[Sequence[Fraction]],
    counts: Sequence[int],
    weights: Sequence[Fraction],
    budget: arb,
    digits: int = 60,
) -> arb:
    """The maximum, for predictors with these losses (each value with its count) and weights of sum 1. `budget` > 0."""
    players, certain = [], Fraction(0)
    for row, weight in zip(losses, weights, strict=True):
        if not weight:
            continue
        merged: dict[Fraction, int] = {}
        for f, c in zip(row, counts, strict=True):
            merged[f] = merged.get(f, 0) + c
        if set(merged) == {Fraction(1)}:
            certain += weight  # its mean may be 1: psi is 0 there
        else:
            players.append(_Predictor(list(merged), list(merged.values()), weight))
    wanted = target_bits(digits)
    if not players:
        return arb(1)
    start = _rough(players, float(budget.mid()))[0]
    if start > math.exp(_STEEPEST - 1):
        with ctx.workprec(wanted + 2000):
            return arb(1).union(1 - arb(2 - _STEEPEST).exp())
    bits, guesses = 2 * wanted + 96, [player.u for player in players]
    while bits <= _LIMIT:
        for player, guess in zip(players, guesses, strict=True):
            player.u = guess
        with ctx.workprec(bits):
            found = _attempt(players, start, budget, wanted + 8)
            if found is not None and (value := found + to_ball(certain)).rel_accuracy_bits() >= wanted:
                return value
        bits *= 2
    raise NumericalFailure(
        "No enclosure of the betting limit was found.", "The losses are too extreme for ball arithmetic."
    )


def mean_limits_ball(
    losses: Sequence[Fraction], counts: Sequence[int], budget: Callable[[int], arb], digits: int = 60
) -> tuple[arb, arb]:
    """(lower, upper) end of {u : psi(u) <= budget} for one predictor, `budget` to any number of digits; the lower end is the upper one of
    1 - losses, mirrored."""
    upper = mean_upper_ball([losses], counts, [Fraction(1)], budget(digits + 20), digits)
    lower = arb(0)
    for more in (20, 200, 800) if any(losses) else ():
        mirror = [[1 - f for f in losses]]
        mirrored = mean_upper_ball(mirror, counts, [Fraction(1)], budget(digits + more + 20), digits + more)
        with ctx.workprec(target_bits(digits + more) + 64):
            lower = 1 - mirrored
        if lower.rel_accuracy_bits() >= target_bits(digits):
            break
    return lower, upper


def rough_solution(
    losses: Sequence[Sequence[Fraction]], weights: Sequence[Fraction], budget: float
) -> tuple[float, list[float]]:
    """beta and the u_j in double precision, a few digits: what error bounds are evaluated at. No predictor may be all ones."""
    players = [_Predictor(list(row), [1] * len(row), weight) for row, weight in zip(losses, weights, strict=True)]
    return _rough(players, budget)


def _rough(players: list[_Predictor], budget: float) -> tuple[float, list[float]]:
    """beta by bisection in double precision: every psi_j has slope n beta in u_j, and -beta is the best bet."""

    def spent(beta: float) -> float:
        total = 0.0
        for player in players:
            # in v = 1 - u, which keeps its digits where the limit is close to 1
            left = np.array([float(1 - x) for x in player.losses])
            c = np.array(player.counts, dtype=np.float64)
            low, high = 0.0, min(float(left @ c / c.sum()), float(left.min()) + 1 / beta)
            for _ in range(30):
                middle = (low + high) / 2
                t = 1 + beta * (left - middle)
                low, high = (low, middle) if t.min() <= 0 or (c / t).sum() > c.sum() else (middle, high)
            empty = not any(player.losses)
            player.at_end = empty or bool(left.min() > 0 and low > 1 / beta)
            v = min(1.0, 1 / beta) if player.at_end else low
            with ctx.workprec(2200):
                player.u = 1 - arb(v)
            t = left * max(beta, 1.0) if player.at_end else 1 + beta * (left - v)
            total += float(player.weight) * float(c @ np.log(np.maximum(t, 1e-300)))
        return total

    low, high = math.log(1e-12), _STEEPEST
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if not spent(math.exp(middle)) >= budget else (low, middle)
    spent(math.exp(high))
    return math.exp(high), [float(player.u) for player in players]


def _attempt(players: list[_Predictor], start: float, budget: arb, wanted: int) -> arb | None:
    """Candidate and both proofs at the current precision; None where one of them fails."""
    beta = arb(start)
    for _ in range(60):
        total, slope = arb(0), arb(0)
        for player in players:
            value, rate = _improve(player, beta)
            total += to_ball(player.weight) * value
            slope += to_ball(player.weight) * rate
        step = ((total - budget) / slope).mid()
        if not step.is_finite():
            return None
        beta = (beta - step).mid() if step < beta / 2 else (beta / 2).mid()
        if abs(step) < beta * arb(2) ** (-wanted - 16):
            break
    for player in players:
        _improve(player, beta)
    upper, lower = _from_above(players, beta, budget), _from_below(players, beta, budget, wanted)
    return None if lower is None else upper.union(lower)


def _improve(player: _Predictor, beta: arb) -> tuple[arb, arb]:
    """Move u to u(beta); psi there and its derivative in beta (n beta du/dbeta), as midpoints."""
    n = sum(player.counts)
    if player.at_end:
        if beta <= 1:  # no losses at all, and so little to spend that nothing is spent here
            player.u = arb(0)
            return arb(0), arb(0)
        player.u = (1 - 1 / beta).mid()
        value = sum((c * ((1 - to_ball(f)) * beta).log() for f, c in _rows(player)), arb(0))
        return value.mid(), (n / beta).mid()
    for _ in range(4):
        inverse = [(c, to_ball(f) - player.u, 1 / (1 - beta * (to_ball(f) - player.u))) for f, c in _rows(player)]
        square = sum((c * t * t for c, _, t in inverse), arb(0))
        player.u = (player.u + (sum((c * t for c, _, t in inverse), arb(0)) - n) / (beta * square)).mid()
    drift = sum((c * d * t * t for c, d, t in inverse), arb(0)) / (beta * square)
    value = sum((c * (1 - beta * (to_ball(f) - player.u)).log() for f, c in _rows(player)), arb(0))
    return value.mid(), (n * beta * drift).mid()


def _rows(player: _Predictor) -> list[tuple[Fraction, int]]:
    return list(zip(player.losses, player.counts, strict=True))


def _from_above(players: list[_Predictor], beta: arb, budget: arb) -> arb:
    """sum rho r <= sum rho (u + max((1 - s_j/s)(1-u), (s_j/s - 1) u, 0)) + (B - sum rho g)/s whenever sum rho psi(r) <= B, s = n beta."""
    n = sum(players[0].counts)
    slope = n * beta
    value, spent = arb(0), arb(0)
    for player in players:
        u, rho = player.u, to_ball(player.weight)
        if player.at_end:
            g = sum((c * ((1 - to_ball(f)) / (1 - u)).log() for f, c in _rows(player)), arb(0))
            own = n / (1 - u)
        else:
            w = u - beta * u * (1 - u)
            if not (w >= 0 and w <= 1):
                return arb("inf")
            mixed = [(c, w * to_ball(f) / u, (1 - w) * (1 - to_ball(f)) / (1 - u)) for f, c in _rows(player)]
            g = sum((c * (a + b).log() for c, a, b in mixed), arb(0))
            own = sum((c * (b / (1 - u) - a / u) / (a + b) for c, a, b in mixed), arb(0))
        spent += rho * g
        flat, steep = (1 - own / slope) * (1 - u), (own / slope - 1) * u
        value += rho * (u + flat.max(steep).max(arb(0)))
    return value + (budget - spent) / slope


def _from_below(players: list[_Predictor], beta: arb, budget: arb, wanted: int) -> arb | None:
    """sum rho u' for slightly smaller u' that provably spend less than the budget."""
    value, spent = arb(0), arb(0)
    for player in players:
        rho, u = to_ball(player.weight), player.u
        mean = to_ball(player.mean)
        if u == 0:
            continue  # feasible at no cost
        if len(player.losses) == 1 and not player.at_end:
            value += rho * mean  # psi is 0 at the one value
            continue
        room = (u - mean) if u - mean < 1 - u else 1 - u
        u = (u - room * arb(2) ** (-wanted)).mid()
        value += rho * u
        spent += rho * _psi_above(player, u, -beta)
    return value if spent < budget else None


def _psi_above(player: _Predictor, u: arb, bet: arb) -> arb:
    """psi(u) from above: the sum at a bet near the best one plus its tangent over the whole range of bets."""
    low, high = -1 / (1 - u), 1 / u
    b = low if player.at_end else bet
    for _ in range(0 if player.at_end else 3):
        terms = [(c, (to_ball(f) - u) / (1 + b * (to_ball(f) - u))) for f, c in _rows(player)]
        b = (b + sum((c * t for c, t in terms), arb(0)) / sum((c * t * t for c, t in terms), arb(0))).mid()
    if player.at_end:
        ratios = [(c, (1 - to_ball(f)) / (1 - u), to_ball(f) - u) for f, c in _rows(player)]
    else:
        ratios = [(c, 1 + b * (to_ball(f) - u), to_ball(f) - u) for f, c in _rows(player)]
    value = sum((c * t.log() for c, t, _ in ratios), arb(0))
    tilt = sum((c * d / t for c, t, d in ratios), arb(0))
    return value + (tilt * (high - b)).max(tilt * (low - b)).max(arb(0))
