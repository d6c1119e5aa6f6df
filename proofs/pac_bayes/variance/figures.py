"""Figures of the bounds that see more than the mean: variance, several levels of loss, and an excess over an earlier posterior."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ....numerics.bounds.empirical_bernstein import empirical_bernstein
from ....numerics.bounds.recursive import RecursiveStep, recursive_pac_bayes
from ....numerics.bounds.seeger import seeger_kl
from ....numerics.bounds.split_kl import split_kl
from ....numerics.bounds.unexpected_bernstein import unexpected_bernstein
from ...drawing import ALLOWED, BAND, DATA, INK, QUIET, WRONG, Figure, curve, finish, write

GIVEN: dict[str, Any] = {"kl": 5.0, "n": 500, "delta": 0.05}
SETTING = "(n = 500, KL = 5 nats, δ = 0.05)"


def bernstein_against_kl(verdict: Mapping[str, Any], axes: Any) -> None:
    """Bounds for losses of mean 0.2 as their spread grows from nothing to that of 0-1 losses."""
    deviation = np.linspace(0, 0.4, 81)
    second = lambda d: d**2 * (GIVEN["n"] - 1) / GIVEN["n"] + 0.04  # noqa: E731
    axes.axhline(0.2, color=INK, linewidth=1)
    write(axes, 0.4, 0.2, "empirical risk", "above left")
    for name, bound, colour, style in (
        ("kl", lambda d: seeger_kl(risk=0.2, **GIVEN).value, DATA, "-"),
        ("empirical Bernstein", lambda d: empirical_bernstein(risk=0.2, variance=d * d, **GIVEN).value, WRONG, "--"),
        (
            "unexpected Bernstein",
            lambda d: unexpected_bernstein(risk=0.2, second_moment=second(d), **GIVEN).value,
            BAND,
            "-.",
        ),
    ):
        axes.plot(deviation, curve(bound, deviation), color=colour, linestyle=style, linewidth=1.8, label=name)
    axes.set_xlim(0, 0.4)
    finish(
        axes,
        "Bernstein bounds fall with the spread of the losses; the kl bound does not see it",
        f"standard deviation of the losses {SETTING}",
        "bound on the true risk",
        key="upper left",
    )


def levels_between(verdict: Mapping[str, Any], axes: Any) -> None:
    """Losses 0, 1/2 and 1 of mean 0.2, as more and more of that mean comes from the middle."""
    share = np.linspace(0, 1, 81)  # of the mean
    frequencies = lambda t: (0.4 * t + 0.2 * (1 - t), 0.2 * (1 - t))  # noqa: E731  P(loss >= 1/2), P(loss = 1)
    axes.axhline(0.2, color=INK, linewidth=1)
    write(axes, 1, 0.2, "empirical risk", "above left")
    variance = lambda t: (0.1 * t + 0.2 * (1 - t) - 0.04) * GIVEN["n"] / (GIVEN["n"] - 1)  # noqa: E731
    for name, bound, colour, style in (
        ("kl", lambda t: seeger_kl(risk=0.2, **GIVEN).value, DATA, "-"),
        ("split-kl", lambda t: split_kl(frequencies=frequencies(t), levels=(0, 0.5, 1), **GIVEN).value, ALLOWED, "--"),
        (
            "empirical Bernstein",
            lambda t: empirical_bernstein(risk=0.2, variance=variance(t), **GIVEN).value,
            WRONG,
            "-.",
        ),
    ):
        axes.plot(share, curve(bound, share), color=colour, linestyle=style, linewidth=1.8, label=name)
    axes.set_xlim(0, 1)
    axes.set_ylim(0.19, 0.39)
    finish(
        axes,
        "Splitting a loss with few values into steps finds the little variance that it has",
        f"share of the mean that comes from losses of ½ {SETTING}",
        "bound on the true risk",
        key="upper right",
    )


def share_of_the_earlier_loss(verdict: Mapping[str, Any], axes: Any) -> None:
    """B_2 over gamma: pi_1 errs on .08 of the examples and pi_2 on .06, each alone on .03 and on .01."""
    gamma = np.linspace(0.02, 0.98, 49)

    def bounds(g: float, form: Any, kl: float) -> tuple[float, float]:
        step = RecursiveStep(g, (1 - 0.03, 0.06, 0.01), kl, 4000)
        found = recursive_pac_bayes(risk=0.08, kl=20.0, n=20000, delta=0.05, steps=[step], form=form)
        values = found.inputs["bounds"]
        return float(values[0]), float(values[1])

    first = bounds(0.5, "vector", 20.0)[0]
    axes.axhline(first, color=QUIET, linewidth=1.3, linestyle=":")
    write(axes, 0, first, "B₁, the bound of π₁", "below right")
    for name, form, kl, colour, style in (
        ("split-kl, 80 nats", "split", 80.0, WRONG, "-."),
        ("four frequencies, 80 nats", "vector", 80.0, DATA, "-"),
        ("four frequencies, 20 nats", "vector", 20.0, ALLOWED, "--"),
    ):
        value = curve(lambda g, form=form, kl=kl: bounds(g, form, kl)[1], gamma)
        axes.plot(gamma, value, color=colour, linestyle=style, linewidth=1.8, label=name)
    axes.set_xlim(0, 1)
    axes.set_ylim(0.08, 0.16)
    finish(
        axes,
        "Subtract a share γ of the earlier loss: B₂ is least between none of it and all",
        "γ (20000 examples, 4000 of them for the second step, δ = 0.05)",
        "B₂, bound on the risk of π₂",
        key="upper left",
        head="KL(π₂‖π₁)",
    )


FIGURES: Mapping[str, Figure] = {
    "pb.eb": bernstein_against_kl,
    "pb.split_kl": levels_between,
    "pb.rpb": share_of_the_earlier_loss,
}
