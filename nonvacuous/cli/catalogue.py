"""list, show, cite, graph, methods: reading the catalogue. None of them imports torch or replays anything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import UnknownKey
from ..shipped import DEFAULT_OUT, find, listed, with_runs
from ..showing import lines
from .output import print_json, table

Out = Annotated[Path, typer.Option(help="Folder of a verification run; its verdicts replace the shipped ones.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def list_results(out: Out = DEFAULT_OUT, json: Json = False) -> None:
    """The results: what is claimed, how far it is derived, what the evidence says."""
    rows = listed(out)
    if json:
        print_json(rows)
        return
    cells = []
    for row in rows:
        caught = sum(control["verdict"] == "refuted" for control in row["controls"])
        cells.append(
            [
                row["key"],
                row["kind"],
                row["evidence"],
                f"{caught}/{len(row['controls'])}",
                _short(row["derivation"]),
                row["title"],
            ]
        )
    table(["result", "kind", "evidence", "refuted", "derivation", "title"], cells)
    print("refuted: wrong variants that a check had to refute, and did")


def _short(derivation: str) -> str:
    return derivation.partition(" from ")[0]


def show(key: str, out: Out = DEFAULT_OUT, json: Json = False) -> None:
    """One statement: text, formula, assumptions, sources, what computes it, its evidence and a runnable example."""
    entry = find(key, out)
    if json:
        print_json(entry)
        return
    print(lines(entry))


def cite(
    keys: Annotated[list[str], typer.Argument(help="Results (pb.kl) or references (seeger2002).")], json: Json = False
) -> None:
    """BibTeX for results and references."""
    from ..citations import cite as bibtex

    text = bibtex(*keys)
    if json:
        print_json({"keys": keys, "bibtex": text})
    else:
        print(text)


def graph(out: Out = DEFAULT_OUT, json: Json = False) -> None:
    """Which result rests on which."""
    entries = [entry for entry in with_runs(out) if entry["result"]]
    edges = [(entry["key"], used) for entry in entries for used in entry["uses"]]
    if json:
        print_json({"nodes": [entry["key"] for entry in entries], "edges": [{"from": a, "uses": b} for a, b in edges]})
        return
    for entry in entries:
        print(f"{entry['key']}" + (f"  <-  {', '.join(entry['uses'])}" if entry["uses"] else ""))


def methods(name: Annotated[str | None, typer.Argument()] = None, json: Json = False) -> None:
    """The methods that work on your own torch model, or one of them in full."""
    from ..numerics.methods import METHODS, find_method

    if name is None:
        if json:
            print_json([{"name": m.name, "title": m.title, "theorems": list(m.theorems)} for m in METHODS])
        else:
            table(["name", "theorems", "title"], [[m.name, ", ".join(m.theorems), m.title] for m in METHODS])
        return
    method = find_method(name)
    text = _docstring(method.module)
    if json:
        print_json({"name": method.name, "title": method.title, "theorems": list(method.theorems), "text": text})
    else:
        print(f"{method.name}: {method.title}\ntheorems: {', '.join(method.theorems)}\n\n{text}")


def _docstring(module: str) -> str:
    """The module's docstring, read from its source: importing it would import torch."""
    import ast

    from ..numerics import methods as package

    path = Path(package.__file__ or "").with_name(f"{module}.py")
    if not path.is_file():
        raise UnknownKey(f"The module {module!r} of a method is missing.", "Reinstall the package.")
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def register(app: typer.Typer) -> None:
    app.command("list")(list_results)
    for command in (show, cite, graph, methods):
        app.command()(command)
