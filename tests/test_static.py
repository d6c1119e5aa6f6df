"""ruff and mypy: the tools' own verdicts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

FOLDERS = ("nonvacuous", "theory", "numerics", "proofs", "tests", "benchmarks", "notebooks", "tools")


def test_ruff():
    done = subprocess.run([sys.executable, "-m", "ruff", "check", *FOLDERS], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_format():
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--check", *FOLDERS], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_mypy(wheel_tree):
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        str(ROOT / "pyproject.toml"),
        "--cache-dir",
        str(ROOT / ".mypy_cache"),
        "-p",
        "nonvacuous",
    ]
    done = subprocess.run(
        command, cwd=wheel_tree, capture_output=True, text=True, env={**os.environ, "MYPYPATH": str(wheel_tree)}
    )
    assert done.returncode == 0, done.stdout
