"""The dependency graph as inline SVG: one lane per area, foundations on the left, drawn from the results' own references."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from .entries import MARKS, Entry
from .markup import Html, el, page_name
from .parts import area_name

WIDTH, HEIGHT, GAP_X, GAP_Y = 206, 62, 60, 16
LANE_TOP, LANE_BOTTOM, MARGIN = 34, 18, 14
BEND = 26  # height kept free for an edge that passes a column

Slot = str | tuple[str, str, int]  # a result's key, or where the edge (from, to) passes the column of that depth


@dataclass(frozen=True)
class Layout:
    """Centres of all slots, the lanes as (area, top, bottom), and the size of the whole."""

    place: Mapping[Slot, tuple[float, float]]
    edges: tuple[tuple[Slot, ...], ...]
    lanes: tuple[tuple[str, float, float], ...]
    width: float
    height: float


def depths(uses: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Length of the longest chain of uses below each key."""
    found: dict[str, int] = {}

    def depth(key: str) -> int:
        if key not in found:
            found[key] = 1 + max((depth(used) for used in uses[key]), default=-1)
        return found[key]

    for key in uses:
        depth(key)
    return found


def layout(uses: Mapping[str, Sequence[str]], area: Mapping[str, str]) -> Layout:
    """Columns by depth, lanes by area; within a lane the order that keeps neighbours of the graph close.

    `uses` maps each key to the keys that it rests on (all of them keys of `uses` too). Results that neither use nor
    serve another fill the free places of their lane.
    """
    depth = depths(uses)
    edges: list[tuple[Slot, ...]] = []
    columns: dict[str, dict[int, list[Slot]]] = {name: {} for name in dict.fromkeys(area[key] for key in uses)}
    tied = {key for key, used in uses.items() if used} | {key for used in uses.values() for key in used}
    for key in uses:
        if key in tied:
            columns[area[key]].setdefault(depth[key], []).append(key)
        for used in uses[key]:
            bends: list[Slot] = [(used, key, d) for d in range(depth[used] + 1, depth[key])]
            for offset, bend in enumerate(bends):
                columns[area[key]].setdefault(depth[used] + 1 + offset, []).append(bend)
            edges.append((used, *bends, key))
    last = max(3, *depth.values()) if depth else 0
    for key in uses:
        if key not in tied:
            lane = columns[area[key]]
            shortest = min(range(last + 1), key=lambda d: (len(lane.get(d, ())), d))
            lane.setdefault(shortest, []).append(key)
    last = max((d for lane in columns.values() for d in lane), default=0)
    place, lanes, height = _stack(columns)
    for _ in range(4):
        for lane in columns.values():
            for column in lane.values():
                column.sort(key=lambda slot: _wish(slot, edges, place))
        place, lanes, height = _stack(columns)
    width = 2 * MARGIN + (last + 1) * (WIDTH + GAP_X) - GAP_X
    return Layout(place, tuple(edges), lanes, width, height)


def _wish(slot: Slot, edges: Sequence[tuple[Slot, ...]], place: Mapping[Slot, tuple[float, float]]) -> float:
    """Mean height of the neighbours; its own where it has none."""
    beside = []
    for edge in edges:
        if slot in edge:
            i = edge.index(slot)
            beside += [place[edge[j]][1] for j in (i - 1, i + 1) if 0 <= j < len(edge)]
    return fmean(beside) if beside else place[slot][1]


def _stack(
    columns: Mapping[str, Mapping[int, Sequence[Slot]]],
) -> tuple[dict[Slot, tuple[float, float]], tuple[tuple[str, float, float], ...], float]:
    place: dict[Slot, tuple[float, float]] = {}
    lanes = []
    top = 0.0
    for area, lane in columns.items():
        heights = {d: sum(_height(s) for s in column) + GAP_Y * (len(column) - 1) for d, column in lane.items()}
        tallest = max(heights.values(), default=0)
        for d, column in lane.items():
            y = top + LANE_TOP + (tallest - heights[d]) / 2
            for slot in column:
                place[slot] = (MARGIN + d * (WIDTH + GAP_X) + WIDTH / 2, y + _height(slot) / 2)
                y += _height(slot) + GAP_Y
        bottom = top + LANE_TOP + tallest + LANE_BOTTOM
        lanes.append((area, top, bottom))
        top = bottom + 10
    return place, tuple(lanes), top


