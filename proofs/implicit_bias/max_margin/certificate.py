"""The quadratic program's separator beyond the sizes that are enumerated: its four residuals in exact arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb, fmpq
from jaxtyping import Float

from ....numerics.claims import Enclosures, Inequality
from ....numerics.implicit_bias.max_margin import KKT_TOLERANCE, MaxMargin, max_margin
from ....numerics.store import Rows
from ...result import ByBudget, Check, Control
from ..problems import rational, sum_of_squares
from ..separable_problems import separable_design


@dataclass(frozen=True, eq=False)
class LargeSetting:
    """Labelled rows (examples, parameters) for the quadratic program."""

    design: Float[np.ndarray, "examples parameters"]


def large_setting(seed: int) -> LargeSetting:
    rng = np.random.default_rng(1000 + seed)
    return LargeSetting(separable_design(rng, examples=int(rng.integers(13, 50)), parameters=int(rng.integers(2, 30))))


LARGE = ByBudget(quick=tuple(map(large_setting, range(10))), standard=tuple(map(large_setting, range(100))))


def program(s: LargeSetting) -> MaxMargin:
    return max_margin(s.design, exact=False)


def compare_certificate(setting: LargeSetting, prediction: MaxMargin, rows: Rows) -> Enclosures:
    """(tolerance - residual)/tolerance for the dual, feasibility, the gap sum alpha - ||w||^2 and stationarity, exactly."""
    x, w, alpha = rational(setting.design), rational(prediction.weights), rational(prediction.dual)
    total = sum(alpha.entries(), fmpq(0))
    off = w - x.transpose() * alpha
    residuals = [
        -min(alpha.entries()) / total,
        1 - min((x * w).entries()),
        abs(total - sum_of_squares(w)) / total,
        fmpq(10**10) * sum_of_squares(off) / sum_of_squares(w),  # below 1e-10 iff the norm is below 1e-10
    ]
    slack = np.array([1 - float(arb(r)) / KKT_TOLERANCE for r in residuals])
    return Enclosures(slack, slack)


def solution_by(change: Callable[[LargeSetting, MaxMargin], Mapping[str, Any]]) -> Mapping[str, Any]:
    return {"predict": lambda s: replace(program(s), **change(s, program(s)))}


CERTIFICATE = Check(
    "certificate beyond 12 examples, in exact arithmetic",
    Inequality(),
    settings=LARGE,
    predict=program,
    compare=compare_certificate,
    controls=(
        Control("weights 1e-9 too short", solution_by(lambda s, p: {"weights": p.weights * (1 - 1e-9)})),
        Control("dual 1e-8 too large", solution_by(lambda s, p: {"dual": p.dual * (1 + 1e-8)})),
        Control("dual on another row", solution_by(lambda s, p: {"dual": np.roll(p.dual, 1)})),
        Control(
            "difference of means",
            solution_by(lambda s, p: {"weights": s.design.mean(axis=0) / (s.design @ s.design.mean(axis=0)).min()}),
        ),
    ),
)
