"""Figures of the dynamics: how fast a step size converges, and where it stops doing so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ....numerics.wide_networks.step_sizes import best_step_size_sum_loss, largest_step_size_sum_loss
from ...drawing import ALLOWED, BAND, DATA, INK, WRONG, Figure, finish, write

SPECTRUM = np.diag([0.05, 0.3, 1.0])


def slowest_mode(verdict: Mapping[str, Any], axes: Any) -> None:
    """Factor of the slowest mode in one step, plain descent and heavy ball: moduli of the roots of z^2 - (1 + b - s l) z + b."""
    limit = largest_step_size_sum_loss(SPECTRUM)
    step = np.linspace(0.02, 4, 400)
    for momentum, colour, words in (
        (0.0, DATA, "descent"),
        (0.4, BAND, "heavy ball, momentum 0.4"),
        (0.8, ALLOWED, "momentum 0.8"),
    ):
        middle = 1 + momentum - np.outer(step, np.diag(SPECTRUM))
        root = np.sqrt(middle.astype(complex) ** 2 / 4 - momentum)
        factor = np.maximum(np.abs(middle / 2 + root), np.abs(middle / 2 - root)).max(axis=1)
        axes.plot(step, factor, color=colour, linewidth=1.8, label=words)
        end = largest_step_size_sum_loss(SPECTRUM, momentum=momentum)
        axes.plot([end], [1], "o", color=colour, markersize=5, zorder=4)
    best = best_step_size_sum_loss(SPECTRUM)
    axes.axhline(1, color=WRONG, linewidth=1)
    write(axes, 0.05, 1.0, "diverges above", "above right", WRONG)
    axes.plot([best, best], [0.6, 0.9048], color=INK, linewidth=1, linestyle=":")
    write(axes, float(best), 0.62, "2/(λmax + λmin)", "right")
    axes.set_ylim(0.6, 1.12)
    axes.set_xlim(0, 4)
    finish(
        axes,
        f"Stable below 2 (1 + momentum)/λmax: {limit:g} for plain descent",
        "step size (sum loss); λ = 0.05, 0.3, 1",
        "factor of the slowest mode in a step",
        key="lower left",
    )  # fmt: skip


FIGURES: Mapping[str, Figure] = {"iw.max_lr": slowest_mode}
