"""Notebooks run in a subprocess: the event loops and sockets of the kernel's client stay out of this process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNNER = ROOT / "tools" / "notebooks.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(RUNNER), *arguments], capture_output=True, text=True, timeout=600)


def assert_they_run(starts: Sequence[str]) -> None:
    """At the small setting, in silence, leaving the folder as it was."""
    before = {path: path.read_bytes() for path in (ROOT / "notebooks").iterdir() if path.is_file()}
    done = run("--check", *starts)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert [line.split()[1][:2] for line in done.stdout.splitlines() if "(small)" in line] == list(starts)
    assert {path: path.read_bytes() for path in (ROOT / "notebooks").iterdir() if path.is_file()} == before
