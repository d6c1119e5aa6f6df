"""Rewrite the generated tables of README.md: public names, and the catalogue's summary. `--check` fails when they are old."""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path

import nonvacuous
from nonvacuous.shipped import entries

README = Path(__file__).resolve().parent.parent / "README.md"


def public_names() -> str:
    """Every name of `nonvacuous.PUBLIC_NAMES`, with the first sentence of its documentation."""
    lines = ["| name | what it is |", "|---|---|"]
    for name in sorted(nonvacuous.PUBLIC_NAMES):
        value = getattr(nonvacuous, name)
        if name == "catalogue":
            text = f"The results, in teaching order: a tuple of {len(value)} `Result`s."
        else:
            text = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
        names = getattr(value, "__all__", None) if inspect.ismodule(value) else None
        listed = ", ".join(f"`{n}`" for n in sorted(names)) if names else ""
        folded = f"<details><summary>{len(names)} names</summary>{listed}</details>" if names else ""
        lines.append(f"| `nv.{name}` | {text}{folded} |")
    return "\n".join(lines)


def catalogue() -> str:
    """One line a result, from the shipped verdicts, folded by area."""
    areas: dict[str, list[str]] = {}
    for entry in entries():
        if entry["result"]:
            verdict = entry["verdict"]
            caught = sum(control["verdict"] == "refuted" for control in verdict["controls"])
            derivation = verdict["derivation"].partition(" from ")[0]
            cells = (
                f"`{entry['key']}`",
                entry["title"],
                entry["kind"],
                derivation,
                verdict["evidence"],
                f"{caught} of {len(verdict['controls'])}",
            )
            areas.setdefault(entry["area"], []).append("| " + " | ".join(cells) + " |")
    head = "| key | result | kind | derivation | evidence | controls refuted |\n|---|---|---|---|---|---|"
    return "\n\n".join(
        f"<details><summary><b>{area}</b>: {len(lines)} results</summary>\n\n{head}\n"
        + "\n".join(lines)
        + "\n\n</details>"
        for area, lines in areas.items()
    )


def rewritten(text: str) -> str:
    """The README with its generated blocks replaced."""
    for name, table in (("public-names", public_names()), ("catalogue", catalogue())):
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"README.md has no block <!-- {name} -->")
        text = pattern.sub(lambda match, table=table: match.group(1) + table + match.group(2), text)  # type: ignore[misc]
    return text


def figure(out: Path) -> None:
    """docs/rnd.png: the README's figure, drawn from a stored verdict as the report draws it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from nonvacuous.report.figures import draw_check

    verdict = json.loads((out / "verdicts" / "iw.rnd_equals_ensemble.json").read_text(encoding="utf-8"))
    (check,) = [check for check in verdict["checks"] if check["claim"] == "LimitWithRate"]
    picture = Figure(figsize=(7, 3.6), layout="constrained")
    FigureCanvasAgg(picture)
    draw_check(check, picture.subplots())
    README.parent.joinpath("docs").mkdir(exist_ok=True)
    picture.savefig(README.parent / "docs" / "rnd.png", dpi=160)


def main() -> None:
    text = README.read_text(encoding="utf-8")
    new = rewritten(text)
    if "--check" in sys.argv[1:]:
        raise SystemExit(0 if new == text else "README.md is out of date: run `make catalogue`")
    README.write_text(new, encoding="utf-8")
    figure(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("nonvacuous-runs"))


if __name__ == "__main__":
    main()
