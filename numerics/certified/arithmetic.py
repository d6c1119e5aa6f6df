"""One algorithm, two kinds of operand: the elementary functions for Python floats (far less overhead per value) and arrays."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

# Spacing of float64 at 1. A single correctly rounded operation is off by at most half of it, relatively.
ULP = 2.0**-52


@dataclass(frozen=True)
class Arithmetic:
    """Elementary functions on one kind of operand.

    `where` evaluates both branches, `choose` only those that some element needs, and `split` hands each branch nothing but
    its own elements.
    """

    exp: Callable[[Any], Any]
    expm1: Callable[[Any], Any]
    log: Callable[[Any], Any]
    log1p: Callable[[Any], Any]
    sqrt: Callable[[Any], Any]
    minimum: Callable[[Any, Any], Any]
    maximum: Callable[[Any, Any], Any]
    where: Callable[[Any, Any, Any], Any]
    choose: Callable[[Any, Callable[[], Any], Callable[[], Any]], Any]
    split: Callable[..., tuple[Any, ...]]


# As in NumPy, the logarithm of zero is -inf and no error: `where` meets it in branches that it discards.
def _log_scalar(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf


def _log1p_scalar(x: float) -> float:
    return math.log1p(x) if x > -1 else -math.inf


def _where_scalar(condition: bool, yes: float, no: float) -> float:
    return yes if condition else no


def _choose_scalar(condition: bool, yes: Callable[[], float], no: Callable[[], float]) -> float:
    return yes() if condition else no()


def _choose_array(condition: Any, yes: Callable[[], Any], no: Callable[[], Any]) -> Any:
    if condition.all():
        return yes()
    if not condition.any():
        return no()
    return np.where(condition, yes(), no())


def _split_scalar(
    condition: bool, yes: Callable[..., tuple[Any, ...]], no: Callable[..., tuple[Any, ...]], *operands: float
) -> tuple[Any, ...]:
    return yes(*operands) if condition else no(*operands)


def _split_array(
    condition: Any, yes: Callable[..., tuple[Any, ...]], no: Callable[..., tuple[Any, ...]], *operands: Any
) -> tuple[Any, ...]:
    if condition.all():
        return yes(*operands)
    if not condition.any():
        return no(*operands)
    where_yes, where_no = np.flatnonzero(condition), np.flatnonzero(~condition)
    parts = zip(yes(*(x[where_yes] for x in operands)), no(*(x[where_no] for x in operands)), strict=True)
    joined = []
    for part_yes, part_no in parts:
        whole = np.empty(condition.shape)
        whole[where_yes], whole[where_no] = part_yes, part_no
        joined.append(whole)
    return tuple(joined)


SCALAR = Arithmetic(
    exp=math.exp,
    expm1=math.expm1,
    log=_log_scalar,
    log1p=_log1p_scalar,
    sqrt=math.sqrt,
    minimum=min,
    maximum=max,
    where=_where_scalar,
    choose=_choose_scalar,
    split=_split_scalar,
)
ARRAY = Arithmetic(
    exp=np.exp,
    expm1=np.expm1,
    log=np.log,
    log1p=np.log1p,
    sqrt=np.sqrt,
    minimum=np.minimum,
    maximum=np.maximum,
    where=np.where,
    choose=_choose_array,
    split=_split_array,
)


# fl(x + fl(_STEP |x| + smallest subnormal)) is the float64 after x, apart from magnitudes near 1e-307, where it may be the one
# after that (Rump, Zimmermann, Boldo, Melquiond 2009); much faster on arrays than nextafter.
_STEP = 2.0**-53 * (1 + 2.0**-52)


def add_up(ops: Arithmetic, a: Any, b: Any) -> Any:
    """The smallest float64 that is at least a + b: the rounding error of the sum is itself a float64 (Knuth's TwoSum)."""
    total = a + b
    part = total - a
    error = (a - (total - part)) + (b - part)
    return ops.where(error > 0, total + (abs(total) * _STEP + 2.0**-1074), total)


def add_down(ops: Arithmetic, a: Any, b: Any) -> Any:
    """The largest float64 that is at most a + b."""
    return -add_up(ops, -a, -b)
