"""Write `catalogue.json`, the data that ships with the package, from the code and a folder of verdicts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from .numerics.plain import plain
from .numerics.store import write_atomically
from .proofs.catalogue import CATALOGUE
from .proofs.result import BUDGETS, Result
from .proofs.verification import verdict_path
from .shipped import CATALOGUE_FILE, DEFAULT_OUT, packed, summary
from .statements import STATEMENTS
from .theory.statement import Statement


def entry(statement: Statement, result: Result | None) -> dict[str, Any]:
    """A statement as data; results carry an example, what they use, and their checks' claims."""
    from .settings import to_json

    data: dict[str, Any] = {
        "key": statement.key,
        "area": statement.area,
        "title": statement.title,
        "kind": str(statement.kind),
        "text": statement.text,
        "latex": statement.latex,
        "assumptions": [
            {"name": a.name, "text": a.text, "checkable": a.test is not None} for a in statement.assumptions
        ],
        "sources": [
            {"reference": s.reference, "locator": s.locator, "deviation": s.deviation, "provenance": s.provenance}
            for s in statement.source
        ],
        "function": statement.function,
        "result": result is not None,
    }
    if result is not None:
        data["uses"] = [used.key for used in result.uses]
        data["example"] = to_json(result.example)
        data["notebook"] = result.notebook
        data["checks"] = [
            {
                "name": check.name,
                "claim": type(check.claim).__name__,
                "controls": [control.name for control in check.controls],
                **({} if check.runs_at("quick") else {"budget": next(b for b in BUDGETS if check.runs_at(b))}),
            }
            for check in result.checks
        ]
    return data


def build(out: Path) -> dict[str, Any]:
    """The content of the file: every statement, with the verdicts found in `out`."""
    results = {result.key: result for result in CATALOGUE}
    found = []
    for statement in STATEMENTS:
        data = entry(statement, results.get(statement.key))
        path = verdict_path(out, statement.key)
        if statement.key in results and path.is_file():
            data["verdict"] = summary(json.loads(path.read_text(encoding="utf-8")))
        found.append(data)
    return packed(plain(found))


def lines(content: dict[str, Any]) -> str:
    """JSON with one entry to a line: small, and a change shows which entries it touches."""
    head = {key: value for key, value in content.items() if key != "entries"}
    compact = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
    rows = ",\n".join(map(compact, content["entries"]))
    return f'{compact(head)[:-1]},\n"entries":[\n{rows}\n]}}\n'


def main() -> None:
    """`python -m nonvacuous.shipping [OUT]`: refresh the shipped catalogue from the verdicts in OUT."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_OUT
    write_atomically(CATALOGUE_FILE, lines(build(out)).encode())
    print(f"{CATALOGUE_FILE} written from {out}")


if __name__ == "__main__":
    main()
