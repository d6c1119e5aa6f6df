"""Figures of the time-uniform bounds: what validity at every n costs, and what betting sees that kl does not."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, xlogy

from ....numerics.bounds.betting import betting_interval
from ....numerics.bounds.seeger import seeger_kl
from ....numerics.bounds.time_uniform import kl_anytime
from ....numerics.certified.krichevsky_trofimov import log_kt
from ....numerics.randomness import generator
from ...drawing import ALLOWED, DATA, INK, QUIET, WRONG, Figure, curve, finish, sizes, write

DELTA = 0.05


def regret(ones: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """ln of the best coin's likelihood over the mixture's mass, for sequences with this many ones in n."""
    best = xlogy(ones, ones / n) + xlogy(n - ones, 1 - ones / n)
    return np.asarray(best - (betaln(ones + 0.5, n - ones + 0.5) - np.log(np.pi)))


def worst_sequence(verdict: Mapping[str, Any], axes: Any) -> None:
    """The mixture's regret over the share of ones, and the constant that bounds it."""
    for n, colour, style in ((1000, WRONG, "-."), (100, ALLOWED, "--"), (10, DATA, "-")):
        ones = np.arange(n + 1.0)
        axes.plot(ones / n, regret(ones, n), color=colour, linestyle=style, linewidth=1.8)
        axes.axhline(float(log_kt(n)), color=QUIET, linewidth=0.9)
        write(axes, 0.5, float(log_kt(n)), f"n = {n}: ln kt(n) = {float(log_kt(n)):.2f}", "above", colour)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 5)
    finish(
        axes,
        "The mixture loses most on all zeros or all ones: there its regret is ln kt(n)",
        "share of ones in the sequence",
        "regret to the best coin, nats",
    )


def price_of_every_size(verdict: Mapping[str, Any], axes: Any) -> None:
    """What the bound for all n, and a union over n, add to the bound for a single n."""
    n = sizes(10, 10**5, 50)
    given: dict[str, Any] = {"risk": 0.1, "kl": 10.0}
    single = curve(lambda m: seeger_kl(n=m, delta=DELTA, **given).value, n)
    anytime = curve(lambda m: kl_anytime(n=m, delta=DELTA, **given).value, n)
    union = curve(lambda m: seeger_kl(n=m, delta=DELTA / (m * (m + 1)), **given).value, n)
    axes.plot(
        n, 100 * (union / single - 1), color=WRONG, linestyle="--", linewidth=1.8, label="union over n, δ/(n(n+1)) each"
    )
    axes.plot(n, 100 * (anytime / single - 1), color=DATA, linewidth=1.8, label="kl_anytime, all n at one δ")
    axes.set_ylim(0, None)
    finish(
        axes,
        "Validity at every n costs next to nothing; a union over n does not",
        "n, examples (empirical risk 0.1, KL = 10 nats, δ = 0.05)",
        "above the bound for one n, %",
        log="x",
        key="upper right",
    )


@cache
def intervals() -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Sample sizes, limits by betting and limits by kl along one stream of losses of mean .3 and deviation .1."""
    losses = np.round(generator(3, "figure of pb.betting_ci").beta(6, 14, 4000), 3)
    n = sizes(5, 4000, 24)
    pairs = []
    for m in n.tolist():
        seen = losses[:m]
        found = (
            betting_interval(losses=seen, delta=DELTA),
            kl_anytime(risk=float(seen.mean()), kl=0.0, n=m, delta=DELTA),
        )
        pairs.append([(f.lower, f.value) for f in found])
    both = np.array(pairs, dtype=np.float64)
    return n, both[:, 0], both[:, 1]


def betting_sees_the_spread(verdict: Mapping[str, Any], axes: Any) -> None:
    """Both intervals along one stream; they hold at all n at once."""
    n, betting, kl = intervals()
    axes.fill_between(n, kl[:, 0], kl[:, 1], color=WRONG, alpha=0.14, linewidth=0)
    axes.plot(n, kl, color=WRONG, linewidth=1.3, linestyle="--", label=["kl_anytime", "_"])
    axes.fill_between(n, betting[:, 0], betting[:, 1], color=DATA, alpha=0.22, linewidth=0)
    axes.plot(n, betting, color=DATA, linewidth=1.8, label=["betting_interval", "_"])
    axes.axhline(0.3, color=INK, linewidth=1)
    write(axes, float(n[0]), 0.3, "true mean", "above right")
    axes.set_ylim(0, 1)
    finish(
        axes,
        "Losses that spread little: betting notices, the kl interval cannot",
        "n, losses seen (deviation 0.1, δ = 0.05)",
        "limits for the mean",
        log="x",
        key="upper right",
    )


FIGURES: Mapping[str, Figure] = {
    "pb.kt": worst_sequence,
    "pb.kl_anytime": price_of_every_size,
    "pb.betting_ci": betting_sees_the_spread,
}
