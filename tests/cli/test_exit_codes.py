"""What a verification's exit code says: true theorems, false ones, blind checks, broken derivations and crashes, told apart."""

from __future__ import annotations

import json

import pytest

WORLD = """
import numpy as np
from nonvacuous.numerics.claims import Agreement, Comparison
from nonvacuous.proofs.result import ByBudget, Check, Control, Result
from nonvacuous.theory.derivation import Algebra
from nonvacuous.theory.errors import InvalidInput
from nonvacuous.theory.statement import Kind, Source, Statement

def measure(setting, run):
    {measure}
    return {{"value": np.array([1.0])}}

def compare(setting, prediction, rows):
    return Comparison(rows["value"], np.array([prediction]), np.array([{bound}]), 1.0)

def step():
    import sympy
    x = sympy.Symbol("x", positive=True)
    return [(x + x, {factor} * x)]

STATEMENT = Statement(key="pb.{name}", title="t", kind=Kind.IDENTITY, text="t", latex="x", source=(Source("here", provenance="derived"),))
CHECK = Check("c", Agreement("rounding"), settings=ByBudget(quick=(0.0,)), compare=compare, experiment=measure,
              controls=(Control("off", {{"predict": lambda s: {control}}}),))
CATALOGUE = (Result(STATEMENT, predict=lambda s: {predicted}, example=0.0, checks=(CHECK,), derivation=(Algebra("2x", step),)),)
"""
GOOD = {"measure": "pass", "bound": "1e-9", "factor": "2", "control": "2.0", "predicted": "1.0"}
CASES = {
    "holds": ({}, 0),
    "is_false": ({"predicted": "1.1"}, 1),
    "has_a_blind_control": ({"control": "1.0"}, 1),
    "has_a_false_step": ({"factor": "3"}, 1),
    "cannot_tell": ({"bound": "0.01"}, 2),
    "can_hardly_tell": ({"control": "1.0000000015"}, 2),
    "gets_bad_input": ({"measure": "raise InvalidInput('no', 'advice')"}, 3),
    "crashes": ({"measure": "raise RuntimeError('boom')"}, 4),
}


@pytest.mark.parametrize("name", CASES)
def test_exit_code(nonvacuous, tmp_path, monkeypatch, name):
    changes, wanted = CASES[name]
    (tmp_path / f"world_{name}.py").write_text(WORLD.format(name=name, **{**GOOD, **changes}))
    monkeypatch.syspath_prepend(tmp_path)
    done = nonvacuous("verify", f"world_{name}:CATALOGUE", "--jobs", "1", "--device", "cpu", "--json")
    assert done.returncode == wanted, (done.stdout, done.stderr)
    if wanted in (0, 1, 2):
        (record,) = json.loads(done.stdout)["results"]
        assert record["key"] == f"pb.{name}"
    else:
        assert f"error in pb.{name}" in done.stderr
        assert ("Traceback" in done.stderr) == (wanted == 4)


def test_the_worst_of_several():
    from nonvacuous.cli.verification import exit_code

    assert exit_code([0, 2, 1, 3, 4]) == 4
    assert exit_code([0, 2, 1, 3]) == 3
    assert exit_code([0, 2, 1]) == 1
    assert exit_code([0, 2]) == 2
    assert exit_code([0]) == exit_code([]) == 0


@pytest.mark.parametrize(("text", "value"), [("90", 90), ("90s", 90), ("9m", 540), ("1.5h", 5400)])
def test_durations(text, value):
    from nonvacuous.cli.verification import seconds

    assert seconds(text) == value
