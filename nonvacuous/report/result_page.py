"""The page of one result: statement, derivation, checks with their figures and controls, provenance, citation."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ..proofs.derivations import used_results
from ..settings import to_json
from ..theory.bibliography import find
from .checks_section import checks_section
from .drawing import svg
from .entries import Entry
from .formulas import display
from .graph import draw_graph
from .markup import Html, document, el, page_name, prose
from .parts import (
    area_name,
    citation,
    controls_share,
    copyable,
    derivation_badge,
    evidence_badge,
    facts,
    seconds,
    section,
)

PROVENANCE = {
    "read": "read in the source",
    "derived": "derived here",
    "standard": "standard knowledge",
    "secondary": "known from secondary sources",
}
STEP_SIGNS = {True: ("✓", "discharged", "is-supported"), False: ("✗", "failed", "is-refuted")}
NEEDS_NO_REPLAY = {"axiom": "textbook axiom", "uses": "another result", "cited": "cited, not derived here"}


def result_page(entry: Entry, everything: Sequence[Entry]) -> str:
    """The whole page."""
    statement = entry.result.statement
    return document(
        f"{entry.key}: {statement.title}",
        el(
            "nav", el("a", "All results", href="index.html"), " / ", el("span", area_name(statement.area)), cls="crumbs"
        ),
        _heading(entry),
        _warning(entry),
        _statement(entry),
        _graph(entry, everything),
        _figure(entry),
        _derivation(entry, {other.key for other in everything}),
        checks_section(entry),
        _provenance(entry),
        _example(entry),
        _citation(entry),
    )


def _heading(entry: Entry) -> Html:
    statement = entry.result.statement
    badges = el(
        "p",
        el("span", str(statement.kind), cls="badge kind"),
        evidence_badge(entry.evidence),
        derivation_badge(entry),
        cls="badges",
    )
    return el("div", el("p", entry.key, cls="key"), el("h1", statement.title), badges, cls="title")


def _warning(entry: Entry) -> Html | None:
    command = el("code", f"nonvacuous verify {entry.key}")
    caught, total = entry.controls
    if entry.verdict is None:
        return el("p", el("strong", "Not run. "), "There is no verdict in this folder. Run ", command, ".", cls="alert")
    found = []
    if entry.evidence == "stale":
        was = f"Everything below describes the code of {_day(entry.verdict)}, when the verdict was {entry.verdict['verdict']}. Run "
        found.append(
            el(
                "p",
                el("strong", "Stale. "),
                "The code behind this verdict has changed since. ",
                was,
                command,
                " again.",
                cls="alert",
            )
        )
    if caught < total:
        words = (
            f"{total - caught} of {total} controls survived: the check did not tell the theorem from something false."
        )
        found.append(el("p", el("strong", "A control survived. "), words, cls="alert bad"))
    return Html("".join(found)) if found else None


def _day(verdict: Mapping[str, Any]) -> str:
    return str(verdict["date"])[:10]


def _statement(entry: Entry) -> Html:
    statement = entry.result.statement
    assumptions = [
        el(
            "li",
            el("strong", a.name),
            ": ",
            prose(a.text),
            el("span", "checked from the inputs" if a.test else "cannot be checked from the inputs", cls="tag"),
        )
        for a in statement.assumptions
    ]
    sources = []
    for source in statement.source:
        parts = [source.locator, source.deviation]
        extra = " (" + "; ".join(part for part in parts if part) + ")" if any(parts) else ""
        sources.append(
            el("li", citation(source.reference), prose(extra), el("span", PROVENANCE[source.provenance], cls="tag"))
        )
    given = el("div", el("h3", "Assumptions"), el("ul", assumptions, cls="list")) if assumptions else None
    return el(
        "section",
        el("div", display(statement.latex), el("p", prose(statement.text)), cls="statement"),
        el("div", given, el("div", el("h3", "Sources"), el("ul", sources, cls="list")), cls="split"),
        facts(
            [
                ("Computed by", el("code", statement.function) if statement.function else None),
                ("Notebook", _notebook(entry)),
            ],
            cls="facts wide",
        ),
    )


def _notebook(entry: Entry) -> Html | None:
    return el("code", f"notebooks/{entry.result.notebook}.ipynb") if entry.result.notebook else None


def _graph(entry: Entry, everything: Sequence[Entry]) -> Html:
    """All that it rests on, itself, and what uses it directly."""
    near = {used.key for used in used_results(entry.result)}
    near |= {other.key for other in everything if any(used.key == entry.key for used in other.result.uses)}
    alone = el("p", "It uses no other result of the catalogue, and none uses it.", cls="note")
    drawn = (
        draw_graph([other for other in everything if other.key in near], focus=entry.key) if len(near) > 1 else alone
    )
    return section("What it rests on, and what rests on it", drawn, id_="graph")


def _figure(entry: Entry) -> Html | None:
    """The result's own figure of its verdict, where it has one."""
    if entry.verdict is None or entry.result.figure is None:
        return None
    return section(
        "Figure",
        svg(entry.result.figure, entry.verdict, name="own", label=entry.result.statement.title, width=7.2, height=3.6),
    )


