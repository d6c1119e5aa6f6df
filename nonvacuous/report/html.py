"""The static report: an index, a page for each result and each method, and one style sheet. Opens from disk, without scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

from ..numerics.methods import METHODS
from ..numerics.store import write_atomically
from ..proofs.result import Result
from .certificate_panel import certificate_panel
from .entries import Entry, entries
from .graph import draw_graph
from .markup import Html, document, el, page_name
from .method_page import method_file, method_page
from .parts import area_name, controls_share, derivation_badge, evidence_badge, seconds, section, table
from .result_page import result_page


def write_report(out: Path, catalogue: Sequence[Result], main_job: Mapping[str, Any] | None = None) -> Path:
    """Write `out/report` from the verdicts in `out` and return its index.html. Nothing is computed again.

    `main_job` is described in `certificate_panel`. Raises `StorageError` when a verdict cannot be read or a page not written.
    """
    found = entries(out, catalogue)
    pages = {page_name(entry.key): result_page(entry, found) for entry in found}
    pages |= {method_file(method): method_page(method, found) for method in METHODS}
    pages["index.html"] = index_page(found, main_job)
    pages["style.css"] = files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    folder = out / "report"
    for name, content in pages.items():
        write_atomically(folder / name, content.encode())
    return folder / "index.html"


def index_page(found: Sequence[Entry], main_job: Mapping[str, Any] | None) -> str:
    """The front page."""
    return document(
        "nonvacuous: verification report",
        el("div", el("h1", "Theorems, and what became of them"), el("p", _lead(found), cls="lead"), cls="title"),
        _tiles(found),
        certificate_panel(main_job) if main_job is not None else None,
        section("Results", _results(found), id_="results"),
        section("How they hang together", draw_graph(found), _legend(), id_="graph"),
        _methods(),
        _reading(),
    )


def _lead(found: Sequence[Entry]) -> str:
    runs = [entry.verdict for entry in found if entry.verdict is not None]
    if not runs:
        return "Nothing has been run yet: `nonvacuous verify` fills this report.".replace("`", "")
    budgets = ", ".join(dict.fromkeys(run["budget"] for run in runs))
    devices = ", ".join(dict.fromkeys(run["device"] for run in runs))
    last = max(run["date"] for run in runs)[:16].replace("T", " ")
    return f"{len(found)} results, {len(runs)} of them run: budget {budgets}, device {devices}, last on {last} UTC, version {runs[-1]['provenance']['version']}."


def _tiles(found: Sequence[Entry]) -> Html:
    def count(evidence: str) -> int:
        return sum(entry.evidence == evidence for entry in found)

    supported = count("supported")
    rest = ", ".join(f"{count(e)} {e}" for e in ("refuted", "inconclusive", "stale", "not run") if count(e))
    fresh = [entry for entry in found if entry.evidence not in ("stale", "not run")]
    caught, controls = (sum(entry.controls[i] for entry in fresh) for i in (0, 1))
    replayed = sum(entry.derivation == "replayed" for entry in fresh)
    others = {
        words: sum(entry.derivation == d for entry in fresh)
        for d, words in (("cited", "with cited steps"), ("failed", "failed"), ("missing", "not derived"))
    }
    others |= {"stale": count("stale"), "not replayed": count("not run")}
    spent = sum(float(entry.verdict["seconds"]) for entry in found if entry.verdict is not None)
    tiles = [
        (
            "supported",
            f"{supported} of {len(found)}",
            rest or "none refuted, none open",
            "good" if supported == len(found) else "bad" if count("refuted") else "open",
        ),
        (
            "controls refuted",
            f"{caught} of {controls}",
            f"{controls - caught} survived"
            if caught < controls
            else "every false variant was caught"
            if controls
            else "no fresh verdict",
            "bad" if caught < controls else "good" if controls else "open",
        ),
        (
            "derivations replayed",
            f"{replayed} of {len(found)}",
            ", ".join(f"{n} {words}" for words, n in others.items() if n) or "from named axioms alone",
            "bad" if others["failed"] else "good" if replayed == len(found) else "open",
        ),
        ("computing time", seconds(spent), "as measured when it was run", "plain"),
    ]
    return el(
        "div",
        [
            el(
                "div",
                el("span", name, cls="name"),
                el("span", value, cls="value"),
                el("span", note, cls="note"),
                cls=f"tile {cls}",
            )
            for name, value, note, cls in tiles
        ],
        cls="tiles",
    )


def _results(found: Sequence[Entry]) -> Html:
    rows: list[Sequence[Any] | str] = []
    for area, some in groupby(found, key=lambda e: e.result.statement.area):
        rows.append(area_name(area))
        rows += [_row(entry) for entry in some]
    return table(("result", "kind", "derivation", "evidence", "controls refuted", "#time"), rows, cls="results")


def _row(entry: Entry) -> Sequence[Any]:
    statement = entry.result.statement
    return (
        el(
            "a",
            el("span", entry.key, cls="key"),
            el("span", statement.title),
            href=page_name(entry.key),
            cls="to-result",
        ),
        str(statement.kind),
        derivation_badge(entry),
        evidence_badge(entry.evidence),
        controls_share(entry),
        seconds(entry.verdict["seconds"]) if entry.verdict is not None else "",
    )


def _legend() -> Html:
    fills = [evidence_badge(e) for e in ("supported", "refuted", "inconclusive", "stale", "not run")]
    borders = [
        ("replayed", "replayed from axioms"),
        ("cited", "cited steps"),
        ("failed", "failed steps"),
        ("missing", "not derived"),
        ("unknown", "not replayed"),
    ]
    frames = [
        el("span", el("span", cls=f"frame by-{name}", aria_hidden="true"), words, cls="key-item")
        for name, words in borders
    ]
    return el(
        "div",
        el("p", "Fill, evidence: ", fills),
        el("p", "Border, derivation: ", frames),
        el("p", "An arrow runs from a result to one that uses it."),
        cls="legend",
    )


def _methods() -> Html | None:
    rows = [
        (el("a", method.name, href=method_file(method)), method.title, ", ".join(method.theorems)) for method in METHODS
    ]
    return section("Methods", table(("method", "what it is", "theorems"), rows), id_="methods") if rows else None


def _reading() -> Html:
    items = [
        (
            "Evidence",
            "Supported or refuted is what an experiment, an enumeration or a comparison in ball arithmetic says; inconclusive means that it could not tell. Stale means that the code behind the verdict has changed since.",
        ),
        (
            "Derivation",
            "Replayed means that a machine discharged every step and that the rest are named textbook axioms. A cited step was taken from the literature and is counted, not hidden.",
        ),
        (
            "Controls",
            "Every check comes with false variants of its theorem: a constant off, a term dropped, an assumption broken. A check that does not refute them has shown nothing.",
        ),
        (
            "Power",
            "How small a deviation the check would have seen. Levels of random checks are 1e-6; the other tolerances are derived bounds on rounding or convergence.",
        ),
    ]
    return section(
        "How to read this",
        el("dl", [[el("dt", name), el("dd", words)] for name, words in items], cls="reading"),
        id_="reading",
    )
