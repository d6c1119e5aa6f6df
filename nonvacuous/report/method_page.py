"""The page of one method: its theorems with their verdicts, its text, every setting with the origin of its default, its functions."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from ..numerics.methods import Method
from ..statements import STATEMENTS
from .entries import Entry
from .markup import Html, document, el, page_name, prose
from .method_source import PACKAGE, MethodSource, method_source
from .parts import controls_share, copyable, derivation_badge, evidence_badge, facts, section, table


def method_file(method: Method) -> str:
    """File name of the page."""
    return page_name(f"method.{method.name}")


def method_page(method: Method, everything: Sequence[Entry]) -> str:
    """The whole page. `everything` are the results of the report. Raises `StorageError` where the method's source is missing."""
    source = method_source(method)
    known = {entry.key: entry for entry in everything}
    return document(
        f"{method.name}: {method.title}",
        el("nav", el("a", "All results", href="index.html"), " / ", el("span", "methods"), cls="crumbs"),
        el("div", el("p", method.name, cls="key"), el("h1", method.title), cls="title"),
        facts(
            [
                ("Module", el("code", f"{PACKAGE}.{method.module}")),
                ("Needs", el("code", f"nonvacuous[{method.extra}]")),
                ("In the terminal", el("code", f"nonvacuous methods {method.name}")),
            ]
        ),
        section("What it does", _manual(source.paragraphs)),
        _theorems(method.theorems, known),
        _configuration(method, source),
        section("Functions", copyable("\n\n".join(source.functions), "Signatures")),
        section("Beyond the grammar", copyable("\n\n".join(source.further), "Further signatures"))
        if source.further
        else None,
    )


def _manual(paragraphs: Sequence[str]) -> Html:
    """Paragraphs as they are, a leading word with a full stop ("Objective.") as their name; indented blocks keep their layout."""
    blocks = []
    for block in paragraphs:
        lines = block.strip("\n").split("\n")
        if len(lines) > 1 and all(line.startswith(" ") for line in lines[1:]) and not lines[0].startswith(" "):
            blocks += [el("p", _named(lines[0])), el("pre", textwrap.dedent("\n".join(lines[1:])))]
        elif lines[0].startswith(" "):
            blocks.append(el("pre", textwrap.dedent("\n".join(lines))))
        else:
            blocks.append(el("p", _named(block)))
    return el("div", blocks, cls="manual")


def _named(block: str) -> Any:
    name, stop, rest = block.partition(". ")
    if stop and name.isalpha():
        return [el("strong", f"{name}. "), prose(rest)]
    return prose(block)


def _theorems(keys: Sequence[str], known: Mapping[str, Entry]) -> Html:
    titles = {statement.key: statement for statement in STATEMENTS}
    rows: list[Sequence[Any]] = []
    for key in keys:
        entry = known.get(key)
        if entry is not None:
            name = el(
                "a",
                el("span", key, cls="key"),
                el("span", entry.result.statement.title),
                href=page_name(key),
                cls="to-result",
            )
            kind = str(entry.result.statement.kind)
            rows.append((name, kind, derivation_badge(entry), evidence_badge(entry.evidence), controls_share(entry)))
            continue
        statement = titles.get(key)
        title = statement.title if statement is not None else "unknown to this version"
        name = el("span", el("span", key, cls="key"), el("span", title), cls="to-result")
        rows.append((name, str(statement.kind) if statement is not None else "", "", "no result in this report", ""))
    head = ("theorem", "kind", "derivation", "evidence", "controls refuted")
    return section(
        "Theorems about it",
        table(head, rows, cls="results"),
        note="With the verdicts of this report. Definitions have none: nothing about them can be refuted.",
    )


def _configuration(method: Method, source: MethodSource) -> Html | None:
    rows = [
        (
            el("code", field.name),
            el("code", field.annotation),
            el("code", field.default) if field.default is not None else "required",
            prose(field.origin) if field.origin is not None else el("span", "not stated", cls="share short"),
        )
        for field in source.fields
    ]
    if not rows:
        return None
    head = ("field", "type", "default", "what it is, and why this default")
    return section(f"Configuration: {method.config}", table(head, rows, cls="settings"))
