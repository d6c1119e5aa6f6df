"""Figure of what finite width does: the nonlinear part against the width, for every number of heads, and what labels do to an ensemble."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ....numerics.wide_networks.finite_width_cells import Estimate, FiniteWidthCell, slope
from ...drawing import ALLOWED, BAND, DATA, INK, QUIET, Figure, finish
from .recorded import CORRECTIONS

STYLES = {
    ("rnd", 1): (DATA, "-"),
    ("rnd", 4): (ALLOWED, "-"),
    ("rnd", 16): (BAND, "-"),
    ("label_dependence", 1): (INK, "--"),
}
NAMES = {"rnd": "distillation, {} head{}", "label_dependence": "ensemble: labels less zeros"}


def nonlinear_part(verdict: Mapping[str, Any], axes: Any) -> None:
    """The recorded table of the standard budget: |nonlinear part| with 95 percent intervals, and slopes over the three largest widths."""
    for (quantity, heads), row in CORRECTIONS.items():
        widths = np.array([entry[0] for entry in row], dtype=float)
        values, errors = (np.array([entry[i] for entry in row]) for i in (1, 2))
        cells = [
            FiniteWidthCell(quantity, heads, int(n), 0, None, Estimate(v, e, 1000), Estimate(v, e, 1000))
            for n, v, e in row
        ]
        found = slope(cells, alpha=0.05)
        colour, style = STYLES[quantity, heads]
        name = NAMES[quantity].format(heads, "s" * (heads > 1))
        label = f"{name}: slope {found.value:.2f} ± {found.half_width:.2f}"
        axes.errorbar(
            widths,
            np.abs(values),
            yerr=1.96 * errors,
            color=colour,
            linestyle=style,
            linewidth=1.6,
            capsize=2.5,
            label=label,
        )
        axes.plot(widths, np.abs(values), color=colour, linestyle="none", marker="o", markersize=4)
    guide = np.geomspace(32, 2048, 5)
    axes.plot(guide, 0.03 * 32 / guide, color=QUIET, linewidth=1, linestyle=":", label="like 1/n")
    axes.set_xlim(26, 2500)
    axes.set_ylim(1e-4, 1.0)
    finish(
        axes,
        "A recorded table: heads and labels move trained variances off the limit",
        "width n",
        "|nonlinear part| / limit",
        log="xy",
        key="lower left",
    )
    axes.set_xticks([32, 128, 512, 2048], ["32", "128", "512", "2048"])


FIGURES: Mapping[str, Figure] = {"iw.rnd_finite_width": nonlinear_part}
