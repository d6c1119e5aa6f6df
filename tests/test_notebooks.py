"""The course: sources and saved outputs in step, every notebook runs, and the runner fails where it must.

They run at the small setting in `test_notebooks_*.py`.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest
from notebook_runs import ROOT, RUNNER, run

from nonvacuous.proofs.catalogue import CATALOGUE
from nonvacuous.proofs.notebooks import NOTEBOOKS

SOURCES = sorted((ROOT / "notebooks").glob("[0-9]*.py"))
SOMEBODYS_FOLDER = re.compile(r"/(home|root|tmp|Users|var/folders|site-packages)/|[A-Z]:\\Users")

notebook_files = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    return module(RUNNER)


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"loaded_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def saved(source: Path) -> Any:
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def written(text: str) -> Any:
    """A notebook whose only cell has written `text`."""
    stream = nbformat.v4.new_output("stream", name="stdout", text=text)
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=[stream])])


def test_there_is_a_course():
    assert SOURCES
    for result in CATALOGUE:
        if result.notebook:
            assert (ROOT / "notebooks" / f"{result.notebook}.py").is_file(), (
                f"{result.key} names a notebook that does not exist"
            )


def test_a_notebook_mentions_the_results_that_name_it():
    for key, notebook in NOTEBOOKS.items():
        assert f"`{key}`" in (text := (ROOT / "notebooks" / f"{notebook}.py").read_text()) or f'"{key}"' in text


def test_the_overlay_names_results():
    assert set(NOTEBOOKS) <= {result.key for result in CATALOGUE}
    assert {result.key: result.notebook for result in CATALOGUE if result.key in NOTEBOOKS} == NOTEBOOKS


@notebook_files
def test_saved_notebook_is_in_step_with_its_source(runner, source):
    def content(notebook):
        return [(cell.cell_type, cell.id, cell.source, dict(cell.metadata)) for cell in notebook.cells]

    assert content(saved(source)) == content(runner.read_source(source)), (
        f"run: make notebooks ({source.name} was edited)"
    )
    assert dict(saved(source).metadata) == runner.METADATA


@notebook_files
def test_saved_notebook_was_executed_in_order_without_errors(source):
    notebook = saved(source)
    nbformat.validate(notebook)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    kinds = [output.output_type for output in outputs(notebook)]
    assert kinds
    assert "error" not in kinds
    assert any("image/png" in output.get("data", {}) for output in outputs(notebook))


@notebook_files
def test_saved_outputs_are_free_of_warnings_and_places(source):
    for output in outputs(saved(source)):
        texts = [
            output.get("text", ""),
            *(text for kind, text in output.get("data", {}).items() if kind.startswith("text/")),
        ]
        for text in texts:
            assert not SOMEBODYS_FOLDER.search(text)
            assert "Warning" not in text
        assert output.get("name") != "stderr"


@notebook_files
def test_every_section_asserts_something(source):
    """A section that computes must be able to fail."""
    sections: list[list[Any]] = [[]]
    for cell in saved(source).cells:
        if cell.cell_type == "markdown" and re.search(r"^## ", cell.source, re.MULTILINE):
            sections.append([])
        elif cell.cell_type == "code":
            sections[-1].append(cell.source)
    for cells in sections[1:]:
        assert not cells or any(re.search(r"^assert ", code, re.MULTILINE) for code in cells)


def test_every_notebook_runs_at_the_small_setting_in_one_of_the_files():
    """`test_notebooks_*.py` share them, so that two processes can."""
    starts = [start for path in sorted(ROOT.glob("tests/test_notebooks_*.py")) for start in module(path).STARTS]
    assert sorted(starts) == [source.name[:2] for source in SOURCES]


def test_runner_fails_where_a_notebook_that_is_named_is_not_there():
    done = run("--check", "99")
    assert done.returncode == 1
    assert "no notebook 99" in done.stderr


def test_runner_fails_without_notebooks(tmp_path):
    done = run("--check", "--folder", str(tmp_path))
    assert done.returncode == 1
    assert "no notebook" in done.stderr


def test_runner_fails_at_a_false_assertion_and_saves_nothing(tmp_path):
    (tmp_path / "01_false.py").write_text("# %%\nassert 1 + 1 == 3, 'arithmetic'\n")
    done = run("--folder", str(tmp_path))
    assert done.returncode == 1
    assert "arithmetic" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["01_false.py"]


@pytest.mark.parametrize("text", [str(ROOT / "x.py"), str(Path.home() / "x"), "<object at 0x7f12ab34cd56>"])
def test_runner_refuses_what_belongs_to_one_machine(runner, text):
    path = Path("01_x.py")
    runner._require_presentable(path, written("fine: 0.05"), "scratch-folder")
    with pytest.raises(runner.NotebookError, match="path or address"):
        runner._require_presentable(path, written(text), "scratch-folder")


def test_runner_refuses_warnings(runner):
    notebook = written("UserWarning: look again")
    notebook.cells[0].outputs[0].name = "stderr"
    with pytest.raises(runner.NotebookError, match="warning"):
        runner._require_presentable(Path("01_x.py"), notebook, "scratch-folder")
