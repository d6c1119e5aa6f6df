"""Replay discharges true steps and refuses false ones, in each of its three ways."""

from __future__ import annotations

from fractions import Fraction

import sympy

from nonvacuous.theory.axioms import AXIOMS, MARKOV
from nonvacuous.theory.derivation import Algebra, Axiom, Cited, Enclosure, Enumeration, replay

x, y = sympy.symbols("x y", positive=True)


def test_algebra():
    assert replay(Algebra("binomial", lambda: [((x + y) ** 2, x**2 + 2 * x * y + y**2)])).ok
    false = replay(Algebra("wrong", lambda: [((x + y) ** 2, x**2 + y**2)]))
    assert false.ok is False
    assert "leaves" in false.detail
    assert replay(Algebra("empty", list)).ok is False
    assert replay(Algebra("raises", lambda: 1 / 0)).ok is False  # type: ignore[arg-type, return-value]


def test_algebra_needs_both_the_normal_form_and_the_values(monkeypatch):
    """A normal form that wrongly vanishes is caught at the random points."""
    monkeypatch.setattr(sympy, "cancel", lambda expression: sympy.Integer(0))
    assert replay(Algebra("wrong", lambda: [(x, x + 1)])).ok is False


def test_enclosure():
    assert replay(Enclosure("square", lambda a: (a - 1) ** 2 + 0.001, ((-3.0, 3.0),))).ok
    assert replay(Enclosure("dips below", lambda a: (a - 1) ** 2 - 0.001, ((-3.0, 3.0),))).ok is False
    undecided = replay(Enclosure("touches zero", lambda a: (a - 1) ** 2, ((-3.0, 3.0),)))
    assert undecided.ok is False
    assert "undecided" in undecided.detail


def test_enumeration():
    half = Fraction(1, 2)
    assert replay(Enumeration("true", lambda: [("a", half, "==", half), ("b", half, "<=", Fraction(1))])).ok
    assert replay(Enumeration("false", lambda: [("a", half, "==", Fraction(1))])).ok is False
    assert replay(Enumeration("not rational", lambda: [("a", 0.5, "==", 0.5)])).ok is False  # type: ignore[list-item]
    assert replay(Enumeration("no case", list)).ok is False


def test_what_nothing_can_replay():
    assert replay(Axiom(MARKOV)).ok is None
    assert replay(Cited("maurer2004", "Theorem 1")).ok is None
    assert len({axiom.name for axiom in AXIOMS}) == len(AXIOMS)
