"""What `list` and `show` read: the catalogue as data, with verdicts of a run folder laid over the shipped ones.

Nothing here imports a proof, so both answer without replaying anything and without torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import StorageError, UnknownKey
from .theory.errors import did_you_mean

SCHEMA_VERSION = 1
CATALOGUE_FILE = Path(__file__).with_name("catalogue.json")
DEFAULT_OUT = Path("nonvacuous-runs")


def entries() -> list[dict[str, Any]]:
    """Every statement of the package in teaching order, results and definitions alike, with the shipped verdicts."""
    try:
        return unpacked(json.loads(CATALOGUE_FILE.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"The shipped catalogue {CATALOGUE_FILE} cannot be read ({error}).", "Reinstall the package."
        ) from error


def packed(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The content of the shipped file. Verdicts rest on hundreds of modules each: they are named once, and a verdict keeps
    a hexadecimal set of positions, the module of position k being bit k."""
    modules = sorted({name for entry in found if "verdict" in entry for name in entry["verdict"]["code"]["modules"]})
    position = {name: k for k, name in enumerate(modules)}
    entries = []
    for entry in found:
        data = dict(entry)
        if "verdict" in data:
            code = data["verdict"]["code"]
            members = sum(1 << position[name] for name in code["modules"])
            data["verdict"] = {**data["verdict"], "code": {**code, "modules": f"{members:x}"}}
        entries.append(data)
    return {"schema_version": SCHEMA_VERSION, "modules": modules, "entries": entries}


def unpacked(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries that `packed` was given."""
    modules, found = content["modules"], list(content["entries"])
    for entry in found:
        if "verdict" in entry:
            code = entry["verdict"]["code"]
            members = int(code["modules"], 16)
            code["modules"] = [name for k, name in enumerate(modules) if members >> k & 1]
    return found


def summary(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """What the catalogue keeps of a verdict."""
    return {
        "evidence": verdict["verdict"],
        "date": verdict["date"],
        "derivation": verdict["derivation"]["status"],
        "cited_steps": verdict["derivation"]["cited_steps"],
        "controls": [
            {"name": f"{check['name']} / {control['name']}", "verdict": control["verdict"]}
            for check in verdict["checks"]
            for control in check["controls"]
        ],
        "budget": verdict["budget"],
        "code": verdict["code"],
    }


def with_runs(out: Path, keys: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The entries, or those of `keys`; where `out` holds a verdict for a key it replaces the shipped one. Old code makes evidence `stale`."""
    from .numerics.digests import code_digest

    found = [entry for entry in entries() if keys is None or entry["key"] in keys]
    for entry in found:
        path = out / "verdicts" / f"{entry['key']}.json"
        if not entry["result"]:
            continue
        try:
            entry["verdict"] = summary(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageError(f"{path} cannot be read ({error}).", "Delete it and verify again.") from error
        verdict = entry.get("verdict")
        if verdict and code_digest(verdict["code"]["modules"]) != verdict["code"]["digest"]:
            verdict["evidence"] = "stale"
    return found


def find(key: str, out: Path = DEFAULT_OUT) -> dict[str, Any]:
    """The entry of one statement. Raises `UnknownKey`, `StorageError`."""
    found = with_runs(out, [key])
    if not found:
        raise UnknownKey(
            f"No statement is called {key!r}.",
            did_you_mean(key, (entry["key"] for entry in entries()), "`nonvacuous list` shows all results."),
        )
    return found[0]


def listed(out: Path = DEFAULT_OUT) -> list[dict[str, Any]]:
    """The rows of `nonvacuous list --json`."""
    rows = []
    for entry in with_runs(out):
        if entry["result"]:
            verdict = entry.get("verdict") or {}
            rows.append(
                {
                    "schema_version": SCHEMA_VERSION,
                    "key": entry["key"],
                    "area": entry["area"],
                    "title": entry["title"],
                    "kind": entry["kind"],
                    "derivation": verdict.get("derivation", "not replayed"),
                    "cited_steps": verdict.get("cited_steps"),
                    "evidence": verdict.get("evidence", "not run"),
                    "date": verdict.get("date"),
                    "controls": verdict.get("controls", []),
                }
            )
    return rows
