"""Replay discharges true steps and refuses false ones, in each of its three ways."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import sympy

from nonvacuous.theory import derivation
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


def test_what_the_quick_evaluation_cannot_do_the_substitution_decides(monkeypatch):
    f = sympy.Function("f")
    assert all(mpmath.isnan(value) for value in derivation._quick_values(f(x), f(x), {x: sympy.Integer(1)}))
    assert replay(Algebra("no value at all", lambda: [(f(x), f(x))])).ok is False
    same = Algebra("true", lambda: [(sympy.exp(x + y), sympy.exp(x) * sympy.exp(y))])
    monkeypatch.setattr(derivation, "_quick_values", lambda *_: (mpmath.nan, mpmath.nan))
    assert replay(same).ok
    monkeypatch.setattr(sympy, "N", lambda value, digits: sympy.nan)
    assert replay(same).ok is False, "NaN agrees with nothing"


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


def test_a_failed_lemma_fails_what_rests_on_it():
    from dataclasses import replace

    from nonvacuous.proofs.derivations import derive
    from nonvacuous.proofs.pac_bayes.foundations import change_of_measure, maurer
    from nonvacuous.theory.axioms import TextbookAxiom
    from nonvacuous.theory.derivation import Uses

    false = Enumeration("0 = 1", lambda: [("", Fraction(0), "==", Fraction(1))])
    lemma = replace(change_of_measure.RESULT, derivation=(false,))
    built = replace(maurer.RESULT, uses=(lemma,), derivation=(Uses(lemma, "it"), Axiom(MARKOV)))
    assert derive(built).failed == 1
    assert derive(built).text == "failed steps: 1"
    # an axiom of one's own, and a result that is not among `uses`
    assert derive(replace(built, derivation=(Axiom(TextbookAxiom("Magic", "1 = 2")),))).failed == 2
    assert derive(replace(built, uses=(), derivation=(Uses(lemma, "it"),))).failed == 1
    # the real thing
    assert derive(replace(built, uses=(), derivation=(Axiom(MARKOV),))).text == "replayed from axioms {Markov}"


def test_steps_that_prove_nothing():
    assert replay(Enclosure("no ball", lambda a: 0.5, ((-1.0, 1.0),))).ok is False
    assert replay(Enclosure("no box", lambda: 0.5, ())).ok is False
    p = sympy.Symbol("p", positive=True)
    outside = Algebra("root", lambda: [(sympy.sqrt(p**2), p)], (("p", -2.0, -1.0),))
    assert replay(outside).ok is False
