"""Figures of the kl bounds: the family on one scale, and what each member gives away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ....numerics.bounds.catoni import catoni
from ....numerics.bounds.catoni_grid import catoni_continuous
from ....numerics.bounds.envelope import small_data_envelope
from ....numerics.bounds.mcallester import mcallester
from ....numerics.bounds.relaxations import quad, thiemann_lambda
from ....numerics.bounds.seeger import seeger_kl
from ...drawing import ALLOWED, BAND, DATA, INK, QUIET, WRONG, Figure, curve, finish, sizes, write

DELTA = 0.05


def complexity_and_sample(verdict: Mapping[str, Any], axes: Any) -> None:
    """Both sides of the bound against n for three divergences."""
    n = sizes(30, 10**5)
    axes.axhline(0.1, color=INK, linewidth=1)
    write(axes, 30, 0.1, "empirical risk 0.1", "above right")
    for kl, colour, style in ((0, DATA, "-"), (30, ALLOWED, "--"), (1000, WRONG, "-.")):
        found = [seeger_kl(risk=0.1, kl=kl, n=size, delta=DELTA) for size in n.tolist()]
        axes.plot(n, [f.value for f in found], color=colour, linestyle=style, linewidth=1.8, label=f"{kl} nats")
        axes.plot(n, [f.lower for f in found], color=colour, linestyle=style, linewidth=0.9)
    axes.set_ylim(0, 1)
    finish(
        axes,
        "KL(Q‖P) counts against n: a thousand nats need thousands of examples",
        f"n, examples (δ = {DELTA:g})",
        "limits for the true Gibbs risk",
        log="x",
        key="upper right",
        head="KL(Q‖P); thin: lower limit",
    )


def price_of_relaxing(verdict: Mapping[str, Any], axes: Any) -> None:
    """How far each relaxation lies above the kl bound it comes from, over the empirical risk."""
    risk = np.linspace(0, 0.6, 61)
    given: dict[str, Any] = {"kl": 30.0, "n": 1000, "delta": DELTA}
    floor = curve(lambda r: seeger_kl(risk=r, **given).value, risk)
    for name, bound, colour, style in (
        ("McAllester", mcallester, WRONG, "-"),
        ("quad, and lambda at its best λ", quad, DATA, "--"),
    ):
        value = curve(lambda r, bound=bound: bound(risk=r, **given).value, risk)
        axes.plot(risk, value - floor, color=colour, linestyle=style, linewidth=1.8, label=name)
    axes.set_xlim(0, 0.6)
    axes.set_ylim(0, None)
    finish(
        axes,
        "Against the kl bound: quad loses less at small risks, McAllester near one half",
        "empirical Gibbs risk (n = 1000, KL = 30 nats, δ = 0.05)",
        "above the kl bound by",
        key="upper center",
    )


def free_lambda(verdict: Mapping[str, Any], axes: Any) -> None:
    """The lambda bound over its parameter, which need not be fixed in advance, with its least value."""
    given: dict[str, Any] = {"kl": 30.0, "n": 1000, "delta": DELTA}
    lam = np.linspace(0.05, 1.6, 156)
    for risk, colour, style in ((0.3, WRONG, "-."), (0.1, ALLOWED, "--"), (0.01, DATA, "-")):
        value = curve(lambda x, risk=risk: thiemann_lambda(risk=risk, lam=x, **given).value, lam)
        best = thiemann_lambda(risk=risk, **given)
        axes.plot(lam, value, color=colour, linestyle=style, linewidth=1.8, label=f"{risk:g}")
        axes.plot([best.inputs["lam"]], [best.value], "o", color=colour, markersize=6)
    axes.set_xlim(0, 1.6)
    axes.set_ylim(0, 1)
    finish(
        axes,
        "It holds for all λ at once: the best one (dots) may depend on the data",
        "λ (n = 1000, KL = 30 nats, δ = 0.05)",
        "bound on the true Gibbs risk",
        key="upper center",
        head="empirical risk",
    )


def touching_the_envelope(verdict: Mapping[str, Any], axes: Any) -> None:
    """Catoni's bound for three beta and the kl bound, above the envelope of all beta, over the empirical risk."""
    risk = np.linspace(0, 0.5, 126)
    given: dict[str, Any] = {"kl": 10.0, "n": 200, "delta": DELTA}
    envelope = curve(lambda r: small_data_envelope(risk=r, **given), risk)
    for beta, colour, style in ((0.6, WRONG, "-."), (1.2, ALLOWED, "--"), (2.4, DATA, "-")):
        value = curve(lambda r, beta=beta: catoni(risk=r, beta=beta, **given).value, risk)
        axes.plot(risk, value - envelope, color=colour, linestyle=style, linewidth=1.8, label=f"β = {beta:g}")
    kl = curve(lambda r: seeger_kl(risk=r, **given).value, risk)
    axes.plot(risk, kl - envelope, color=INK, linewidth=1.6, linestyle=":", label="kl bound, for every risk")
    axes.axhline(0, color=QUIET, linewidth=1)
    axes.set_xlim(0, 0.5)
    axes.set_ylim(-0.004, 0.08)
    finish(
        axes,
        "Each β touches the envelope of all β at one risk: it is good near there only",
        "empirical Gibbs risk (n = 200, KL = 10 nats, δ = 0.05)",
        "bound − envelope",
        key="upper right",
    )


def distance_to_the_ideal(verdict: Mapping[str, Any], axes: Any) -> None:
    """Bounds minus the envelope, with KL growing in proportion to n."""
    n = sizes(20, 10**5, 17)
    given: dict[str, Any] = {"risk": 0.1, "delta": DELTA}
    for name, bound, colour, style in (
        ("McAllester", mcallester, WRONG, "-"),
        ("quad", quad, BAND, "-."),
        ("kl", seeger_kl, DATA, "-"),
        ("Catoni, any β", catoni_continuous, ALLOWED, "--"),
    ):
        gap = curve(
            lambda size, bound=bound: (
                bound(kl=size / 20, n=size, **given).value - small_data_envelope(kl=size / 20, n=size, **given)
            ),
            n,
        )
        axes.plot(n, gap, color=colour, linestyle=style, linewidth=1.8, label=name)
    finish(
        axes,
        "Above the ideal: ln ξ(n)/n fades for the kl bound, what relaxing loses stays",
        "n, examples (empirical risk 0.1, KL = n/20 nats, δ = 0.05)",
        "bound − envelope",
        log="xy",
        key="lower left",
    )


FIGURES: Mapping[str, Figure] = {
    "pb.kl": complexity_and_sample,
    "pb.quad": price_of_relaxing,
    "pb.lambda": free_lambda,
    "pb.catoni": touching_the_envelope,
    "pb.smalldata": distance_to_the_ideal,
}
