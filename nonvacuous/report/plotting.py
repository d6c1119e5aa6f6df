"""What the figures of the claims share: number labels, the band of what is allowed, dots that differ in shape as well as colour."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from ..proofs.drawing import ALLOWED, DATA, INK, QUIET, WRONG
from .markup import short, superscript


def numbers(check: Mapping[str, Any], name: str) -> NDArray[np.float64]:
    """One plotted column of a check of a verdict."""
    return np.array([float(x) for x in check["series"].get(name, ())], dtype=np.float64)


def number(check: Mapping[str, Any], name: str) -> float:
    """One plotted number of a check of a verdict."""
    return float(check["series"][name])


def plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    axes.tick_params(colors=INK, labelsize=9)


def band(axes: Axes, ratio: NDArray[np.float64]) -> None:
    """The region of what is allowed, on an axis of ratios that becomes logarithmic beyond it."""
    axes.axhspan(-1, 1, color=ALLOWED, alpha=0.12, linewidth=0)
    axes.axhline(0, color=QUIET, linewidth=0.8)
    for edge in (-1, 1):
        axes.axhline(edge, color=ALLOWED, linewidth=1, linestyle="--")
    finite = np.abs(ratio[np.isfinite(ratio)])
    largest = float(finite.max()) if finite.size else 0.0
    if largest > 3:
        axes.set_yscale("symlog", linthresh=1)
        axes.yaxis.set_major_formatter(FuncFormatter(power))
        decades = max(1, math.ceil(math.log10(largest) / 4))
        ticks = [10.0**k for k in range(0, math.ceil(math.log10(largest)) + 1, decades)]
        axes.yaxis.set_major_locator(FixedLocator([*(-t for t in ticks), 0.0, *ticks]))
        axes.set_ylim(-2 * largest, 2 * largest)
    else:
        axes.set_ylim(-max(1.25, 1.1 * largest), max(1.25, 1.1 * largest))
    axes.annotate(
        "allowed",
        (1, 1),
        xycoords=("axes fraction", "data"),
        xytext=(-4, -4),
        textcoords="offset points",
        color=ALLOWED,
        ha="right",
        va="top",
        fontsize=9,
    )


def power(value: float, _: Any = None) -> str:
    if value == 0:
        return "0"
    exponent = math.log10(abs(value))
    if abs(exponent - round(exponent)) > 1e-9:
        return short(value)
    sign = "−" if value < 0 else ""
    return f"{sign}{10 ** round(exponent):g}" if -2 < exponent < 3 else f"{sign}10{superscript(round(exponent))}"


def tick(value: float, _: Any = None) -> str:
    """A label of a linear axis: 0.0005 below 0.001, so that neighbours are written alike."""
    return f"{value:.4g}".replace("-", "−") if value == 0 or 1e-4 <= abs(value) < 1e5 else short(value)


def dots(
    axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], wrong: NDArray[np.bool_], size: float = 14
) -> None:
    """Values within and outside what is allowed differ in colour and in shape."""
    axes.scatter(x[~wrong], y[~wrong], s=size, color=DATA, alpha=0.75, linewidth=0, zorder=3)
    axes.scatter(x[wrong], y[wrong], s=size + 12, color=WRONG, marker="x", linewidth=1.2, zorder=4)


def wide_range(axes: Axes, values: NDArray[np.float64]) -> None:
    """An axis that shows the small values too where a few are a thousand times larger."""
    finite = values[np.isfinite(values)]
    size = np.abs(finite[finite != 0])
    axes.yaxis.set_major_formatter(FuncFormatter(tick))
    if size.size and size.max() > 1e3 * np.median(size):
        low, high = math.floor(math.log10(np.median(size))), math.ceil(math.log10(size.max()))
        axes.set_yscale("symlog", linthresh=10.0**low)
        powers = range(high, low - 1, -max(1, math.ceil((high - low) / 4)))
        signs = [sign for sign in (-1, 1) if (finite * sign > 0).any()]
        axes.yaxis.set_major_locator(FixedLocator(sorted([0.0, *(s * 10.0**k for s in signs for k in powers)])))
        axes.yaxis.set_major_formatter(FuncFormatter(power))
        axes.set_ylim(
            -3 * 10.0**high if -1 in signs else -(10.0**low) / 2, 3 * 10.0**high if 1 in signs else 10.0**low / 2
        )
