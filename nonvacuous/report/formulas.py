"""LaTeX to inline SVG outlines through matplotlib's mathtext: no script, no font to load, and it takes the text's colour."""

from __future__ import annotations

import re

from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from .markup import Html, el

SIZE = 20.0  # units per em of the outlines
MARGIN = 1.0

# spellings that mathtext lacks, in those that it knows
SPELLINGS = (
    (re.compile(r"\^([-+*])"), r"^{\1}"),  # a sign, not an operation
    (re.compile(r"\\frac(?![A-Za-z])"), r"\\dfrac"),  # these are displays
    (re.compile(r"\\(le|ge|ne)(?![A-Za-z])"), r"\\\1q"),
    (re.compile(r"\\tfrac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\\(d?frac)\s*(\d)\s*(\d)"), r"\\\1{\2}{\3}"),
    (re.compile(r"\\!"), ""),  # too wide a step back in mathtext
    (re.compile(r"\\(lVert|rVert)(?![A-Za-z])"), r"\\Vert"),
)


def display(latex: str) -> Html:
    """A formula as a block. Parts that `\\qquad` separates may go to lines of their own."""
    parts = [part.strip() for part in re.split(r"\\qquad", latex) if part.strip()]
    return el("div", [inline(part) for part in parts], cls="formula")


def inline(latex: str) -> Html:
    """One formula as an image with the LaTeX as its text; plain code where mathtext cannot read it."""
    drawn = _outline(latex)
    if drawn is None:
        return el("code", latex, cls="latex")
    data, left, bottom, width, height = drawn
    style = f"width:{width / SIZE:.3f}em;height:{height / SIZE:.3f}em;vertical-align:{bottom / SIZE:.3f}em"
    return el(
        "svg",
        el("title", latex),
        el("path", d=data),
        cls="math",
        role="img",
        viewBox=f"{left:.2f} {-bottom - height:.2f} {width:.2f} {height:.2f}",
        style=style,
    )


def _outline(latex: str) -> tuple[str, float, float, float, float] | None:
    """SVG path data with y downwards, and the box (left, bottom, width, height) with y upwards."""
    for pattern, spelling in SPELLINGS:
        latex = pattern.sub(spelling, latex)
    if "$" in latex or not latex.strip():
        return None
    try:
        path = TextPath((0, 0), f"${latex}$", size=SIZE, prop=FontProperties(math_fontfamily="cm"))
    except (ValueError, RuntimeError):
        return None
    if not len(path.vertices):
        return None
    used = path.vertices[path.codes != Path.CLOSEPOLY]  # control points bound the curves
    (left, bottom), (right, top) = used.min(axis=0) - MARGIN, used.max(axis=0) + MARGIN
    return _path_data(path), left, bottom, right - left, top - bottom


def _path_data(path: Path) -> str:
    letters = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C"}
    parts = []
    for vertices, code in path.iter_segments(simplify=False):
        if code == Path.CLOSEPOLY:
            parts.append("Z")
        else:
            numbers = " ".join(f"{x:.2f} {-y:.2f}" for x, y in vertices.reshape(-1, 2))
            parts.append(letters[code] + numbers)
    return "".join(parts)
