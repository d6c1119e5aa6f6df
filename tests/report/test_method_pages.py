"""Method pages: every setting with the origin of its default, every theorem with its verdict of today, and a source that agrees with itself."""

from __future__ import annotations

import ast
import re
from dataclasses import MISSING, fields, replace
from pathlib import Path

import pytest
from pages import Page, check, problems, result, store, verdict

from nonvacuous.numerics.methods import METHODS, implementation
from nonvacuous.report import write_report
from nonvacuous.report.method_page import method_file, method_page
from nonvacuous.report.method_source import _blocks, _listed, _tree, choices, method_source
from nonvacuous.theory.errors import StorageError

NAMES = [method.name for method in METHODS]
each = pytest.mark.parametrize("method", METHODS, ids=NAMES)


@each
def test_the_settings_on_the_page_are_those_of_the_class(method):
    config = implementation(method).config
    found = method_source(method).fields
    assert [field.name for field in found] == [field.name for field in fields(config)]
    for shown, real in zip(found, fields(config), strict=True):
        assert shown.annotation == str(real.type)
        if real.default is MISSING:
            assert shown.default is None
        else:
            assert ast.literal_eval(shown.default) == real.default


@each
def test_every_setting_has_an_origin_and_the_stated_default_is_the_real_one(method):
    stated = choices(_listed(_blocks(_tree(method.module))))
    for field in method_source(method).fields:
        assert field.origin, f"{field.name} of {method.name} has no origin"
        value, words = stated[field.name]
        if value is not None:
            assert ast.literal_eval(value) == ast.literal_eval(field.default), field.name
        if "no default" in words:
            assert field.default in (None, "None"), f"{field.name} of {method.name} has a default after all"
    assert set(stated) == {field.name for field in method_source(method).fields}


@each
def test_the_text_names_the_theorems_that_the_list_of_methods_names(method):
    text = " ".join(" ".join(_blocks(_tree(method.module))).split())
    named = re.search(r"Theorems: (.*?)\. ?(Sources?:|$)", text)
    assert named is not None
    assert set(re.findall(r"\b(?:iw|fs|pb|ib)\.\w+", named[1])) == set(method.theorems)
    for word in ("Objective.", "Algorithm.", "Choices and their origin."):
        assert word in text


def test_choices_are_read_as_they_are_written():
    block = 'Choices and their origin.\n  a, b   of both\n  c = "x, y", d = 1e-3   first line\n         and more   words\n  e = None  last'
    assert choices(block) == {
        "a": (None, "of both"),
        "b": (None, "of both"),
        "c": ('"x, y"', "first line and more   words"),
        "d": ("1e-3", "first line and more   words"),
        "e": ("None", "last"),
    }
    assert choices("") == {}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("methods")
    old = verdict("iw.lin_cov_inf", [check("Formula")])
    old["code"]["digest"] = "another"
    store(out, verdict("iw.rnd_equals_ensemble", [check("Formula")]), old)
    keys = ("iw.rnd_equals_ensemble", "iw.lin_cov_inf", "iw.max_lr")
    write_report(out, tuple(result(key, title=f"About {key}") for key in keys))
    return out


def test_theorems_carry_the_verdicts_of_this_report(written):
    assert problems(written / "report") == []
    page = Page((written / "report" / "method.deep_ensemble.html").read_text(encoding="utf-8"))
    words = re.sub(r"\s+", " ", page.words)
    row = {
        key: words[words.index(key + "About") :][:200]
        for key in ("iw.rnd_equals_ensemble", "iw.lin_cov_inf", "iw.max_lr")
    }
    assert "supported" in row["iw.rnd_equals_ensemble"]
    assert "1 of 1" in row["iw.rnd_equals_ensemble"]
    assert "stale" in row["iw.lin_cov_inf"].partition("iw.max_lr")[0]
    assert "not run" in row["iw.max_lr"]
    assert {"iw.rnd_equals_ensemble.html", "iw.lin_cov_inf.html", "iw.max_lr.html"} <= set(page.links)
    # a theorem without a result in this report is named, not linked
    assert "iw.momentum.html" not in page.links
    assert "no result in this report" in words


def test_the_page_shows_settings_origins_and_functions(written):
    words = Page((written / "report" / "method.rnd.html").read_text(encoding="utf-8")).words
    for expected in (
        "RNDConfig", "weight_std", "required", "as in deep_ensemble: the residual that is left", "fit(", "Beyond the grammar", "errors(",
        "Objective.", "Algorithm.", "nonvacuous methods rnd", "chi-squared",
    ):  # fmt: skip
        assert expected in words, expected
    assert "Choices and their origin" not in words  # they are the table
    laplace = Page((written / "report" / "method.laplace.html").read_text(encoding="utf-8")).words
    assert "definition" in laplace
    assert "Beyond the grammar" not in laplace


def test_an_undocumented_setting_is_shouted_and_a_missing_source_refused(monkeypatch):
    monkeypatch.setattr("nonvacuous.report.method_source.choices", lambda block: {})
    page = Page(method_page(METHODS[1], ()))
    assert page.words.count("not stated") == len(method_source(METHODS[1]).fields)
    with pytest.raises(StorageError, match="Reinstall"):
        method_page(replace(METHODS[1], module="nowhere"), ())
    assert method_file(METHODS[1]) == "method.deep_ensemble.html"
