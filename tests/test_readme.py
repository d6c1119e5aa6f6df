"""The README: its tables are generated, its examples run, its commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_tables_are_those_of_the_code():
    done = subprocess.run([sys.executable, "tools/readme.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_there_are_examples():
    assert len(EXAMPLES) >= 4
    assert len(re.findall(r"# prints: ", "".join(EXAMPLES))) >= 6, "the examples say what they print"


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_run(number, tmp_path):
    """Each example on its own, in an empty folder; `# prints:` comments state what it prints and are compared."""
    code = EXAMPLES[number]
    # torch's own forward-mode rules use what torch deprecates
    warnings = ["-W", "error", "-W", "ignore:`torch.jit.script` is deprecated:DeprecationWarning"]
    done = subprocess.run([sys.executable, *warnings, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for line in re.findall(r"# prints: (.*)", code):
        assert line in done.stdout, f"the README promises {line!r}; printed:\n{done.stdout}"


def test_the_two_commands_are_targets():
    makefile = (ROOT / "Makefile").read_text()
    for command in ("verify", "test"):
        assert f"make {command}" in TEXT
        assert f"\n{command}:" in makefile
    assert "exec make test" in (ROOT / ".ci" / "run").read_text()


def test_links_resolve():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", TEXT):
        assert (ROOT / target).exists(), target
