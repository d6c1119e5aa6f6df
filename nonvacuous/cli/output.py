"""Printing: JSON without NaN, and tables."""

from __future__ import annotations

import json
import sys
from typing import Any

from ..settings import to_json


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    json.dump(to_json(value), sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def table(columns: list[str], rows: list[list[str]], title: str | None = None) -> None:
    """A table that a person can read; colours only on a terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if console.width < 110 and columns[-1] == "title":  # titles would be folded letter by letter
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    grid = Table(title=title, box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for index, column in enumerate(columns):  # names are never cut; what else is too long is folded between words
        longest = max((len(row[index]) for row in rows), default=0)
        name = index == 0 or longest < 16
        grid.add_column(column, overflow="fold", no_wrap=name, min_width=longest if name else None)
    for row in rows:
        grid.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    console.print(grid)


STYLES = {"supported": "green", "refuted": "bold red", "inconclusive": "yellow", "stale": "yellow", "not run": "dim"}


def progress_bars() -> Any:
    """Bars with counts, time passed and time left, on standard error; a context manager."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description:<34}"), BarColumn(), MofNCompleteColumn())
    return Progress(
        *columns, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=Console(stderr=True)
    )
