"""How far a deviation lies from what is allowed, as a small drawing for a table cell: logarithmic, with a line at 1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .markup import Html, el, short

LENGTH, HEIGHT, EDGE = 200, 20, 9
LOW, HIGH = 1e-3, 1e18  # what lies beyond is drawn at the edge, as an arrow


def scale(check: Mapping[str, Any]) -> float:
    """The right end of the strips of one check: its largest finite deviation within `HIGH`, at least 100."""
    found = [float(check["statistic"]), *(float(c["statistic"]) for c in check["controls"])]
    return min(HIGH, 10 * max([10.0, *(s for s in found if math.isfinite(s))]))


def position(statistic: float, right: float) -> float:
    """Share of the strip's length, from 0 to 1, at which a statistic lies."""
    if not statistic > LOW:
        return 1.0 if math.isnan(statistic) else 0.0
    return min(1.0, math.log(statistic / LOW) / math.log(right / LOW))


def strip(statistic: Any, right: float, *, good: bool) -> Html:
    """The drawing, with the number beside it."""
    value = float(statistic)
    start, x = (EDGE + (LENGTH - 2 * EDGE) * position(at, right) for at in (1.0, value))
    y = HEIGHT / 2
    if value > right or math.isnan(value):
        mark = el("path", d=f"M{x - 3:.1f} {y - 5:g}L{x + 6:.1f} {y:g}L{x - 3:.1f} {y + 5:g}Z")
    elif value < LOW:
        mark = el("path", d=f"M{x + 3:.1f} {y - 5:g}L{x - 6:.1f} {y:g}L{x + 3:.1f} {y + 5:g}Z")
    elif good:
        mark = el("circle", cx=f"{x:.1f}", cy=f"{y:g}", r=4.5)
    else:
        mark = el("path", d=f"M{x - 4:.1f} {y - 4:g}l8 8m-8 0l8 -8", cls="cross")
    drawing = el(
        "svg",
        el("rect", x=0, y=0, width=f"{start:.1f}", height=HEIGHT, cls="allowed"),
        el("line", x1=f"{start:.1f}", x2=f"{start:.1f}", y1=0, y2=HEIGHT, cls="threshold"),
        el("line", x1=f"{start:.1f}", x2=f"{x:.1f}", y1=f"{y:g}", y2=f"{y:g}", cls="reach"),
        mark,
        viewBox=f"0 0 {LENGTH} {HEIGHT}",
        aria_hidden="true",
        cls=f"strip {'fine' if good else 'wrong'}",
    )
    return el("span", drawing, el("span", short(value), cls="value"), cls="strip-cell")


def rows(check: Mapping[str, Any]) -> Sequence[tuple[Mapping[str, Any] | None, Html]]:
    """The strip of the check itself (None) and those of its controls, on one scale."""
    right = scale(check)
    own = strip(check["statistic"], right, good=check["verdict"] != "refuted")
    return [
        (None, own),
        *((c, strip(c["statistic"], right, good=c["verdict"] == "refuted")) for c in check["controls"]),
    ]
