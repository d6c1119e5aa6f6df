"""`nv.show`: one statement or several, as text and as HTML, with the verdicts of a folder or the shipped ones."""

from __future__ import annotations

import json

import pytest

import nonvacuous as nv
from nonvacuous.errors import InvalidInput, UnknownKey
from nonvacuous.numerics.digests import code_digest
from nonvacuous.shipped import find


def test_the_text_is_that_of_the_command(nonvacuous):
    for key in ("pb.kl", "iw.rnd_def"):
        assert nonvacuous("show", key).stdout == f"{nv.show(key)}\n"


def test_html_has_the_statement_its_status_and_no_markup_of_its_own():
    entry = find("pb.kl")
    page = nv.show("pb.kl")._repr_html_()
    caught = len(entry["verdict"]["controls"])
    for words in (entry["title"], f"{caught} of {caught} wrong versions refuted", entry["verdict"]["derivation"]):
        assert words.replace("<", "&lt;").replace(">", "&gt;") in page
    escaped = nv.show("iw.loewner_chain")._repr_html_()  # its title has <=
    assert "posterior &lt;= deep" in escaped
    assert "posterior <= deep" not in escaped


def test_several_are_a_table_and_a_definition_has_no_evidence():
    shown = nv.show("iw.rnd_def", "iw.rnd_equals_ensemble")
    page = shown._repr_html_()
    assert page.count("<tr>") == 3
    assert "none: algorithm" in page
    assert "wrong versions refuted" in str(shown)


def test_a_run_folder_replaces_the_shipped_verdict(tmp_path):
    (tmp_path / "verdicts").mkdir()
    modules = find("pb.kl")["verdict"]["code"]["modules"]
    checks = [{"name": "c", "controls": [{"name": "w", "verdict": "supported"}]}]
    verdict = {
        "verdict": "refuted", "date": "2026-01-01", "derivation": {"status": "replayed", "cited_steps": 0}, "checks": checks,
        "budget": "quick", "code": {"modules": modules, "digest": code_digest(modules)},
    }  # fmt: skip
    (tmp_path / "verdicts" / "pb.kl.json").write_text(json.dumps(verdict))
    assert "refuted; 0 of 1 wrong versions refuted" in nv.show("pb.kl", out=tmp_path)._repr_html_()


def test_bad_keys():
    with pytest.raises(InvalidInput, match="no key"):
        nv.show()
    with pytest.raises(UnknownKey, match=r"Did you mean pb\.betting"):
        nv.show("pb.beting")
    with pytest.raises(UnknownKey, match=r"pb.xqzw'\. `nonvacuous list`"):
        nv.show("pb.xqzw")
