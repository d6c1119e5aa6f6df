"""Escaping by construction, and numbers as people read them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nonvacuous.report.markup import Html, el, page_name, prose, short, superscript, tidy


@given(st.text(), st.text())
def test_text_and_attributes_are_escaped(inside: str, attribute: str) -> None:
    made = el("p", inside, title=attribute)
    assert not re.search(r"[<>]", made[len("<p title=") : -len("</p>")].replace(">", "", 1))
    assert made.count("<") == 2


def test_markup_passes_and_absent_values_vanish() -> None:
    assert el("p", el("b", "x"), None, ["y", Html("<i>z</i>")], cls="c", id=None, hidden=True, data_n=3) == (
        '<p class="c" hidden data-n="3"><b>x</b>y<i>z</i></p>'
    )
    assert el("br") == "<br>"
    assert el("circle", r=2) == '<circle r="2"/>'


def test_prose_sets_code_and_signs() -> None:
    assert prose("a <= `x <= 1` >= b") == "a ≤ <code>x &lt;= 1</code> ≥ b"
    assert prose("one ` only") == "one ` only"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0381, "0.0381"), (12300, "12300"), (4.5e13, "4.5×10¹³"), (-2e-9, "−2.0×10⁻⁹"), ("inf", "∞"), ("-inf", "−∞"), ("nan", "not a number"),
        (0, "0"), (0.99999, "1"), (1234.56, "1235"),
    ],
)  # fmt: skip
def test_numbers_are_short(value: float | str, shown: str) -> None:
    assert short(value) == shown


@given(st.text(min_size=1))
def test_page_names_stay_in_their_folder(key: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]+\.html", page_name("pb." + key))


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("resolves 2.4e-15 relative; misses by inf times", "resolves 2.4×10⁻¹⁵ relative; misses by ∞ times"),
        ("moment 2.48601695963 against the constant 0.999999000001", "moment 2.48602 against the constant 0.999999"),
        ("no wider than 0.0e+00, slack -2.87e-05", "no wider than 0, slack −2.9×10⁻⁵"),
        ("25 losses, delta 0.05, x1.2345678y, pb.1e5, information", "25 losses, delta 0.05, x1.2345678y, pb.1e5, information"),
        ("1.0000000001 is not 1, nor is 0.9999999999.", "1.0000000001 is not 1, nor is 0.9999999999."),
    ],
)  # fmt: skip
def test_sentences_of_the_verification_get_readable_numbers(written: str, shown: str) -> None:
    assert tidy(written) == shown


def test_superscripts() -> None:
    assert superscript(-12) == "⁻¹²"
