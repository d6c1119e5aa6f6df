"""What was measured at each width, and what is read off it: slopes with intervals, the penalty for heads, the table as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ...theory.errors import InvalidInput
from ..intervals import multiplier

QUANTITIES = {
    "rnd": "distillation: half the mean square over the heads",
    "brnd_shared": "Bayesian distillation, one direction for all heads: the mean square",
    "brnd_separate": "Bayesian distillation, a direction for each head: the mean square",
    "ensemble": "ensemble: variance with these labels",
    "ensemble_zeros": "ensemble: variance with labels 0",
    "label_dependence": "ensemble: variance with these labels less that with labels 0",
    "gap": "labels: root mean square of trained less linearised outputs, over that of what is learned",
}
_SIGNAL = 3.0  # standard errors below which a number has no slope


@dataclass(frozen=True)
class Estimate:
    """A mean over `replicates` independent draws with its standard error."""

    value: float
    standard_error: float
    replicates: int

    def half_width(self, alpha: float) -> float:
        """Of the two-sided interval of level 1 - alpha, by Student's law."""
        return multiplier(degrees=self.replicates - 1, alpha=alpha) * self.standard_error


@dataclass(frozen=True)
class FiniteWidthCell:
    """One quantity at one width, relative to its limit: bias of the linearised training (None where that has none by definition), the
    nonlinear correction (same draws), and their sum."""

    quantity: str
    heads: int
    width: int
    networks: int
    linearised: Estimate | None
    correction: Estimate
    total: Estimate


@dataclass(frozen=True)
class Slope:
    """d log|correction| / d log width with the half width of its interval, and the widths that carried no signal (|c| < 3 standard errors)."""

    value: float
    half_width: float
    dropped: tuple[int, ...] = ()


def estimate(rows: np.ndarray) -> Estimate:
    """Of independent rows (R,), at least two."""
    if rows.ndim != 1 or len(rows) < 2 or not np.isfinite(rows).all():
        raise InvalidInput("A mean with its standard error takes two finite rows or more.", "Measure more networks.")
    return Estimate(float(rows.mean()), float(rows.std(ddof=1) / math.sqrt(len(rows))), len(rows))


def slope(cells: Sequence[FiniteWidthCell], *, top: int = 3, alpha: float) -> Slope:
    """Weighted least squares of log|correction| on log width over the `top` largest widths; NaN with fewer than two that carry signal."""
    used = sorted(cells, key=lambda c: c.width)[-top:]
    kept = [c for c in used if abs(c.correction.value) > _SIGNAL * c.correction.standard_error]
    dropped = tuple(c.width for c in used if c not in kept)
    if len(kept) < 2 or len({c.correction.value > 0 for c in kept}) > 1:  # a change of sign has no power law
        return Slope(math.nan, math.inf, dropped)
    x = np.log([c.width for c in kept])
    y = np.log([abs(c.correction.value) for c in kept])
    weight = np.array([(c.correction.value / c.correction.standard_error) ** 2 for c in kept])
    centre = (weight * x).sum() / weight.sum()
    spread = (weight * (x - centre) ** 2).sum()
    # the weights are estimates: Student's law with the degrees of the one that rests on the fewest rows
    degrees = min(c.correction.replicates for c in kept) - 1
    half_width = multiplier(degrees=degrees, alpha=alpha) / math.sqrt(spread)
    return Slope(float((weight * (x - centre) * y).sum() / spread), half_width, dropped)


def local_slopes(cells: Sequence[FiniteWidthCell], *, alpha: float) -> list[Slope]:
    """The slope between each width and the next."""
    ordered = sorted(cells, key=lambda c: c.width)
    return [slope(pair, top=2, alpha=alpha) for pair in pairwise(ordered)]


def head_penalty(few: FiniteWidthCell, many: FiniteWidthCell) -> Estimate:
    """Correction with more heads less that with fewer, of independent draws at one width."""
    if (few.quantity, few.width) != (many.quantity, many.width) or few.heads >= many.heads:
        raise InvalidInput("The penalty for heads compares one quantity at one width, fewer heads first.")
    return Estimate(
        many.correction.value - few.correction.value,
        math.hypot(few.correction.standard_error, many.correction.standard_error),
        min(few.correction.replicates, many.correction.replicates),
    )


def render(cells: Sequence[FiniteWidthCell], *, alpha: float) -> str:
    """The table as text: a block for each quantity, four lines for each number of heads."""
    lines: list[str] = []
    for quantity in dict.fromkeys(c.quantity for c in cells):
        mine = [c for c in cells if c.quantity == quantity]
        widths = sorted({c.width for c in mine})
        lines += [
            "",
            QUANTITIES[quantity] + ("" if quantity == "gap" else ", relative to the limit"),
            _line("heads", "", [f"n = {n}" for n in widths], "slope, top 3"),
        ]
        fewest: dict[int, FiniteWidthCell] = {}
        for heads in sorted({c.heads for c in mine}):
            rows = {c.width: c for c in mine if c.heads == heads}
            lines += _heads(heads, [rows.get(n) for n in widths], fewest, alpha)
            fewest = fewest or rows
    note = f"Intervals: {100 * (1 - alpha):g} percent, over independent draws. Slopes: weighted, of log|nonlinear part| on log width."
    dropped = any(
        slope([c for c in cells if (c.quantity, c.heads) == k], alpha=alpha).dropped
        for k in {(c.quantity, c.heads) for c in cells}
    )
    return "\n".join(
        [*lines[1:], note + (" Widths within 3 standard errors of 0 are left out of slopes." if dropped else "")]
    )


def _heads(
    heads: int, cells: Sequence[FiniteWidthCell | None], fewest: Mapping[int, FiniteWidthCell], alpha: float
) -> list[str]:
    """The lines of one number of heads; `fewest`: cells of the smallest number, by width, once they are known."""
    known = [c for c in cells if c is not None]
    split = any(c.linearised is not None for c in known)
    lines = []
    if split:
        lines.append(
            _line(str(heads), "linearised, less 1", [_entry(c.linearised if c else None, alpha) for c in cells], "")
        )
    over = _slope(slope(known, alpha=alpha))
    lines.append(_line(str(heads), "nonlinear part", [_entry(c.correction if c else None, alpha) for c in cells], over))
    if len(known) == len(cells) > 1:
        lines.append(
            _line("", "  its slope from the left", ["", *(_slope(s) for s in local_slopes(known, alpha=alpha))], "")
        )
    if split:
        lines.append(_line("", "total, less 1", [_entry(c.total if c else None, alpha) for c in cells], ""))
    if fewest and all(c.width in fewest for c in known):
        penalties = [_entry(head_penalty(fewest[c.width], c) if c else None, alpha) for c in cells]
        few = min(c.heads for c in fewest.values())
        lines.append(_line("", f"  against {few} head" + "s" * (few > 1), penalties, ""))
    return lines


def _line(first: str, name: str, entries: Sequence[str], last: str) -> str:
    return (f"{first:>5}  {name:<26}" + "".join(f"{entry:>19}" for entry in entries) + f"{last:>17}").rstrip()


def _entry(found: Estimate | None, alpha: float) -> str:
    if found is None:
        return "-"
    return f"{found.value:+.4f} ± {found.half_width(alpha):.4f}"


def _slope(found: Slope) -> str:
    return f"{found.value:+.2f} ± {found.half_width:.2f}" if math.isfinite(found.value) else "-"
