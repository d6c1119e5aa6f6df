"""What is claimed: formulas agree with SymPy, citations resolve, functions exist, and the shipped data is that of the code."""

from __future__ import annotations

import importlib
import json
import re

import pytest
import sympy

import nonvacuous
from nonvacuous.numerics.methods import METHODS
from nonvacuous.proofs.catalogue import CATALOGUE
from nonvacuous.settings import from_json, to_json
from nonvacuous.shipped import CATALOGUE_FILE, entries, packed, unpacked
from nonvacuous.shipping import entry, lines
from nonvacuous.statements import STATEMENTS
from nonvacuous.theory.bibliography import REFERENCES, find
from nonvacuous.theory.derivation import Cited

IDS = [statement.key for statement in STATEMENTS]


@pytest.mark.parametrize("statement", STATEMENTS, ids=IDS)
def test_every_citation_resolves(statement):
    for source in statement.source:
        assert find(source.reference).key == source.reference
    for result in CATALOGUE:
        for step in result.derivation:
            if isinstance(step, Cited):
                find(step.reference)


def test_bibliography():
    keys = [reference.key for reference in REFERENCES]
    assert len(keys) == len(set(keys))
    for reference in REFERENCES:
        assert reference.bibtex().count("{") == reference.bibtex().count("}")
        assert reference.author
        assert reference.title
        assert 1800 < reference.year < 2100


@pytest.mark.parametrize("statement", [s for s in STATEMENTS if s.relation], ids=lambda s: s.key)
def test_text_and_latex_are_the_sympy_relation(statement):
    names = {"n", "p", "N"}
    symbols = {name: sympy.Symbol(name, positive=True, integer=True) for name in names}
    functions = {
        name: sympy.Function(name)
        for name in re.findall(r"\b([a-z]+)\(", statement.relation)
        if not hasattr(sympy, name)
    }
    relation = sympy.sympify(statement.relation, locals={**symbols, **functions})
    assert sympy.latex(relation) == statement.latex
    quoted = re.findall(r"`([^`]+)`", statement.text)
    assert any(sympy.sympify(text, locals={**symbols, **functions}) in (relation, relation.rhs) for text in quoted)


def test_some_statements_are_held_to_sympy():
    assert sum(s.relation is not None for s in STATEMENTS) >= 1


@pytest.mark.parametrize("statement", [s for s in STATEMENTS if s.function], ids=lambda s: s.key)
def test_the_named_function_is_public_and_documented(statement):
    module, _, name = statement.function.rpartition(".")
    function = getattr(importlib.import_module(module), name)
    assert callable(function)
    assert function.__doc__


def test_methods_cite_statements():
    for method in METHODS:
        assert set(method.theorems) <= set(IDS)


@pytest.mark.parametrize("result", CATALOGUE, ids=lambda r: r.key)
def test_settings_survive_json(result):
    text = json.dumps(to_json(result.example), allow_nan=False)
    again = from_json(type(result.example), json.loads(text))
    assert json.dumps(to_json(again)) == text
    assert json.dumps(to_json(result.predict(again)), allow_nan=False) == json.dumps(
        to_json(result.predict(result.example))
    )


def test_the_shipped_catalogue_is_that_of_the_code():
    """Statements, examples and controls as shipped are those of the code, and every shipped verdict is clean. (`make catalogue`)"""
    results = {result.key: result for result in CATALOGUE}
    shipped = entries()
    assert [e["key"] for e in shipped] == IDS
    for statement, found in zip(STATEMENTS, shipped, strict=True):
        verdict = found.pop("verdict", None)
        assert found == json.loads(json.dumps(entry(statement, results.get(statement.key))))
        if found["result"]:
            assert verdict["evidence"] == "supported"
            assert all(control["verdict"] == "refuted" for control in verdict["controls"])
            names = [
                f"{check['name']} / {name}"
                for check in found["checks"]
                if "budget" not in check
                for name in check["controls"]
            ]
            assert [control["name"] for control in verdict["controls"]] == names
    assert CATALOGUE_FILE.stat().st_size < 2_000_000


def test_shipped_verdicts_keep_the_modules_they_rest_on():
    def rests_on(*names):
        return {
            "key": "".join(names),
            "verdict": {"evidence": "supported", "code": {"modules": list(names), "digest": "d"}},
        }

    found = [rests_on("a", "c"), {"key": "a definition"}, rests_on(), rests_on("b", "c")]
    assert unpacked(json.loads(lines(packed(found)))) == found
    assert any(len(e["verdict"]["code"]["modules"]) > 50 for e in entries() if "verdict" in e)


def test_public_names_exist():
    for name in nonvacuous.PUBLIC_NAMES:
        assert getattr(nonvacuous, name) is not None
    with pytest.raises(AttributeError, match="public names"):
        _ = nonvacuous.scaling_of_nothing
