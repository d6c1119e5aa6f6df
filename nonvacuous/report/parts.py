"""Pieces that several pages share: badges, tables, definition lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..theory.bibliography import find
from .entries import MARKS, Entry
from .markup import Html, el, short

DERIVATION_MARKS = {"replayed": "✓", "cited": "❝", "failed": "✗", "missing": "–", "unknown": "·"}


AREA_NAMES = {"pac_bayes": "PAC-Bayes"}


def area_name(area: str) -> str:
    """`implicit_bias` as a heading."""
    return AREA_NAMES.get(area, area.replace("_", " ").capitalize())


def evidence_badge(evidence: str) -> Html:
    """What an experiment or enumeration says."""
    return el(
        "span",
        el("span", MARKS[evidence], cls="sign", aria_hidden="true"),
        evidence,
        cls=f"badge is-{evidence.replace(' ', '-')}",
    )


def derivation_badge(entry: Entry, *, full: bool = False) -> Html:
    """What became of the derivation; `full` also names the axioms."""
    words = entry.derivation_text if full or entry.derivation != "replayed" else "replayed"
    sign = el("span", DERIVATION_MARKS[entry.derivation], cls="sign", aria_hidden="true")
    return el("span", sign, words, cls=f"badge derivation by-{entry.derivation}", title=entry.derivation_text)


def control_badge(verdict: str) -> Html:
    """Of a control, being refuted is the good news."""
    if verdict == "refuted":
        return el(
            "span", el("span", "✓", cls="sign", aria_hidden="true"), "refuted, as it must be", cls="badge is-supported"
        )
    words = "survived" if verdict == "supported" else f"survived: {verdict}"
    return el("span", el("span", "✗", cls="sign", aria_hidden="true"), words, cls="badge is-refuted")


def controls_share(entry: Entry) -> Html:
    """ "7 of 7", loudly when it is fewer."""
    caught, total = entry.controls
    if entry.verdict is None:
        return el("span", f"{total} planned", cls="quiet")
    return share(caught, total)


def share(caught: int, total: int) -> Html:
    """So many of so many, loudly when some are missing."""
    return el("span", f"{caught} of {total}", cls="share" if caught == total else "share short")


def table(
    head: Sequence[Any], rows: Iterable[Sequence[Any] | str], *, cls: str = "", caption: str | None = None
) -> Html:
    """A table that scrolls by itself where it is too wide. A heading "#name" is set flush right, as numbers are; a row
    that is a string heads the rows that follow it."""
    right = [isinstance(h, str) and h.startswith("#") for h in head]
    names = [h[1:] if flush else h for h, flush in zip(head, right, strict=True)]
    header = el(
        "tr",
        [
            el("th", name, scope="col", cls="number" if flush else None)
            for name, flush in zip(names, right, strict=True)
        ],
    )
    body = [_row(row, right, names) for row in rows]
    title = el("caption", caption) if caption else None
    return el("div", el("table", title, el("thead", header), el("tbody", body), cls=cls or None), cls="scroll")


def _row(row: Sequence[Any] | str, right: Sequence[bool], names: Sequence[Any]) -> Html:
    if isinstance(row, str):
        return el("tr", el("th", row, scope="rowgroup", colspan=len(names)), cls="group")
    cells = zip(row, right, names, strict=True)
    return el("tr", [el("td", cell, cls="number" if flush else None, data_label=name) for cell, flush, name in cells])


def facts(pairs: Iterable[tuple[str, Any]], *, cls: str = "facts") -> Html:
    """A definition list; pairs without a value are left out."""
    return el(
        "dl",
        [el("div", el("dt", name), el("dd", value)) for name, value in pairs if value not in (None, "", [])],
        cls=cls,
    )


def citation(reference: str) -> str:
    """A reference as one line of text, without BibTeX's braces."""
    return find(reference).line().replace("{", "").replace("}", "")


def section(title: str, *content: Any, id_: str | None = None, note: str | None = None) -> Html:
    """A section with its heading."""
    return el("section", el("h2", title), el("p", note, cls="note") if note else None, *content, id=id_)


def seconds(value: Any) -> str:
    """A duration."""
    number = float(value)
    if 0 < number < 0.01:
        return f"{short(1000 * number)} ms"
    return f"{short(number)} s" if number < 120 else f"{number / 60:.1f} min"


def copyable(source: str, label: str) -> Html:
    """A block of code that one click selects as a whole."""
    return el("pre", el("code", source), cls="copyable", aria_label=label, tabindex="0")
