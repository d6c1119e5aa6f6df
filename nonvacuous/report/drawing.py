"""From a figure function to an SVG inside the page: the same bytes for the same input, in the page's fonts and colours."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..proofs import drawing as palette
from .markup import Html, el

# the figures' own colours become the page's, which know about dark backgrounds
VARIABLES = {
    palette.INK: "var(--ink)",
    palette.QUIET: "var(--quiet)",
    palette.ALLOWED: "var(--good)",
    palette.DATA: "var(--accent)",
    palette.WRONG: "var(--bad)",
    palette.BAND: "var(--warn)",
    "#000000": "var(--ink)",
}
SETTINGS: Any = {
    "svg.hashsalt": "nonvacuous",
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],
    "axes.edgecolor": palette.QUIET,
    "axes.labelcolor": palette.INK,
    "axes.labelsize": 9.5,
    "axes.linewidth": 0.8,
    "axes.titley": 1.02,  # a fixed place: finding a free one costs as much as the drawing
}


def svg(
    draw: Callable[[Any, Axes], None],
    data: Any,
    *,
    name: str,
    label: str,
    width: float = 5.6,
    height: float = 2.9,
    margins: tuple[float, float, float] = (1.05, 0.5, 0.3),
) -> Html:
    """Draw `data` and return inline SVG. `name` makes ids unique within the page, `label` is read out by screen readers.

    Sizes are in inches; `margins` are those on the left, below and above, given because finding them means drawing twice.
    """
    left, below, above = margins
    box = (left / width, below / height, 1 - (left + 0.22) / width, 1 - (below + above) / height)
    stream = io.StringIO()
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(width, height))
        draw(data, figure.add_axes(box))
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    return el("figure", _adapt(stream.getvalue(), name), cls="plot", role="img", aria_label=label)


def _adapt(source: str, name: str) -> Html:
    source = source[source.index("<svg") :]
    source = re.sub(r"\s*<metadata>.*?</metadata>", "", source, flags=re.DOTALL)
    source = re.sub(r"\s*<defs>\s*<style.*?</style>\s*</defs>", "", source, count=1, flags=re.DOTALL)
    source = re.sub(r'<svg[^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', source, count=1)
    source = re.sub(r"<!--.*?-->\s*", "", source, flags=re.DOTALL)
    source = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--sans)", source)
    source = re.sub(r'\bid="', f'id="{name}-', source)
    source = re.sub(r"url\(#", f"url(#{name}-", source)
    source = re.sub(r'xlink:href="#', f'href="#{name}-', source)
    for colour, variable in VARIABLES.items():
        source = source.replace(colour, variable)
    return Html(re.sub(r"\n\s*", "\n", source))
