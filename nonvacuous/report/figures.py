"""One default figure for every claim, and one for its controls: functions from a stored check to matplotlib Axes.

They draw on the Axes they are given and touch no global state, so they work in a notebook, in the report and in tests.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from ..proofs.drawing import ALLOWED, DATA, INK, QUIET, WRONG
from .limit_figure import draw_limit
from .markup import short
from .plotting import band, dots, number, numbers, plain, power, wide_range

LEFT, RIGHT = 1e-6, 1e18  # what lies beyond is drawn at the edge, with an arrow and its value


Check = Mapping[str, Any]


def draw_check(check: Check, axes: Axes) -> None:
    """The default figure of one check of a verdict. Raises `KeyError` for a claim that has none (see `FIGURES`)."""
    FIGURES[check["claim"]](check, axes)


def _formula(check: Check, axes: Axes) -> None:
    """Signed errors at random settings; in units of the derived width where the verdict keeps the widths."""
    error, allowed = numbers(check, "error"), numbers(check, "allowed")
    index = np.arange(1.0, len(error) + 1)
    if len(allowed) == len(error):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(allowed > 0, error / allowed, np.where(error == 0, 0.0, np.inf * np.sign(error)))
        band(axes, ratio)
        dots(axes, index, ratio, ~(np.abs(ratio) <= 1))
        axes.set_ylabel("error / derived width")
    else:
        dots(axes, index, error, np.isnan(error))
        axes.axhline(0, color=QUIET, linewidth=0.8)
        wide_range(axes, error)
        axes.set_ylabel("relative error")
        share = short(check["statistic"])
        axes.set_title(f"largest: {share} of the derived width", fontsize=9, color=INK, loc="right")
    axes.set_xlabel("random settings, in the order drawn")
    plain(axes)


def _agreement(check: Check, axes: Axes) -> None:
    """Difference of the two routes in units of what is allowed, against the predicted value."""
    observed, predicted, bound = (numbers(check, name) for name in ("observed", "predicted", "bound"))
    difference = observed - predicted
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(bound > 0, difference / bound, np.where(difference == 0, 0.0, np.inf * np.sign(difference)))
    band(axes, ratio)
    dots(axes, predicted, ratio, ~(np.abs(ratio) <= 1), size=26)
    axes.set_xlabel("predicted value")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: short(v) if v else "0"))
    axes.locator_params(axis="x", nbins=6)
    axes.set_ylabel("(observed − predicted) / bound")
    plain(axes)


def _high_probability(check: Check, axes: Axes) -> None:
    """Failure probability against delta and moment against its constant, both as shares of what is allowed."""
    rows = [
        (name, number(check, value), number(check, limit), sign)
        for name, value, limit, sign in (
            ("failure probability", "failure", "delta", "δ"),
            ("moment", "moment", "constant", "C"),
        )
        if value in check["series"]
    ]
    labels = [f"{name}\n{short(value)} against {sign} = {short(limit)}" for name, value, limit, sign in rows]
    _shares(
        axes,
        labels,
        [value / limit for _, value, limit, _ in rows],
        [check["verdict"] != "refuted" or value <= limit for _, value, limit, _ in rows],
    )
    axes.set_xlabel("share of what is allowed (log scale)")


def _shares(axes: Axes, labels: list[str], ratios: list[float], fine: list[bool]) -> None:
    """Horizontal lollipops that start at the limit 1: left of it is allowed."""
    shown = [min(max(r, LEFT), RIGHT) if not math.isnan(r) else RIGHT for r in ratios]
    low, high = min(0.05, min(shown) / 4), max(20.0, max(shown) * 60)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(len(labels) - 0.45, -0.55)
    axes.axvspan(low, 1, color=ALLOWED, alpha=0.12, linewidth=0)
    axes.axvline(1, color=ALLOWED, linewidth=1, linestyle="--")
    for row, (ratio, x, good) in enumerate(zip(ratios, shown, fine, strict=True)):
        colour = DATA if good else WRONG
        axes.plot([1, x], [row, row], color=colour, linewidth=2, solid_capstyle="butt")
        marker = ">" if x == RIGHT else "<" if x == LEFT else "o" if good else "X"
        axes.plot([x], [row], marker=marker, color=colour, markersize=7, linestyle="none")
        left = x < 1
        centred = left and math.log(x / low) > 0.15 * math.log(high / low)  # near the edge it would run into the labels
        axes.annotate(
            short(ratio),
            (x, row),
            xytext=(0 if centred else 8, 5 if left else 0),
            textcoords="offset points",
            ha="center" if centred else "left",
            va="bottom" if left else "center",
            fontsize=9,
            color=INK,
        )
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    axes.xaxis.set_major_locator(LogLocator(numticks=6))
    axes.xaxis.set_major_formatter(FuncFormatter(power))
    axes.tick_params(axis="y", length=0)
    plain(axes)


def _identity(check: Check, axes: Axes) -> None:
    """Left minus right at each point; what an enclosure excludes cannot be seen from its middle, so the verdict tells."""
    _slacks(axes, numbers(check, "difference"), check["verdict"] == "refuted", "left − right")


def _inequality(check: Check, axes: Axes) -> None:
    """Left minus right at each point; below 0 it is violated."""
    slack = numbers(check, "slack")
    _slacks(axes, slack, check["verdict"] == "refuted", "slack, left − right")
    if (slack > 0).all() and slack.max() > 100 * slack.min():
        axes.set_yscale("log")
        axes.set_ylim(slack.min() / 5, slack.max() * 5)
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.yaxis.set_major_formatter(FuncFormatter(power))
        axes.yaxis.set_minor_locator(NullLocator())
    _allowed_above_zero(axes)


def _allowed_above_zero(axes: Axes) -> None:
    """Shade what is allowed, up to the edge: a fixed large number overflows where the axis is short."""
    low, high = axes.get_ylim()
    axes.axhspan(max(low, 0.0), high, color=ALLOWED, alpha=0.12, linewidth=0)
    axes.set_ylim(low, high)


def _ordering(check: Check, axes: Axes) -> None:
    """Mean paired difference with its interval for each claimed order; below 0 the order is the other way round."""
    mean, half = numbers(check, "mean"), numbers(check, "half")
    at = np.arange(1.0, len(mean) + 1)
    axes.axhline(0, color=ALLOWED, linewidth=1, linestyle="--")
    axes.errorbar(at, mean, yerr=half, fmt="none", ecolor=INK, elinewidth=1.2, capsize=3)
    dots(axes, at, mean, mean + half < 0, size=26)
    ends = np.concatenate([mean - half, mean + half, [0.0]])
    room = 0.12 * (ends.max() - ends.min() or 1.0)
    axes.set_ylim(ends.min() - room, ends.max() + room)
    _allowed_above_zero(axes)
    axes.set_xlim(0.4, len(mean) + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("claimed orders")
    axes.set_ylabel("mean paired difference")
    plain(axes)


def _equal_in_law(check: Check, axes: Axes) -> None:
    """Quantiles of the draws against those of the stated law, one colour for each column; equal laws follow the diagonal."""
    series = check["series"]
    observed = np.atleast_2d(np.asarray(series.get("observed", ()), dtype=np.float64))
    stated = np.atleast_2d(np.asarray(series.get("stated", ()), dtype=np.float64))
    wrong = np.full(observed.shape[1], check["verdict"] == "refuted")
    ends = (
        [np.nanmin([observed.min(), stated.min()]), np.nanmax([observed.max(), stated.max()])] if wrong.size else [0, 1]
    )
    axes.plot(ends, ends, color=ALLOWED, linewidth=1, linestyle="--")
    for row, values in enumerate(observed if wrong.size else ()):
        dots(axes, stated[min(row, len(stated) - 1)], values, wrong)
    axes.set_xlabel("quantiles of the stated law")
    axes.set_ylabel("quantiles of the draws")
    p = [float(value) for value in series.get("p", ())]
    if p:
        axes.set_title(f"least corrected p-value: {short(min(p))}", fontsize=9, color=INK, loc="right")
    plain(axes)


def _slacks(axes: Axes, values: NDArray[np.float64], refuted: bool, label: str) -> None:
    wrong = np.full(values.shape, False) if not refuted else (values < 0 if label.startswith("slack") else values != 0)
    axes.axhline(0, color=ALLOWED, linewidth=1, linestyle="--")
    dots(axes, np.arange(1.0, len(values) + 1), values, wrong, size=26)
    finite = np.abs(values[np.isfinite(values)])
    edge = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    axes.set_ylim(-1.15 * edge if (values < 0).any() or not label.startswith("slack") else -0.15 * edge, 1.15 * edge)
    wide_range(axes, values)
    edge = 0.4 + 0.02 * len(values)
    axes.set_xlim(1 - edge, len(values) + edge)
    axes.set_xlabel("points")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_ylabel(label)
    plain(axes)


def draw_controls(check: Check, axes: Axes) -> None:
    """How far the check and each of its controls miss, in units of what is allowed: the controls must lie outside."""
    rows = [("the claim itself", check["statistic"], check["verdict"] != "refuted")]
    rows += [(c["name"], c["statistic"], c["verdict"] == "refuted") for c in check["controls"]]
    _shares(
        axes,
        [textwrap.fill(name, 32) for name, _, _ in rows],
        [float(s) for _, s, _ in rows],
        [good for _, _, good in rows],
    )
    axes.set_xlabel("deviation / what is allowed (log scale)")


FIGURES: dict[str, Callable[[Check, Axes], None]] = {
    "Formula": _formula,
    "Agreement": _agreement,
    "HighProbabilityBound": _high_probability,
    "LimitWithRate": draw_limit,
    "Identity": _identity,
    "Inequality": _inequality,
    "Ordering": _ordering,
    "EqualInLaw": _equal_in_law,
}
