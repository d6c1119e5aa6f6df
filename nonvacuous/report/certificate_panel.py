"""The main job on the index page: a certified risk beside the test error, and everything the certificate rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .markup import Html, el, short
from .parts import citation, facts, table

LEFT, RIGHT = 12, 548  # ends of the number line, in units of the drawing

SHOWN_ELSEWHERE = frozenset(
    {
        "certificate",
        "title",
        "description",
        "test_error",
        "test_gibbs_error",
        "certified_risk",
        "delta",
        "schema_version",
        "identity",
        "reused",
    }
)


def certificate_panel(job: Mapping[str, Any]) -> Html:
    """`job` holds `certificate` (what `Certificate.as_json` gives) and, each optional, `title`, `description`, and the error
    on test data of the predictor that the certificate is about, `test_error` or `test_gibbs_error`. Its other numbers and
    words, and those in `numbers`, are shown by their names.
    """
    certificate = job["certificate"]
    value, delta = float(certificate["value"]), float(certificate["delta"])
    test = job.get("test_error", job.get("test_gibbs_error"))
    test = None if test is None else float(test)
    vacuous = value >= 1
    lead = [
        el("div", el("span", f"≤ {value:.4f}", cls="big"), el("span", "certified risk"), cls="figure"),
        el("div", el("span", f"{test:.4f}", cls="big"), el("span", "test error"), cls="figure")
        if test is not None
        else None,
        el("div", el("span", f"{1 - delta:.4g}", cls="big"), el("span", "confidence"), cls="figure"),
    ]
    verdict = (
        el(
            "p",
            el("strong", "Vacuous. "),
            "A loss in [0, 1] cannot have a risk above 1, so this bound says nothing.",
            cls="alert bad",
        )
        if vacuous
        else el(
            "p",
            f"{certificate['quantity'][:1].upper()}{certificate['quantity'][1:]} is at most {value:.4g} with probability at least {1 - delta:.6g}.",
        )
    )
    named = {
        name.replace("_", " "): n
        for name, n in job.items()
        if name not in SHOWN_ELSEWHERE and isinstance(n, int | float | str)
    }
    numbers = [(name, _value(n)) for name, n in {**named, **job.get("numbers", {})}.items()]
    return el(
        "section",
        el("p", "The main job", cls="eyebrow"),
        el("h2", job.get("title", "A certificate for a trained network")),
        el("p", job["description"]) if job.get("description") else None,
        el("div", lead, cls="figures"),
        verdict,
        _line(value, test),
        facts(numbers) if numbers else None,
        _ledger(certificate),
        cls="certificate",
        id="certificate",
    )


def _value(value: Any) -> str:
    return short(value, 4) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _line(value: float, test: float | None) -> Html:
    """A number line from 0 to 1: the test error, the certified bound, and where a bound would say nothing."""

    def x(number: float) -> float:
        return LEFT + (RIGHT - LEFT) * min(max(number, 0.0), 1.0)

    parts = [
        el("rect", x=LEFT, y=46, width=RIGHT - LEFT, height=10, rx=5, cls="rail"),
        el("rect", x=LEFT, y=46, width=f"{max(x(value) - LEFT, 2):.1f}", height=10, rx=5, cls="within"),
        el("line", x1=f"{x(value):.1f}", x2=f"{x(value):.1f}", y1=34, y2=62, cls="limit"),
        _label(x(value), 26, f"certified ≤ {value:.4f}"),
        el("text", "0", x=LEFT, y=84, cls="end"),
        el("text", "1: vacuous", x=RIGHT, y=84, cls="end", text_anchor="end"),
    ]
    words = f"certified risk {value:.4f} on the scale from 0 to 1"
    if test is not None:
        parts.append(el("circle", cx=f"{x(test):.1f}", cy=51, r=7, cls="test"))
        parts.append(_label(max(x(test), LEFT + 26), 84, f"test error {test:.4f}"))
        words += f", test error {test:.4f}"
    return el("svg", el("title", words), parts, viewBox="0 0 560 96", cls="numberline", role="img")


def _label(x: float, y: float, words: str) -> Html:
    left = x < 420
    return el("text", words, x=f"{x - 4 if left else x + 4:.1f}", y=y, text_anchor="start" if left else "end")


def _ledger(certificate: Mapping[str, Any]) -> Html:
    rows = [(entry["event"], short(entry["delta"])) for entry in certificate["ledger"]["entries"]]
    assumptions = [(entry["name"], entry["answer"]) for entry in certificate["assumptions"]]
    parts = [
        (name, el("span", el("code", part["key"]), f" ({short(part['value'], 4)})"))
        for name, part in certificate["parts"].items()
    ]
    inputs = [(name, _value(n)) for name, n in certificate["inputs"].items()]
    return el(
        "details",
        el("summary", "What the certificate rests on"),
        table(("event that may fail", "#delta spent"), rows, caption="Delta ledger"),
        table(("assumption", "answer"), assumptions, caption="Assumptions") if assumptions else None,
        facts([("Theorem", el("code", certificate["key"])), *inputs, *parts]),
        el("p", "Cite: ", "; ".join(citation(key) for key in certificate["citations"]), cls="note"),
    )
