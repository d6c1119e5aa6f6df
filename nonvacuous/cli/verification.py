"""verify and report: measure, judge, and write what people read."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InvalidInput, UnknownKey
from ..shipped import DEFAULT_OUT
from .output import print_json, progress_bars, table

WORST_FIRST = (4, 3, 1, 2, 0)


def exit_code(codes: Sequence[int]) -> int:
    """The worst of several: internal error, bad input, refuted, inconclusive, supported."""
    return min(codes, key=WORST_FIRST.index, default=0)


def code_of(verdict: Mapping[str, Any]) -> int:
    """1 when a check is refuted, a control survived or a derivation step failed; 2 when undecided."""
    if verdict["verdict"] == "refuted" or not verdict["controls_refuted"] or verdict["derivation"]["failed"]:
        return 1
    return 2 if verdict["verdict"] == "inconclusive" else 0


def seconds(text: str) -> float:
    """'90', '90s', '9m', '1.5h' in seconds."""
    unit = {"s": 1.0, "m": 60.0, "h": 3600.0}.get(text[-1:])
    try:
        value = float(text[:-1] if unit else text) * (unit or 1.0)
    except ValueError:
        value = -1.0
    if not value > 0 or value == float("inf"):
        raise InvalidInput(f"The time limit {text!r} is not a duration.", "Write for example 90s, 9m or 1.5h.")
    return value


def load_catalogue(names: Sequence[str]) -> tuple[Any, list[str]]:
    """The catalogue to verify (the package's, or `module:NAME`) and the keys or areas wanted from it."""
    foreign = [name for name in names if ":" in name]
    if not foreign:
        from ..proofs.catalogue import CATALOGUE

        return CATALOGUE, list(names)
    if len(foreign) > 1:
        raise InvalidInput("Only one catalogue can be verified at a time.", "Name one module:CATALOGUE.")
    module, _, attribute = foreign[0].partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # whatever a foreign module does when it is imported
        raise UnknownKey(
            f"The catalogue {foreign[0]} cannot be imported ({error}).", "Write module:NAME of a tuple of Results."
        ) from error
    from ..proofs.result import Result

    if not isinstance(found, tuple) or not all(isinstance(result, Result) for result in found):
        raise InvalidInput(f"{foreign[0]} is not a tuple of Results.")
    if not found:
        raise InvalidInput(f"{foreign[0]} is empty.", "Nothing verified is nothing supported.")
    return found, [name for name in names if name not in foreign]


def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Keys, areas, or module:CATALOGUE of your own.")] = None,
    budget: Annotated[str, typer.Option(help="quick, standard or full.")] = "quick",
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    jobs: Annotated[int, typer.Option(min=0, help="Worker processes; 0 for one a core, 1 for none.")] = 0,
    time_limit: Annotated[
        str | None, typer.Option(help="Begin nothing after this long (90s, 9m); the same command goes on.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where rows and verdicts are kept.")] = DEFAULT_OUT,
    seed: int = 0,
    json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Verify results: measure what is missing, judge every check and control, replay every derivation."""
    from ..api import device_to_judge
    from ..proofs.sweep import plan

    catalogue, wanted = load_catalogue(names or [])
    limit = seconds(time_limit) if time_limit else None
    options: dict[str, Any] = {"out": out, "budget": budget, "seed": seed}
    place = device_to_judge(device, lambda named: plan(catalogue, names=wanted, device=named, **options).total)
    verdicts, code = run_verification(catalogue, wanted, device=place, jobs=jobs, time_limit=limit, **options)
    if json:
        print_json({"schema_version": 1, "results": [_brief(verdict) for verdict in verdicts]})
    else:
        print_verdicts(verdicts)
    raise typer.Exit(code)


def _brief(verdict: Mapping[str, Any]) -> dict[str, Any]:
    checks = [
        {name: check[name] for name in ("name", "claim", "verdict", "power", "detail", "controls")}
        for check in verdict["checks"]
    ]
    return {
        "key": verdict["key"],
        "verdict": verdict["verdict"],
        "derivation": verdict["derivation"]["status"],
        "checks": checks,
    }


def print_verdicts(verdicts: Sequence[Mapping[str, Any]]) -> None:
    """One line a result."""
    rows = []
    for verdict in verdicts:
        controls = [control for check in verdict["checks"] for control in check["controls"]]
        caught = sum(control["verdict"] == "refuted" for control in controls)
        derivation = verdict["derivation"]["status"].partition(" from ")[0]
        rows.append(
            [
                verdict["key"],
                verdict["verdict"],
                f"{caught}/{len(controls)}",
                derivation,
                f"{verdict['seconds']:.1f}",
                verdict["title"],
            ]
        )
    table(["result", "evidence", "refuted", "derivation", "seconds", "title"], rows)
    print("refuted: wrong variants that a check had to refute, and did")
    for verdict in verdicts:
        for check in verdict["checks"]:
            if check["verdict"] != "supported":
                print(f"{verdict['key']}: {check['verdict']}: {check['name']}: {check['detail']}; {check['power']}")
            for control in check["controls"]:
                if control["verdict"] != "refuted":
                    print(
                        f"{verdict['key']}: control survived: {check['name']} / {control['name']}: {control['detail']}"
                    )
        for step in verdict["derivation"]["steps"]:
            if step["ok"] is False:
                print(f"{verdict['key']}: derivation step failed: {step['text']}: {step['detail']}")


def run_verification(
    catalogue: Any,
    names: Sequence[str],
    *,
    budget: Any,
    device: str,
    jobs: int,
    time_limit: float | None,
    out: Path,
    seed: int,
) -> tuple[list[Mapping[str, Any]], int]:
    """Drive a verification with a progress bar on standard error; the verdicts and the exit code."""
    from ..proofs.verification import Failed, Judged, Measured, Planned, Postponed
    from ..proofs.verification import verify as events

    jobs = jobs or os.cpu_count() or 1
    found: dict[str, Mapping[str, Any]] = {}
    codes: list[int] = []
    with progress_bars() as progress:
        console = progress.console
        task = progress.add_task("planning", total=None)
        stream = events(
            catalogue, out=out, names=names, budget=budget, device=device, seed=seed, jobs=jobs, time_limit=time_limit
        )
        for event in stream:
            match event:
                case Planned():
                    console.print(
                        f"budget {budget}, {device}, {jobs} job(s): {event.measure} row files to measure, {event.reused} reused from {out}; "
                        f"{event.results} results to judge, {event.standing} verdicts stand",
                        highlight=False,
                        soft_wrap=True,
                    )
                    progress.update(task, total=event.measure + event.results + event.standing, description="verifying")
                case Measured():
                    progress.update(task, advance=1, description=f"measured {event.key}")
                case Judged():
                    found[event.key] = event.verdict
                    codes.append(code_of(event.verdict))
                    progress.update(task, advance=1, description=f"judged {event.key}")
                case Failed():
                    codes.append(event.exit_code)
                    console.print(
                        f"error in {event.key}: {event.problem}", style="red", highlight=False, soft_wrap=True
                    )
                    if event.exit_code == 4:
                        console.print(event.trace, highlight=False, soft_wrap=True, markup=False)
                case Postponed():
                    codes.append(2)
                    console.print(
                        f"not finished: {', '.join(event.keys)}. Run the same command again to go on.",
                        highlight=False,
                        soft_wrap=True,
                    )
    return [found[result.key] for result in catalogue if result.key in found], exit_code(codes)


def report(
    out: Annotated[Path, typer.Option(help="Folder of a verification run.")] = DEFAULT_OUT,
    json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Write OUT/report/index.html from the stored verdicts: plain files that open from disk."""
    from ..proofs.catalogue import CATALOGUE
    from ..report import write_report
    from ..report.main_job import stored_certificate

    if not (out / "verdicts").is_dir():
        raise InvalidInput(f"{out} holds no verdicts.", "Run 'nonvacuous verify' first, or name its folder with --out.")
    path = write_report(out, CATALOGUE, stored_certificate(out))
    if json:
        print_json({"schema_version": 1, "report": str(path)})
    else:
        print(path)


def register(app: typer.Typer) -> None:
    app.command()(verify)
    app.command()(report)
