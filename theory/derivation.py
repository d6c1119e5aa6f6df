"""The steps of a derivation, and their replay: each step is discharged by a machine, rests on a named axiom, or is cited."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from flint import ctx

from .axioms import TextbookAxiom

POINTS = 5  # random points of the independent high-precision check of an algebraic step
DIGITS = 50
MAX_BOXES = 200_000


@dataclass(frozen=True)
class Algebra:
    """Equalities of SymPy expressions: a normal form must vanish, and 50-digit values at random points must agree.

    `equations` returns pairs (left, right) with all hypotheses substituted. Positive symbols are drawn from (0, 2),
    real ones from (-2, 2); `domain` may map names of symbols to other (low, high) ranges.
    """

    text: str
    equations: Callable[[], Sequence[tuple[Any, Any]]]
    domain: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True)
class Enclosure:
    """`function(*balls) >= 0` on a box of real numbers, by ball arithmetic, branching where a ball is undecided."""

    text: str
    function: Callable[..., Any]
    box: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Enumeration:
    """Every case of a finite list, in exact rational arithmetic. `cases` yields (label, left, relation, right)."""

    text: str
    cases: Callable[[], Iterable[tuple[str, Fraction, str, Fraction]]]


@dataclass(frozen=True)
class Uses:
    """Another result of the catalogue (a reference to the object itself)."""

    result: Any
    text: str


@dataclass(frozen=True)
class Axiom:
    """A fact from the closed list `theory/axioms.py`."""

    axiom: TextbookAxiom
    text: str = ""


@dataclass(frozen=True)
class Cited:
    """A step taken from the literature and not derived here. It is counted in public."""

    reference: str
    text: str


Step = Algebra | Enclosure | Enumeration | Uses | Axiom | Cited
STEP_FUNCTIONS = ("equations", "function", "cases")  # fields of steps that hold code


@dataclass(frozen=True)
class StepReplay:
    """What became of one step: `ok` is None for steps that nothing can replay (axioms, uses, citations)."""

    kind: str
    text: str
    ok: bool | None
    detail: str
    seconds: float


def replay(step: Step) -> StepReplay:
    """Discharge one step. Exceptions count as failures: a step that cannot be evaluated proves nothing."""
    start = time.perf_counter()
    match step:
        case Uses():
            return StepReplay("uses", f"{step.result.statement.key}: {step.text}", None, "", 0.0)
        case Axiom():
            return StepReplay("axiom", f"{step.axiom.name}. {step.text or step.axiom.text}", None, step.axiom.text, 0.0)
        case Cited():
            return StepReplay("cited", f"[{step.reference}] {step.text}", None, "", 0.0)
        case _:
            kind, discharge = _DISCHARGE[type(step)]
            try:
                ok, detail = discharge(step)
            except Exception as error:  # a step that raises is not discharged, whatever the reason
                ok, detail = False, f"{type(error).__name__}: {error}"
            return StepReplay(kind, step.text, ok, detail, time.perf_counter() - start)


def step_kind(step: Step) -> str:
    """The kind that a replay of this step reports."""
    names = {Uses: "uses", Axiom: "axiom", Cited: "cited"}
    return names.get(type(step)) or _DISCHARGE[type(step)][0]


def _algebra(step: Algebra) -> tuple[bool, str]:
    import mpmath
    import sympy

    equations = [(sympy.sympify(left), sympy.sympify(right)) for left, right in step.equations()]
    if not equations:
        return False, "no equation was given"
    generator = random.Random(0)
    ranges = {name: (low, high) for name, low, high in step.domain}
    for index, (left, right) in enumerate(equations):
        difference = left - right
        normal = sympy.cancel(sympy.together(sympy.expand(difference)))
        if normal != 0 and sympy.simplify(normal) != 0:
            return False, f"equation {index + 1} leaves {sympy.simplify(normal)}"
        symbols = sorted(difference.free_symbols | left.free_symbols | right.free_symbols, key=str)
        for _ in range(POINTS):
            point = {}
            for symbol in symbols:
                low, high = ranges.get(str(symbol), (0, 2) if symbol.is_positive else (-2, 2))
                if symbol.is_positive and low < 0:
                    return False, f"{symbol} is declared positive but drawn from ({low}, {high})"
                point[symbol] = sympy.Rational(generator.randrange(1, 10**6), 10**6) * sympy.Rational(
                    str(high - low)
                ) + sympy.Rational(str(low))
            # two evaluations that do not share the normal form
            if _agree(*_quick_values(left, right, point)):
                continue
            a, b = (mpmath.mpmathify(sympy.N(side.subs(point), DIGITS)) for side in (left, right))
            if not _agree(a, b):
                return False, f"equation {index + 1} is off at {point}: {a} against {b}"
    return True, f"{len(equations)} equation(s), normal form 0 and {POINTS} points at {DIGITS} digits"


def _quick_values(left: Any, right: Any, point: dict[Any, Any]) -> tuple[Any, Any]:
    """Both sides evaluated without building the substituted expressions: some four times faster. NaN where SymPy cannot."""
    import mpmath

    try:
        a, b = (mpmath.mpmathify(side.evalf(DIGITS, subs=point)) for side in (left, right))
    except Exception:  # whatever it is, the exact substitution decides
        return mpmath.nan, mpmath.nan
    return a, b


def _agree(a: Any, b: Any) -> bool:
    import mpmath

    return bool(abs(a - b) <= mpmath.mpf(10) ** (10 - DIGITS) * (1 + abs(a) + abs(b)))


def _enclosure(step: Enclosure) -> tuple[bool, str]:
    from flint import arb

    if not step.box or not all(low <= high for low, high in step.box):
        return False, "the box is empty"
    with ctx.workdps(30):
        stack = [tuple((arb(low), arb(high)) for low, high in step.box)]
        seen = 0
        while stack:
            box = stack.pop()
            seen += 1
            if seen > MAX_BOXES:
                return False, f"undecided after {MAX_BOXES} boxes"
            balls = [low.union(high) for low, high in box]
            value = step.function(*balls)
            if not isinstance(value, arb):
                return False, f"the function returned a {type(value).__name__}, which encloses nothing"
            if value >= 0:
                continue
            if value < 0:
                return False, f"negative on {[str(ball) for ball in balls]}"
            widest = max(range(len(box)), key=lambda i: float(box[i][1] - box[i][0]))
            low, high = box[widest]
            middle = (low + high) / 2
            middle = arb(middle.mid())
            for half in ((low, middle), (middle, high)):
                stack.append((*box[:widest], half, *box[widest + 1 :]))
    return True, f"{seen} box(es)"


def _enumeration(step: Enumeration) -> tuple[bool, str]:
    count = 0
    for label, left, relation, right in step.cases():
        if not (isinstance(left, Fraction) and isinstance(right, Fraction)):
            return False, f"{label}: not rational"
        if not (left == right if relation == "==" else left <= right if relation == "<=" else False):
            return False, f"{label}: {left} {relation} {right} is false"
        count += 1
    return count > 0, f"{count} case(s), exact"


_DISCHARGE: dict[type, tuple[str, Callable[[Any], tuple[bool, str]]]] = {
    Algebra: ("algebra", _algebra),
    Enclosure: ("enclosure", _enclosure),
    Enumeration: ("enumeration", _enumeration),
}
