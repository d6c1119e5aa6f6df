"""Figures of distillation: the interval of K heads, and what finite width leaves of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ....numerics.wide_networks.heads import effective_heads, heads_interval, heads_needed, initial_head_correlation
from ...drawing import ALLOWED, BAND, DATA, INK, QUIET, Figure, finish, sizes, write


def interval_of_heads(verdict: Mapping[str, Any], axes: Any) -> None:
    """The exact 95% interval of the ensemble's variance, over the estimate."""
    heads = sizes(2, 1000)
    low, high = (np.array([float(heads_interval(1.0, heads=int(k))[side]) for k in heads]) for side in (0, 1))
    axes.fill_between(heads, low, high, color=DATA, alpha=0.18, linewidth=0)
    axes.plot(heads, low, color=DATA, linewidth=1.8)
    axes.plot(heads, high, color=DATA, linewidth=1.8)
    axes.axhline(1, color=INK, linewidth=1)
    for error in (0.5, 0.2, 0.1):
        k = heads_needed(error)
        axes.plot([k, k], [1, 4], color=ALLOWED, linewidth=1, linestyle=":")
        write(axes, k, 4.0, f"{k}: ±{100 * error:.0f}%", "above", ALLOWED)
    axes.set_ylim(0.1, 20)
    finish(
        axes,
        "K heads are K degrees of freedom: the 95% interval of the variance",
        "K, heads",
        "variance / estimate",
        log="xy",
    )


def useful_heads(verdict: Mapping[str, Any], axes: Any) -> None:
    """Independent heads that K heads on one trunk are worth, ReLU networks with two hidden layers at initialisation."""
    heads = sizes(1, 10_000)
    for width, colour in ((64, BAND), (256, ALLOWED), (1024, DATA)):
        correlation = initial_head_correlation(width=width, depth=2, trunks=2)
        axes.plot(heads, [effective_heads(int(k), correlation=correlation) for k in heads], color=colour, linewidth=1.8)
        write(axes, 1e4, effective_heads(10_000, correlation=correlation), f"width {width}", "above left", colour)
    axes.plot(heads, heads, color=QUIET, linewidth=1.3, linestyle="--")
    write(axes, 60, 60.0, "independent heads", "above left", QUIET)
    axes.set_ylim(1, 2000)
    finish(
        axes,
        "Heads share a trunk: beyond a fraction of its width they buy nothing",
        "K, heads",
        "independent heads that they are worth",
        log="xy",
    )


FIGURES: Mapping[str, Figure] = {"iw.rnd_heads_chi2": interval_of_heads, "iw.rnd_head_saturation": useful_heads}
