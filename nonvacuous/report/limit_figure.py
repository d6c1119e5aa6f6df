"""The default figure of a limit: discrepancy against size with the fitted end point, and the rate where one is claimed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator
from numpy.typing import NDArray

from ..proofs.drawing import ALLOWED, BAND, DATA, INK, WRONG
from .markup import short
from .plotting import number, numbers, plain, power

Check = Mapping[str, Any]


def draw_limit(check: Check, axes: Axes) -> None:
    """Discrepancy against size with the fitted end point; where a rate is claimed, the correction on log-log axes beside it."""
    if "correction" not in check["series"]:
        _end_point(check, axes)
        return
    axes.set_axis_off()
    _end_point(check, axes.inset_axes((0, 0, 0.42, 1)))
    _rate(check, axes.inset_axes((0.6, 0, 0.4, 1)))


def _sizes(axes: Axes, size: NDArray[np.float64], *, infinity: float | None = None) -> None:
    axes.set_xscale("log")
    shown = size if len(size) <= 6 else size[:: math.ceil(len(size) / 6)]
    ticks, labels = list(shown), [f"{s:g}" for s in shown]
    if infinity is not None:
        ticks, labels = [*ticks, infinity], [*labels, "∞"]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.set_xticks(ticks, labels)
    axes.set_xlabel("size")


def _end_point(check: Check, axes: Axes) -> None:
    size, bias, error = (numbers(check, name) for name in ("size", "discrepancy", "error"))
    end, half = number(check, "end"), number(check, "end_half")
    beyond = float(size[-1] * (size[-1] / size[0]) ** 0.3)
    axes.axhline(0, color=ALLOWED, linewidth=1, linestyle="--")
    axes.errorbar(size, bias, yerr=error, color=DATA, marker="o", markersize=5, linewidth=1, elinewidth=1.2, capsize=3)
    good = abs(end) <= half
    axes.errorbar(
        [beyond],
        [end],
        yerr=[half],
        color=ALLOWED if good else WRONG,
        marker="D" if good else "X",
        markersize=6,
        elinewidth=2,
        capsize=4,
    )
    _sizes(axes, size, infinity=beyond)
    axes.set_ylabel("discrepancy")
    axes.set_title(f"end point {short(end, 2)} ± {short(half, 2)}", fontsize=9, color=INK)
    plain(axes)


def _rate(check: Check, axes: Axes) -> None:
    size, value, error = (numbers(check, name) for name in ("size", "correction", "correction_error"))
    slope, half = number(check, "slope"), number(check, "slope_half")
    low, high = (float(x) for x in check["series"]["band"])
    height = np.abs(value)
    seen = height > 0
    axes.set_yscale("log")
    top = np.flatnonzero(seen)[-3:]  # the line and the wedge only need a place: the middle of the largest sizes
    if top.size and math.isfinite(slope):
        x0, y0 = np.exp(np.log(size[top]).mean()), np.exp(np.log(height[top]).mean())
        x = np.array([size[top[0]] * 0.8, x0, size[-1] * 1.25])
        first, second = (y0 * (x / x0) ** rate for rate in (low, high))
        axes.fill_between(x, np.minimum(first, second), np.maximum(first, second), color=BAND, alpha=0.25, linewidth=0)
        axes.plot(x, y0 * (x / x0) ** slope, color=INK, linewidth=1.4)
    lower = np.minimum(error[seen], 0.9 * height[seen])
    axes.errorbar(
        size[seen],
        height[seen],
        yerr=[lower, error[seen]],
        color=DATA,
        marker="o",
        markersize=5,
        linestyle="none",
        elinewidth=1.2,
        capsize=3,
    )
    _sizes(axes, size)
    if seen.any() and height[seen].max() < 100 * height[seen].min():
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(power))
    axes.set_ylabel("|correction|")
    fitted = f"slope {short(slope, 2)} ± {short(half, 2)}" if math.isfinite(slope) else "no slope could be fitted"
    axes.set_title(f"{fitted}\ndeclared {short(low, 2)} to {short(high, 2)} (shaded)", fontsize=9, color=INK)
    plain(axes)
