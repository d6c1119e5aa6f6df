"""`nv.show`: statements as a notebook or a terminal shows them, with how they were derived and what their checks said."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import InvalidInput
from .shipped import DEFAULT_OUT, find


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows of text as an HTML table."""

    def line(tag: str, cells: Sequence[Any]) -> str:
        return (
            "<tr>" + "".join(f"<{tag} style='text-align:left'>{html.escape(str(c))}</{tag}>" for c in cells) + "</tr>"
        )

    return "<table>" + line("th", headers) + "".join(line("td", row) for row in rows) + "</table>"


def status(entry: Mapping[str, Any]) -> tuple[str, str]:
    """How a result was derived, and what its experiments said. Nothing about a definition or an algorithm can be refuted."""
    verdict = entry.get("verdict")
    if verdict is None:
        return ("to be run", "to be run") if entry["result"] else (f"none: {entry['kind']}", "none")
    refuted = sum(control["verdict"] == "refuted" for control in verdict["controls"])
    return verdict[
        "derivation"
    ], f"{verdict['evidence']}; {refuted} of {len(verdict['controls'])} wrong versions refuted"


def lines(entry: Mapping[str, Any]) -> str:
    """One statement as text: formula, assumptions, sources, what computes it, its evidence and a runnable example."""
    found = [f"{entry['key']}  {entry['title']}  ({entry['kind']})", "", entry["text"], "", f"  {entry['latex']}", ""]
    found += [f"assumes   {assumption['name']}: {assumption['text']}" for assumption in entry["assumptions"]]
    for source in entry["sources"]:
        details = "; ".join(part for part in (source["locator"], source["deviation"], source["provenance"]) if part)
        found.append(f"source    {source['reference']} ({details})")
    if entry["function"]:
        found.append(f"computed  by {entry['function']}")
    if not entry["result"]:
        found += ["", f"A {entry['kind']}: nothing about it can be refuted, so it is not in the catalogue of results."]
        return "\n".join(found)
    if entry["uses"]:
        found.append(f"uses      {', '.join(entry['uses'])}")
    verdict = entry.get("verdict")
    if verdict:
        found.append(f"derived   {verdict['derivation']}")
        found.append(f"evidence  {verdict['evidence']} ({verdict['budget']}, {verdict['date']})")
        found += [f"control   {control['verdict']}: {control['name']}" for control in verdict["controls"]]
    else:
        found.append("evidence  not run")
    example = json.dumps(entry["example"])
    found += ["", f"run it    echo '{example}' | nonvacuous predict {entry['key']} --input -"]
    return "\n".join(found)


@dataclass(frozen=True, repr=False)
class Shown:
    """One statement in full, or several as a table."""

    entries: tuple[Mapping[str, Any], ...]

    def __repr__(self) -> str:  # what an interactive session shows
        if len(self.entries) == 1:
            return lines(self.entries[0])
        return "\n".join("  ".join((entry["key"], entry["title"], *status(entry))) for entry in self.entries)

    def _repr_html_(self) -> str:
        if len(self.entries) > 1:
            rows = [
                (e["key"], e["title"], e["kind"], status(e)[0].partition(" from ")[0], status(e)[1])
                for e in self.entries
            ]
            return table(("key", "result", "kind", "derivation", "experiments"), rows)
        (entry,) = self.entries
        derivation, experiments = status(entry)
        assumes = "; ".join(assumption["name"] for assumption in entry["assumptions"]) or "nothing"
        said = f"Assumes: {assumes}. Derivation: {derivation}. Experiments: {experiments}."
        return (
            f"<b>{entry['key']}: {html.escape(entry['title'])}</b><p>{html.escape(entry['text'])}</p>"
            f"$${html.escape(entry['latex'])}$$<p>{html.escape(said)}</p>"
        )


def show(*keys: str, out: str | Path = DEFAULT_OUT) -> Shown:
    """Statements by key ("pb.kl"): one in full, several as a table, with the verdicts in `out`, else those that ship with the package.

    A notebook shows the object, `print` its text. Raises `UnknownKey`, `StorageError`, `InvalidInput` without a key.
    """
    if not keys:
        raise InvalidInput("There is no key.", 'For example nv.show("pb.kl"); nv.catalogue has all of them.')
    return Shown(tuple(find(key, Path(out)) for key in keys))
