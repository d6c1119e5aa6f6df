"""HTML that is escaped by construction: text is `str`, markup is `Html`, and only `el` turns the one into the other."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable
from typing import Any

VOID = frozenset({"br", "hr", "img", "link", "meta", "path", "rect", "circle", "line"})


class Html(str):
    """A string that is markup already."""

    __slots__ = ()


def text(value: Any) -> Html:
    """Escaped text; markup passes, None is nothing, and sequences are joined."""
    if isinstance(value, Html):
        return value
    if value is None:
        return Html("")
    if isinstance(value, Iterable) and not isinstance(value, str):
        return Html("".join(text(item) for item in value))
    return Html(html.escape(str(value)))


def el(tag: str, *children: Any, **attributes: Any) -> Html:
    """One element. `cls` is the class; other underscores become hyphens; attributes that are None or False are left out."""
    names = {name: "class" if name == "cls" else name.rstrip("_").replace("_", "-") for name in attributes}
    given = "".join(
        f" {names[name]}" if value is True else f' {names[name]}="{html.escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    if tag in VOID:
        assert not children
        return Html(f"<{tag}{given}/>" if tag in ("path", "rect", "circle", "line") else f"<{tag}{given}>")
    return Html(f"<{tag}{given}>{text(children)}</{tag}>")


def prose(source: str) -> Html:
    """Plain English in which backquotes enclose code; elsewhere <= and >= get their signs."""
    parts = source.split("`")
    if len(parts) % 2 == 0:  # an unpaired backquote is a backquote
        parts = [source]
    return text(
        [el("code", part) if i % 2 else part.replace("<=", "≤").replace(">=", "≥") for i, part in enumerate(parts)]
    )


def as_float(value: Any) -> float:
    """A number as verdicts store it: non-finite ones are the strings "inf", "-inf" and "nan"."""
    return float(value)


def short(value: Any, digits: int = 3) -> str:
    """A number in a few digits: 0.0381, 12 300, 4.5×10¹³, ∞."""
    number = as_float(value)
    if math.isnan(number):
        return "not a number"
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    if number == 0 or 1e-3 <= abs(number) < 1e5:
        shown = f"{number:.{digits}g}" if abs(number) < 10**digits else f"{number:.0f}"
    else:
        mantissa, exponent = f"{number:.{max(digits - 2, 0)}e}".split("e")
        shown = f"{mantissa}×10{superscript(int(exponent))}"
    return shown.replace("-", "−")


_NUMBER = re.compile(
    r"(?<![\w.])-?(?:\d+\.\d{6,}|\d+(?:\.\d+)?(?=e))(?:e[+-]?\d+)?(?!\w|\.\d)|(?<![\w.)])-\d+(?:\.\d+)?(?!\w|\.\d)|\b(?:inf|nan)\b"
)


def tidy(sentence: str) -> str:
    """A sentence written by the verification, with its numbers as people write them: 2.4e-15 is 2.4×10⁻¹⁵, inf is ∞."""
    return _NUMBER.sub(lambda found: _readable(found[0]), sentence)


def _readable(number: str) -> str:
    value = float(number)
    if "e" in number or not math.isfinite(value) or abs(value) < 1e-3:
        return short(value)
    shown = f"{value:.6g}"
    # 0.999999999 is not 1, and that may be the point
    return (number if float(shown) == round(value) != value else shown).replace("-", "−")


def superscript(exponent: int) -> str:
    """An integer in raised digits."""
    return str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def page_name(key: str) -> str:
    """File name of the page about `key`, whatever characters a third party put into it."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", key) + ".html"


def document(title: str, *body: Any) -> str:
    """A whole page around `body`."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", title),
        el("link", rel="stylesheet", href="style.css"),
    )
    bar = el(
        "header", el("a", "nonvacuous", href="index.html", cls="wordmark"), el("span", "verification report"), cls="bar"
    )
    return "<!DOCTYPE html>\n" + el("html", head, el("body", bar, el("main", *body)), lang="en") + "\n"
