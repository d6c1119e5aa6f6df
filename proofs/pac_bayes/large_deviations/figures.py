"""Figures of the large deviations: the inverse rate, what a sample knows of it, and bounds for unbounded losses."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....numerics.bounds.alquier import alquier
from ....numerics.bounds.chernoff import pac_bayes_chernoff
from ....numerics.bounds.sub_gaussian import sub_gaussian_mixture
from ....numerics.large_deviations.inverse_rate import inverse_rate
from ....numerics.large_deviations.laws import ExponentialLaw, FiniteLaw, GaussianLaw
from ....numerics.large_deviations.tails import SubGaussian
from ....numerics.randomness import generator
from ...drawing import ALLOWED, BAND, DATA, INK, QUIET, WRONG, Figure, curve, finish, sizes, write

DELTA = 0.05


def three_inverse_rates(verdict: Mapping[str, Any], axes: Any) -> None:
    """Laws of variance 1/4: Gaussian, exponential, and Bernoulli(1/2), whose inverse rate stops growing at ln 2."""
    s = np.linspace(0, 2, 201)
    same = np.ones(len(s))
    coin = FiniteLaw(np.outer(same, [0.0, 1.0]), np.array([0.5, 0.5]))
    for name, law, colour, style in (
        ("Gaussian: √(2 s Var)", GaussianLaw(0.25 * same), WRONG, "-."),
        ("0 or 1, half each", coin, DATA, "-"),
        ("exponential", ExponentialLaw(0.5 * same), ALLOWED, "--"),
    ):
        axes.plot(s, inverse_rate(law, s).value, color=colour, linestyle=style, linewidth=1.8, label=name)
    axes.axvline(log(2), color=QUIET, linewidth=1, linestyle=":")
    write(axes, log(2), 0.06, "ln 2 = ln(1/P(loss is least)): saturated from here on", "right")
    axes.set_xlim(0, 2)
    axes.set_ylim(0, 1.05)
    finish(
        axes,
        "Equal variances start alike; then the lower tail decides, up to mean − least loss",
        "s, nats for each example",
        "inverse rate, units of the loss",
        key="upper left",
    )


@cache
def plug_ins(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """s, and the plug-in inverse rates of 20 samples of `count` standard normal losses."""
    s = 8 * np.linspace(0.05, 1, 24) ** 2
    samples = FiniteLaw(generator(1, "figure of pb.cgf_estimation", count).standard_normal((20, count)))
    return s, np.array([inverse_rate(samples, level).value for level in s.tolist()])


def blind_beyond_the_sample(verdict: Mapping[str, Any], axes: Any) -> None:
    """Mean and spread of plug-in inverse rates against the true one."""
    for count, colour, style in ((10, WRONG, "-."), (100, BAND, "--"), (1000, DATA, "-")):
        s, values = plug_ins(count)
        axes.fill_between(s, *np.quantile(values, (0.1, 0.9), axis=1), color=colour, alpha=0.18, linewidth=0)
        axes.plot(s, values.mean(axis=1), color=colour, linestyle=style, linewidth=1.8, label=f"{count} losses")
        axes.axvline(log(count), color=colour, linewidth=0.9, linestyle=":")
    axes.plot(s, np.sqrt(2 * s), color=INK, linewidth=1.4, label="the law itself, √(2s)")
    axes.set_xlim(0, 8)
    axes.set_ylim(0, 4.2)
    finish(
        axes,
        "A plug-in rate is too small, and beyond ln N nats (dotted) it knows nothing",
        "s, nats for each example (standard normal losses; bands: 10 % to 90 %)",
        "inverse rate",
        key="upper left",
    )


def no_tilt_to_choose(verdict: Mapping[str, Any], axes: Any) -> None:
    """Linear bounds at three tilts fixed in advance, and the bound that optimises the tilt after the data."""
    kl = np.linspace(0, 200, 81)
    n, variance = 1000, 1.0
    for tilt, colour, style in ((100, WRONG, "-."), (250, BAND, "--"), (600, ALLOWED, ":")):
        moment = tilt**2 * variance / (2 * n)
        value = curve(lambda k, t=tilt, m=moment: alquier(risk=0.0, kl=k, tilt=t, log_moment=m, delta=DELTA).value, kl)
        axes.plot(kl, value, color=colour, linestyle=style, linewidth=1.5, label=f"pb.alquier at λ = {tilt}")
    free = curve(lambda k: pac_bayes_chernoff(risk=0.0, kl=k, n=n, tail=SubGaussian(variance), delta=DELTA).value, kl)
    axes.plot(kl, free, color=DATA, linewidth=2, label="pb.pbc, every λ")
    axes.set_xlim(0, 200)
    axes.set_ylim(0, 1)
    finish(
        axes,
        "One bound near the best λ for every KL, for ln n in place of a λ fixed in advance",
        "KL(Q‖P), nats (sub-Gaussian losses of variance 1, n = 1000, δ = 0.05)",
        "bound − empirical risk",
        key="upper left",
    )


def one_mixture_for_all_sizes(verdict: Mapping[str, Any], axes: Any) -> None:
    """Width times sqrt(n) of the mixture at three scales, of a union over n, and of the best for one n known in advance."""
    n = sizes(10, 10**6)
    kl, level = 10.0, log(1 / DELTA)
    for a, colour, style in ((10, DATA, "-"), (1000, ALLOWED, "--"), (10**5, BAND, "-.")):
        width = curve(
            lambda m, a=a: sub_gaussian_mixture(risk=0.0, kl=kl, n=m, variance=1.0, a=float(a), delta=DELTA).value, n
        )
        axes.plot(n, width * np.sqrt(n), color=colour, linestyle=style, linewidth=1.8, label=f"a = {a}")
    union = np.sqrt(2 * (kl + np.log(2 * n * (n + 1.0)) + level))
    axes.plot(n, union, color=WRONG, linewidth=1.3, linestyle=":", label="union over n")
    axes.axhline(sqrt(2 * (kl + level + log(2))), color=QUIET, linewidth=1.2)
    write(axes, 10, sqrt(2 * (kl + level + log(2))), "one n and one λ, known in advance", "below right")
    axes.set_ylim(4, 12)
    finish(
        axes,
        "One mixture covers every n: its scale a says where it is tightest",
        "n, examples (KL = 10 nats, δ = 0.05, variance 1)",
        "√n · half-width",
        log="x",
        key="upper left",
    )


FIGURES: Mapping[str, Figure] = {
    "pb.cramer": three_inverse_rates,
    "pb.cgf_estimation": blind_beyond_the_sample,
    "pb.pbc": no_tilt_to_choose,
    "pb.sg_mixture": one_mixture_for_all_sizes,
}
