"""One quick verification for the whole session: the conformance tests read it, none repeats it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
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


@pytest.fixture(scope="session")
def quick_run(tmp_path_factory: pytest.TempPathFactory) -> QuickRun:
    out = tmp_path_factory.mktemp("verification")
    command = [sys.executable, "-m", "nonvacuous.cli.main", "verify", "--json", "--device", "cpu", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=out, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.stdout, done.stderr
    verdicts = {path.stem: json.loads(path.read_text()) for path in (out / "verdicts").glob("*.json")}
    return QuickRun(out, done.returncode, json.loads(done.stdout), done.stderr, verdicts)


@pytest.fixture(scope="session")
def wheel_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install` puts into site-packages, for tools that do not see through an editable install's mapping."""
    source = tmp_path_factory.mktemp("source")
    for name in ("nonvacuous", "theory", "numerics", "proofs", "pyproject.toml", "README.md", "LICENSE"):
        subprocess.run(["cp", "-r", str(ROOT / name), str(source)], check=True)
    tree = tmp_path_factory.mktemp("tree")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(tree),
        str(source),
    ]
    done = subprocess.run(pip, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return tree


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
