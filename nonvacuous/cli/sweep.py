"""sweep plan, run and collect: the measurements of a large verification, spread over machines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InvalidInput
from ..shipped import DEFAULT_OUT
from .output import print_json, progress_bars
from .verification import exit_code, load_catalogue, seconds

app = typer.Typer(
    no_args_is_help=True, help="Spread the measurements of a verification over machines, then judge once."
)

Names = Annotated[list[str] | None, typer.Argument(help="Keys, areas, or module:CATALOGUE of your own.")]
BudgetOption = Annotated[str, typer.Option(help="quick, standard or full.")]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda or auto.")]
OutOption = Annotated[Path, typer.Option(help="Where rows are kept.")]
ShardOption = Annotated[str, typer.Option(help="I/N: this machine's share, from 1/N to N/N.")]


def shard_of(text: str) -> Any:
    """'3/8' as a Shard."""
    from ..proofs.sweep import Shard

    index, _, count = text.partition("/")
    if not (index.isdigit() and count.isdigit()):
        raise InvalidInput(f"The shard is {text!r}.", "Write I/N, for example 3/8.")
    return Shard(int(index), int(count))


def nothing(device: str) -> int:
    """No row file is measured on this machine."""
    return 0


@app.command()
def plan(
    names: Names = None,
    budget: BudgetOption = "full",
    device: DeviceOption = "auto",
    shard: ShardOption = "1/1",
    out: OutOption = DEFAULT_OUT,
    seed: int = 0,
    json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Say what a share has to measure, and what is there already."""
    from ..api import device_to_judge
    from ..proofs import sweep

    catalogue, wanted = load_catalogue(names or [])
    options: dict[str, Any] = {"out": out, "names": wanted, "budget": budget, "seed": seed, "shard": shard_of(shard)}
    found = sweep.plan(catalogue, device=device_to_judge(device, nothing), **options)
    if json:
        print_json({"schema_version": 1, "tasks": found.tasks, "total": found.total, "present": found.present})
        return
    for key, count in found.tasks.items():
        print(f"{key}: {count}")
    print(f"shard {shard}: {found.total} row files to measure, {found.present} present in {out}")


@app.command()
def run(
    names: Names = None,
    budget: BudgetOption = "full",
    device: DeviceOption = "auto",
    shard: ShardOption = "1/1",
    jobs: Annotated[int, typer.Option(min=0, help="Worker processes; 0 for one a core, 1 for none.")] = 1,
    cluster: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler; its workers do the measuring.")
    ] = None,
    time_limit: Annotated[
        str | None, typer.Option(help="Begin nothing after this long (90s, 9m); the same command goes on.")
    ] = None,
    out: OutOption = DEFAULT_OUT,
    seed: int = 0,
) -> None:
    """Measure what is missing of a share. Exit code 2 while something of it is left."""
    from ..api import device_to_judge, pick_device
    from ..proofs import sweep
    from ..proofs.verification import Failed, Measured

    catalogue, wanted = load_catalogue(names or [])
    share = shard_of(shard)
    place = device_to_judge(device, nothing) if cluster else pick_device(device)  # the workers' cards, not ours
    options: dict[str, Any] = {
        "out": out,
        "names": wanted,
        "budget": budget,
        "device": place,
        "seed": seed,
        "shard": share,
    }
    todo = sweep.plan(catalogue, **options)
    codes = [0]
    with progress_bars() as progress:
        task = progress.add_task("measuring", total=todo.total)
        progress.console.print(
            f"shard {shard}, budget {budget}, {place}: {todo.total} row files to measure, {todo.present} present in {out}",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
        limit = seconds(time_limit) if time_limit else None
        for event in sweep.run(
            catalogue, **options, jobs=jobs or os.cpu_count() or 1, address=cluster, time_limit=limit
        ):
            if isinstance(event, Measured):
                progress.update(task, advance=1, description=f"measured {event.key}")
            elif isinstance(event, Failed):
                codes.append(event.exit_code)
                progress.console.print(
                    f"error in {event.key}: {event.problem}", style="red", highlight=False, soft_wrap=True
                )
            else:
                codes.append(2)
                progress.console.print(
                    f"{event.tasks} left: run the same command again.", highlight=False, soft_wrap=True
                )
    raise typer.Exit(exit_code(codes))


@app.command()
def collect(
    folders: Annotated[list[Path], typer.Argument(help="Folders that shards wrote to.")],
    out: OutOption = DEFAULT_OUT,
    json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Copy the rows of other machines into OUT; `nonvacuous verify` then judges them. Exit code 3 if a file is damaged."""
    from ..proofs import sweep

    found = sweep.collect(out, folders)
    if json:
        print_json(
            {"schema_version": 1, "copied": found.copied, "present": found.present, "damaged": list(found.damaged)}
        )
    else:
        print(f"{found.copied} row files copied to {out}, {found.present} present")
        for path in found.damaged:
            print(f"damaged, left behind: {path}")
    raise typer.Exit(3 if found.damaged else 0)


def register(main: typer.Typer) -> None:
    main.add_typer(app, name="sweep")
