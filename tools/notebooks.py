"""Execute the course: every notebooks/[0-9]*.py (jupytext percent format), saved beside it as an executed .ipynb.

python tools/notebooks.py            full size, writes the .ipynb files
python tools/notebooks.py --check    small setting, writes nothing, fails at the first error
python tools/notebooks.py 07 12      only these

Fails when it finds no notebook. A notebook sees its setting in the environment variable NONVACUOUS_NOTEBOOK ("small", "full").
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks"
TIMEOUT = 300  # seconds for one cell
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
KEPT = ("jupyter", "tags")  # metadata of cells that the author wrote
ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")


class NotebookError(Exception):
    """A notebook that could not be run, or whose outputs must not be saved."""


def collect(folder: Path, starts: Sequence[str] = ()) -> list[Path]:
    """The sources of the course in order, or those whose names begin in one of these ways.

    Raises `NotebookError` when there is none: a runner that runs nothing passes nothing.
    """
    found = sorted(folder.glob("[0-9]*.py"))
    for start in starts:
        if not any(path.name.startswith(start) for path in found):
            raise NotebookError(f"no notebook {start}*.py in {folder}")
    found = [path for path in found if path.name.startswith(tuple(starts) or "")]
    if not found:
        raise NotebookError(f"no notebook [0-9]*.py in {folder}")
    return found


def read_source(path: Path) -> Any:
    """The notebook of a percent-format source, without outputs; ids and metadata depend on the source alone."""
    notebook = jupytext.read(path, fmt="py:percent")
    for index, cell in enumerate(notebook.cells):
        cell.id = f"cell-{index:02d}"
        cell.metadata = {name: cell.metadata[name] for name in KEPT if name in cell.metadata}
    notebook.metadata = METADATA
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def execute(path: Path, setting: str) -> Any:
    """Run a notebook in a fresh kernel of this interpreter and return it with outputs. Raises `NotebookError`."""
    notebook = read_source(path)
    with tempfile.TemporaryDirectory() as scratch:
        # An empty `kernel_dirs` leaves ipykernel's own spec, which is this interpreter: a python3 kernel that the user
        # installed elsewhere must not win. Scratch folders keep the user's IPython profile out.
        manager = AsyncKernelManager(
            kernel_name="python3",
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
            connection_file=str(Path(scratch) / "kernel.json"),
            transport="tcp" if os.name == "nt" else "ipc",  # where it exists, nothing but this user's files
        )
        environment = {**os.environ, "NONVACUOUS_NOTEBOOK": setting, "IPYTHONDIR": scratch, "PYTHONHASHSEED": "0"}
        environment.pop("MPLBACKEND", None)  # the kernel sets its inline backend only where none is given
        client = NotebookClient(notebook, km=manager, timeout=TIMEOUT, startup_timeout=120, record_timing=False)
        try:
            client.execute(cleanup_kc=True, env=environment, cwd=scratch)
        except (CellExecutionError, CellTimeoutError, DeadKernelError, RuntimeError) as error:
            raise NotebookError(f"{path.name}: {error}") from error
        _tidy(notebook)
        _require_presentable(path, notebook, scratch)
    nbformat.validate(notebook)
    return notebook


def _tidy(notebook: Any) -> None:
    """Take out what the kernel wrote about itself, and join the pieces in which a stream happened to arrive."""
    notebook.metadata = METADATA
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("execution", None)
        joined: list[Any] = []
        for output in cell.outputs:
            if output.output_type == "stream" and joined and joined[-1].get("name") == output.name:
                joined[-1].text += output.text
            else:
                joined.append(output)
        cell.outputs = joined


def _require_presentable(path: Path, notebook: Any, scratch: str) -> None:
    """No warning, no path of this machine and no memory address may reach a saved output."""
    private = {str(ROOT), str(Path.home()), sys.prefix, sys.base_prefix, tempfile.gettempdir(), scratch}
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            texts = [output.get("text", ""), *(v for k, v in output.get("data", {}).items() if k.startswith("text/"))]
            if output.output_type == "stream" and output.name == "stderr":
                raise NotebookError(f"{path.name}, {cell.id}: a warning or message on stderr:\n{output.text}")
            for text in texts:
                if any(place in text for place in private if len(place) > 1) or ADDRESS.search(text):
                    raise NotebookError(
                        f"{path.name}, {cell.id}: a path or address of this machine in the output:\n{text}"
                    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Execute the notebooks of the course.")
    parser.add_argument("only", nargs="*", metavar="NN", help="how the names of those to run begin; all by default")
    parser.add_argument("--check", action="store_true", help="small setting; write nothing")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the notebooks are")
    options = parser.parse_args(arguments)
    try:
        for path in collect(options.folder, options.only):
            start = time.perf_counter()
            print(f"[notebooks] {path.name} ({'small' if options.check else 'full'})", flush=True)
            notebook = execute(path, "small" if options.check else "full")
            if not options.check:
                path.with_suffix(".ipynb").write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
            print(f"[notebooks]   {len(notebook.cells)} cells in {time.perf_counter() - start:.0f} s", flush=True)
    except NotebookError as error:
        print(f"[notebooks] FAILED: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