def _height(slot: Slot) -> int:
    return HEIGHT if isinstance(slot, str) else BEND


def draw_graph(shown: Sequence[Entry], *, focus: str | None = None) -> Html:
    """The graph of the given results. Edges to results that are not among them are left out."""
    known = {entry.key: entry for entry in shown}
    uses = {key: [u.key for u in entry.result.uses if u.key in known] for key, entry in known.items()}
    plan = layout(uses, {key: entry.result.statement.area for key, entry in known.items()})
    parts: list[Html] = [_arrow()]
    for area, top, bottom in plan.lanes:
        parts.append(el("rect", x=1, y=top + 1, width=plan.width - 2, height=bottom - top - 2, rx=10, cls="lane"))
        parts.append(el("text", area_name(area), x=MARGIN, y=top + 21, cls="lane-name"))
    parts += [_edge([plan.place[slot] for slot in edge]) for edge in plan.edges]
    parts += [_node(entry, *plan.place[key], here=key == focus) for key, entry in known.items()]
    words = "; ".join(f"{key} uses {', '.join(used)}" for key, used in uses.items() if used) or "no result uses another"
    drawing = el(
        "svg",
        el("title", f"Dependency graph: {words}"),
        parts,
        viewBox=f"0 0 {plan.width:g} {plan.height:g}",
        style=f"width:{plan.width:g}px;min-width:{min(plan.width, 680):g}px",
        role="group",
        cls="graph",
    )
    return el("div", drawing, cls="scroll")


def _arrow() -> Html:
    tip = el("path", d="M0 0L8 4L0 8Z", cls="tip")
    marker = el(
        "marker",
        tip,
        id="arrow",
        viewBox="0 0 8 8",
        refX="7.5",
        refY="4",
        markerWidth="7",
        markerHeight="7",
        orient="auto",
    )
    return el("defs", marker)


def _edge(points: Sequence[tuple[float, float]]) -> Html:
    """A smooth curve from the right side of the first node to the left side of the last, level at every column."""
    x, y = points[0][0] + WIDTH / 2, points[0][1]
    data = [f"M{x:g} {y:g}"]
    for i, (centre, to_y) in enumerate(points[1:], start=1):
        to_x = centre - WIDTH / 2 - (2 if i == len(points) - 1 else 0)
        middle = (x + to_x) / 2
        data.append(f"C{middle:g} {y:g} {middle:g} {to_y:g} {to_x:g} {to_y:g}")
        x, y = centre + WIDTH / 2, to_y
        if i < len(points) - 1:
            data.append(f"L{x:g} {y:g}")
    return el("path", d="".join(data), cls="edge", marker_end="url(#arrow)")


def _node(entry: Entry, x: float, y: float, *, here: bool) -> Html:
    left, top = x - WIDTH / 2, y - HEIGHT / 2
    state = entry.evidence.replace(" ", "-")
    title = entry.result.statement.title
    lines = textwrap.wrap(title, 28)
    if len(lines) > 2:
        lines = [lines[0], textwrap.shorten(" ".join(lines[1:]), 28, placeholder="…")]
    drawn = [
        el("title", f"{entry.key}: {title}. Evidence: {entry.evidence}. Derivation: {entry.derivation_text}."),
        el("rect", x=f"{left:g}", y=f"{top:g}", width=WIDTH, height=HEIGHT, rx=8),
        el("text", _fit(entry.key), x=f"{left + 11:g}", y=f"{top + 20:g}", cls="key"),
        el("text", MARKS[entry.evidence], x=f"{left + WIDTH - 12:g}", y=f"{top + 20:g}", cls="mark"),
        [el("text", line, x=f"{left + 11:g}", y=f"{top + 37 + 14 * i:g}", cls="name") for i, line in enumerate(lines)],
    ]
    return el(
        "a", drawn, href=page_name(entry.key), cls=f"node is-{state} by-{entry.derivation}{' here' if here else ''}"
    )


def _fit(key: str) -> str:
    return key if len(key) <= 22 else key[:21] + "…"
