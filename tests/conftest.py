"""One quick verification for the whole session: the conformance tests read it, none repeats it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import settings

settings.register_profile("suite", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("suite")

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class QuickRun:
    """Exit code, printed JSON and stored verdicts of `nonvacuous verify --budget quick`."""

    out: Path
    code: int
    printed: Mapping[str, Any]
    messages: str
    verdicts: Mapping[str, Mapping[str, Any]]


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills once, however many processes share the tests: the others wait for the first.

    A folder that was not finished leaves no trace of being so, and is made again.
    """
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, finished = shared / name, shared / f"{name}.finished"
    with FileLock(shared / f"{name}.lock"):
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            finished.touch()
    return folder


@pytest.fixture(scope="session")
def quick_run(tmp_path_factory: pytest.TempPathFactory) -> QuickRun:
    def verify(folder: Path) -> None:
        out = folder / "runs"
        command = [
            sys.executable,
            "-m",
            "nonvacuous.cli.main",
            "verify",
            "--json",
            "--device",
            "cpu",
            "--out",
            str(out),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
        assert done.stdout, done.stderr
        (folder / "printed.json").write_text(done.stdout)
        (folder / "messages.txt").write_text(done.stderr)
        (folder / "code.txt").write_text(str(done.returncode))

    folder = once(tmp_path_factory, "verification", verify)
    out = folder / "runs"
    verdicts = {path.stem: json.loads(path.read_text()) for path in (out / "verdicts").glob("*.json")}
    printed = json.loads((folder / "printed.json").read_text())
    return QuickRun(
        out, int((folder / "code.txt").read_text()), printed, (folder / "messages.txt").read_text(), verdicts
    )


@pytest.fixture(scope="session")
def wheel_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install` puts into site-packages, for tools that do not see through an editable install's mapping."""

    def install(folder: Path) -> None:
        source, tree = folder / "source", folder / "tree"
        source.mkdir()
        for name in ("nonvacuous", "theory", "numerics", "proofs", "pyproject.toml", "README.md", "LICENSE"):
            subprocess.run(["cp", "-r", str(ROOT / name), str(source)], check=True)
        options = ["--quiet", "--no-deps", "--no-build-isolation", "--target", str(tree), str(source)]
        done = subprocess.run([sys.executable, "-m", "pip", "install", *options], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    return once(tmp_path_factory, "wheel", install) / "tree"


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def nonvacuous(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run the command line in a fresh folder, in this process (a process of its own would import everything again)."""
    from nonvacuous.cli.main import run as command_line

    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, input: str = "") -> Done:
        out, err = io.StringIO(), io.StringIO()
        monkeypatch.setattr(sys, "stdin", io.StringIO(input))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = command_line(list(arguments))
        return Done(code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def without():
    """Code to run first, after which the named packages cannot be imported."""

    def block(*names: str) -> str:
        return f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""

    return block
