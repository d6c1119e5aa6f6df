"""Every known wrong implementation, D1 to D31, has a regression test that is named after it."""

from __future__ import annotations

import re
from pathlib import Path


def test_every_pitfall_has_a_test():
    text = "\n".join(path.read_text() for path in Path(__file__).resolve().parents[1].rglob("test_*.py"))
    found = {int(number) for number in re.findall(r"def test_d0*(\d+)_", text)}
    assert found == set(range(1, 32))
