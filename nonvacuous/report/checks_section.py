"""The checks of one result: an overview, then for each its figure, what was found, and how far every control misses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .drawing import svg
from .entries import Entry
from .figures import FIGURES, draw_check
from .markup import Html, el, page_name, prose, tidy
from .parts import control_badge, evidence_badge, facts, section, share, table
from .strip import rows as strips

SIZES: dict[str, dict[str, Any]] = {
    "HighProbabilityBound": {"height": 1.7, "margins": (2.15, 0.5, 0.15)},
    "LimitWithRate": {"width": 8.4, "height": 2.9, "margins": (0.85, 0.5, 0.5)},
}  # inches


def checks_section(entry: Entry) -> Html:
    """All checks; of a result that was not run, what is planned."""
    if entry.verdict is None:
        rows = [
            (
                check.name,
                el("span", type(check.claim).__name__, cls="claim"),
                "; ".join(control.name for control in check.controls),
            )
            for check in entry.result.checks
        ]
        return section("Checks", table(("check", "claim", "controls that it must refute"), rows), id_="checks")
    anchors = [f"check-{i}" for i in range(1, len(entry.checks) + 1)]
    rows_ = [
        (
            el("a", prose(check["name"]), href=f"#{anchor}"),
            el("span", check["claim"], cls="claim"),
            evidence_badge(check["verdict"]),
            _refuted(check),
            tidy(check["power"]),
        )
        for anchor, check in zip(anchors, entry.checks, strict=True)
    ]
    overview = table(("check", "claim", "verdict", "controls refuted", "power"), rows_)
    details = [_check(entry, check, anchor) for anchor, check in zip(anchors, entry.checks, strict=True)]
    later = [prose(name) for name in entry.verdict.get("larger_budgets", ())]
    items = [
        el("p", f"Not begun at the {entry.verdict['budget']} budget:"),
        el("ul", [el("li", name) for name in later]),
    ]
    return section("Checks", overview, details, items if later else None, id_="checks")


def _refuted(check: Mapping[str, Any]) -> Html:
    return share(sum(control["verdict"] == "refuted" for control in check["controls"]), len(check["controls"]))


def _check(entry: Entry, check: Mapping[str, Any], anchor: str) -> Html:
    found = facts([("Found", _detail(check["detail"])), ("Power", tidy(check["power"]))])
    if check["claim"] in FIGURES and check["series"]:
        name = f"{page_name(entry.key)[:-5]}-{anchor}".replace(".", "-")
        label = f"{check['claim']}, {check['name']}: {check['verdict']}. {tidy(_head(check['detail']))}"
        size = SIZES.get(check["claim"], {})
        body = el(
            "div",
            svg(draw_check, check, name=name, label=label, **size),
            found,
            cls="plots wide" if check["claim"] == "LimitWithRate" else "plots",
        )
    else:
        body = found
    rows = [
        (el("em", "the claim itself"), evidence_badge(check["verdict"]), drawn, "")
        if control is None
        else (prose(control["name"]), control_badge(control["verdict"]), drawn, _detail(control["detail"]))
        for control, drawn in strips(check)
    ]
    note = "Controls: false variants that this check must refute. The line in each strip marks the largest deviation allowed; the scale is logarithmic."
    return el(
        "article",
        el("h3", el("span", check["claim"], cls="claim"), prose(check["name"]), evidence_badge(check["verdict"])),
        body,
        table(("variant", "verdict", "deviation / allowed", "detail"), rows, caption=note, cls="controls"),
        cls="check",
        id=anchor,
    )


def _head(detail: str) -> str:
    return detail.partition("; worst at ")[0]


def _detail(detail: str) -> Html:
    """The detail; the setting where it was worst, which can be long, folds away."""
    head, found, setting = detail.partition("; worst at ")
    folded = el("details", el("summary", "worst setting"), el("code", setting)) if found else None
    return el("span", tidy(head), folded)