def _derivation(entry: Entry, keys: Collection[str]) -> Html | None:
    if entry.verdict is None:
        return None
    found = entry.verdict["derivation"]
    items = []
    for step in found["steps"]:
        sign, words, cls = STEP_SIGNS.get(
            step["ok"], ("·", NEEDS_NO_REPLAY.get(step["kind"], "not replayed"), f"step-{step['kind']}")
        )
        label = words if step["ok"] is None else f"{step['kind']} {words}, {seconds(step['seconds'])}"
        badge = el("span", el("span", sign, cls="sign", aria_hidden="true"), label, cls=f"badge {cls}")
        items.append(el("li", el("div", _step(step, keys)), badge))
    steps = (
        el("ol", items, cls="steps") if items else el("p", "No derivation is given; the checks below are all there is.")
    )
    return section("Derivation", el("p", derivation_badge(entry, full=True), cls="badges"), steps, id_="derivation")


def _step(step: Mapping[str, Any], keys: Collection[str]) -> list[Html]:
    """The step in words, with a link to the result that it uses, the name of its axiom set off, or its source below it."""
    words, detail = step["text"], step["detail"]
    lead, mark, rest = words.partition(": " if step["kind"] == "uses" else ". " if step["kind"] == "axiom" else "] ")
    shown: Any = prose(words)
    if step["kind"] == "uses" and lead in keys:
        shown = [el("a", lead, href=page_name(lead)), mark, prose(rest)]
    elif step["kind"] == "axiom" and mark:
        shown = [el("strong", lead), mark, prose(rest)]
    elif step["kind"] == "cited" and mark:
        shown, detail = prose(rest), citation(lead.removeprefix("["))
    return [el("p", shown), el("p", prose(detail), cls="detail") if detail else Html("")]


def _provenance(entry: Entry) -> Html | None:
    verdict = entry.verdict
    if verdict is None:
        return None
    made = verdict["provenance"]
    libraries = ", ".join(f"{name} {version}" for name, version in made["libraries"].items())
    pairs: Iterable[tuple[str, Any]] = [
        ("Date", str(verdict["date"]).replace("T", " ").replace("+00:00", " UTC")),
        ("Budget", verdict["budget"]),
        ("Seed", str(verdict["seed"])),
        ("Device", verdict["device"]),
        ("Time", seconds(verdict["seconds"])),
        ("Peak memory", f"{verdict['peak_memory_mb']} MB"),
        ("nonvacuous", made["version"]),
        ("Git commit", made["git"] or "not a checkout with commits"),
        ("Python", f"{made['python']}, {made['platform']}"),
        ("Libraries", libraries),
        (
            "Code",
            el("span", el("code", verdict["code"]["digest"][:12]), f" over {len(verdict['code']['modules'])} modules"),
        ),
        ("Controls refuted", controls_share(entry)),
    ]
    return section("Provenance", facts(pairs), id_="provenance")


def _example(entry: Entry) -> Html:
    setting = json.dumps(to_json(entry.result.example), ensure_ascii=False)
    shell = f"nonvacuous predict {entry.key} --input - <<'JSON'\n{setting}\nJSON\n\nnonvacuous verify {entry.key} --budget quick"
    python = f'import nonvacuous as nv\n\nprint(nv.verify("{entry.key}", budget="quick"))'
    return section(
        "Run it yourself",
        el("div", copyable(shell, "Shell example"), copyable(python, "Python example"), cls="pair"),
        id_="example",
    )


def _citation(entry: Entry) -> Html:
    keys = dict.fromkeys(source.reference for source in entry.result.statement.source)
    return section(
        "Cite",
        copyable("\n\n".join(find(key).bibtex() for key in keys), "BibTeX entries"),
        id_="cite",
        note="BibTeX; one click selects the block.",
    )
