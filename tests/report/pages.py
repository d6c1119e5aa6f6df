"""What the tests of the report share: small results, verdicts as the verification stores them, and a strict HTML reader."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from nonvacuous.numerics.claims import Formula
from nonvacuous.numerics.digests import code_digest
from nonvacuous.proofs.result import Check, Control, Result
from nonvacuous.proofs.verification import verdict_path
from nonvacuous.theory.statement import Assumption, Kind, Source, Statement

MODULES = ["nonvacuous.theory.errors"]
SERIES: Mapping[str, Mapping[str, Any]] = {
    "Formula": {"error": [1e-17, -3e-16, 0.0, "nan", "inf", 5.0], "allowed": [1e-15] * 6},
    "Agreement": {"observed": [1.0, 2.0, 7.0], "predicted": [1.0, 2.5, "inf"], "bound": [0.0, 1.0, 1.0]},
    "HighProbabilityBound": {"delta": 0.05, "failure": 0.004, "moment": 5.1, "constant": 5.0},
    "LimitWithRate": {
        "size": [32.0, 64.0, 128.0],
        "discrepancy": [0.4, 0.2, 0.1],
        "error": [0.05, 0.05, 0.05],
        "end": 0.01,
        "end_half": 0.1,
        "correction": [0.4, -0.2, 0.0],
        "correction_error": [0.1, 0.05, 0.01],
        "slope": -1.02,
        "slope_half": 0.2,
        "band": [-1.2, -0.6],
    },
    "Identity": {"difference": [0.0, 1e-20, -1e-20]},
    "Inequality": {"slack": [0.5, 1e-9, -0.1]},
    "EqualInLaw": {
        "tests": ["variance: mean"],
        "p": [0.4],
        "columns": ["variance", "trace"],
        "observed": [[-1.0, 0.1, 1.2], [-0.9, 0.0, 0.9]],
        "stated": [[-1.1, 0.0, 1.1], [-1.0, 0.0, 1.0]],
    },
    "Ordering": {"mean": [0.4, -0.3], "half": [0.1, 0.05], "differences": [[0.3, 0.5, 0.4], [-0.3, -0.2, -0.4]]},
}


def result(
    key: str,
    *,
    title: str = "A title",
    control: str = "constant off",
    text: str = "x <= y",
    uses: tuple[Result, ...] = (),
) -> Result:
    """A result that says little; nothing in it is ever run."""
    claim = Formula(abs, abs, abs, abs, abs)
    statement = Statement(
        key=key,
        title=title,
        kind=Kind.IDENTITY,
        text=text,
        latex=r"\frac{a}{b} \le c",
        source=(Source("maurer2004", "Theorem 1", "a < b", "read"),),
        assumptions=(Assumption("i.i.d.", "Draws are independent."),),
        function="nonvacuous.bounds.seeger_kl",
    )
    checks = (Check("the check", claim, controls=(Control(control, {}),)),)
    return Result(statement, predict=abs, example={"x": 1.5}, checks=checks, uses=uses)


def check(
    claim: str = "Formula",
    *,
    verdict: str = "supported",
    controls: Sequence[tuple[str, str, Any]] = (("constant off", "refuted", 12.5),),
    detail: str = "6 values",
) -> dict[str, Any]:
    """One check as a verdict stores it."""
    return {
        "name": "the check",
        "claim": claim,
        "verdict": verdict,
        "statistic": 0.5,
        "power": "resolves 1e-15 relative",
        "detail": detail,
        "series": dict(SERIES[claim]),
        "controls": [
            {"name": n, "verdict": v, "statistic": s, "detail": "6 values; worst at Setting(x=1)"}
            for n, v, s in controls
        ],
    }


def verdict(key: str, checks: Sequence[Mapping[str, Any]], **changes: Any) -> dict[str, Any]:
    """A verdict whose code is the code on disk."""
    steps = [
        {"kind": "axiom", "text": "Markov. so it follows", "ok": None, "detail": "For X >= 0.", "seconds": 0.0},
        {"kind": "algebra", "text": "both sides agree", "ok": True, "detail": "1 equation(s)", "seconds": 0.25},
    ]
    record: dict[str, Any] = {
        "schema_version": 1,
        "key": key,
        "area": "pac_bayes",
        "kind": "identity",
        "title": "A title",
        "verdict": "supported",
        "controls_refuted": True,
        "derivation": {
            "status": "replayed from axioms {Markov}",
            "axioms": ["Markov"],
            "cited_steps": 0,
            "failed": 0,
            "steps": steps,
        },
        "checks": list(checks),
        "budget": "quick",
        "seed": 7,
        "device": "cpu",
        "date": "2026-01-02T03:04:05+00:00",
        "seconds": 1.25,
        "peak_memory_mb": 321,
        "provenance": {
            "version": "0.1.0",
            "git": None,
            "python": "3.11.7",
            "platform": "Linux x86_64",
            "libraries": {"numpy": "2.0"},
        },
        "code": {"modules": MODULES, "digest": code_digest(MODULES)},
    }
    return {**record, **changes}


def store(out: Path, *verdicts: Mapping[str, Any]) -> Path:
    """Write verdicts where the verification writes them."""
    for record in verdicts:
        path = verdict_path(out, record["key"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record), encoding="utf-8")
    return out


class Page(HTMLParser):
    """Reads a page and collects what is wrong with it, its text, its links and its ids."""

    VOID = frozenset({"meta", "link", "br", "hr", "img"})

    def __init__(self, source: str) -> None:
        super().__init__()
        self.problems: list[str] = []
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.classes: list[str] = []
        self.words = ""
        self.feed(source)
        self.close()
        if self.open:
            self.problems.append(f"never closed: {self.open}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self._note(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)

    def _note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = [name for name, _ in attrs]
        if len(set(names)) < len(names):
            self.problems.append(f"attribute twice in {tag}: {names}")
        for name, value in attrs:
            if name.startswith("on"):
                self.problems.append(f"event handler {name} in {tag}")
            if name == "id":
                self.ids.append(value or "")
            elif name == "class":
                self.classes.append(value or "")
            elif name in ("href", "src", "xlink:href"):
                self.links.append(value or "")
            elif value and "url(#" in value:
                self.links.append("#" + value.split("url(#")[1].split(")")[0])

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"closed out of order: {tag} at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        self.words += data


def problems(folder: Path) -> list[str]:
    """Everything that is wrong with the pages of a report: structure, repeated ids, links that lead nowhere."""
    pages = {path.name: Page(path.read_text(encoding="utf-8")) for path in folder.glob("*.html")}
    found = []
    for name, page in pages.items():
        found += [f"{name}: {problem}" for problem in page.problems]
        found += [f"{name}: id {i} twice" for i in set(page.ids) if page.ids.count(i) > 1]
        for link in page.links:
            target, _, fragment = link.partition("#")
            if target and not (folder / target).is_file():
                found.append(f"{name}: no file {link}")
            elif fragment and fragment not in pages[target or name].ids:
                found.append(f"{name}: no id {link}")
    return found
