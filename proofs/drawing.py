"""What the figures of results share: the palette, which the report turns into the page's colours, and how axes are finished.

A figure is a function from the stored verdict to matplotlib Axes. It draws with public functions, so that it shows what is
shipped, and it is no part of what a verdict rests on: figures are laid over the results in `catalogue.py`, which no proof
imports. Nothing here imports matplotlib, because verification does not need it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, QUIET, ALLOWED, DATA, WRONG, BAND = "#22262b", "#7b828b", "#1b7f5c", "#1f5fa8", "#b3261e", "#a86a00"

Figure = Callable[[Mapping[str, Any], Any], None]


def sizes(low: int, high: int, count: int = 60) -> NDArray[np.int64]:
    """Whole numbers from `low` to `high`, evenly spread on a logarithmic axis."""
    return np.unique(np.round(np.geomspace(low, high, count)).astype(np.int64))


def curve(f: Callable[..., float], points: Iterable[Any]) -> NDArray[np.float64]:
    """f at every point; points come as Python numbers."""
    return np.array([f(x) for x in np.asarray(points).tolist()], dtype=np.float64)


def write(axes: Axes, x: float, y: float, words: str, at: str, colour: str = INK) -> None:
    """Words beside a point of the data, in the direction `at`: "above", "below", "left", "right" or two of them."""
    right, up = ("right" in at) - ("left" in at), ("above" in at) - ("below" in at)
    axes.annotate(
        words,
        (x, y),
        xytext=(6 * right, 4 * up),
        textcoords="offset points",
        ha=("right", "center", "left")[right + 1],
        va=("top", "center", "bottom")[up + 1],
        fontsize=9,
        color=colour,
        zorder=5,
    )


def finish(axes: Axes, title: str, x: str, y: str, *, log: str = "", key: Any = None, head: str | None = None) -> None:
    """Labels, one line that says what to see, axes logarithmic in the directions named by `log`, and a key at place `key`."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    for name, axis, set_scale in (("x", axes.xaxis, axes.set_xscale), ("y", axes.yaxis, axes.set_yscale)):
        if name in log:
            set_scale("log")
            axis.set_major_locator(LogLocator(numticks=8))
            axis.set_major_formatter(FuncFormatter(_power))
        axis.set_minor_locator(NullLocator())
    axes.set_title(title, loc="left", fontsize=10.5, color=INK)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=9)
    if key is not None:
        found = axes.legend(
            loc=key,
            fontsize=9,
            labelcolor=INK,
            frameon=False,
            handlelength=1.8,
            title=head,
            title_fontsize=9,
            alignment="left",
        )
        found.get_title().set_color(INK)


def _power(value: float, _: Any = None) -> str:
    """0.001 to 1000 written out, powers of ten beyond."""
    if value <= 0 or 1e-3 <= value < 1e4:
        return f"{value:g}"
    raised = str(round(math.log10(value))).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}"
