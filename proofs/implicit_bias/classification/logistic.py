"""The logistic loss: the same variational limit law as the exponential one, under gradient flow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ....numerics.claims import Agreement, Comparison
from ....numerics.implicit_bias.classification import ClassificationRates
from ....numerics.store import Rows
from ....theory.axioms import CONVEX_FLOW, LINEARISED_DECAY
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.implicit_bias.classification import CLASS_LOGISTIC
from ...result import ByBudget, Check, Control, Result
from ..max_margin import residual
from . import limit_law, rates, rates_evidence
from .evidence import compare_logistic, descend, flow
from .limit_law import CONTROLS, DESCENTS, FLOWS, by, predict
from .rates_evidence import RateSetting, compare_exponents

Equations = list[tuple[Any, Any]]


def logistic_force() -> Equations:
    """exp(-u) - sigmoid(-u) and exp(-u) - sigmoid'(u) in y = exp(-u), and the expectation of exp(-2u)."""
    import sympy

    y = sympy.Symbol("y", positive=True)
    m, s, z = sympy.symbols("m s z", real=True)
    push, pull = y / (1 + y), y / (1 + y) ** 2
    square = -((z + 2 * s) ** 2) / 2 + 2 * s**2 - 2 * m  # exponent of exp(-2(m + s z)) times the Gaussian density
    return [
        (y - push, y**2 / (1 + y)),
        (2 * y**2 - (y - pull), y**3 * (2 * y + 3) / (1 + y) ** 2),
        (-2 * (m + s * z) - z**2 / 2, square),
    ]


DERIVATION = (
    Algebra("0 <= exp(-u) - sigma(-u) <= exp(-2u), |exp(-u) - sigma'(u)| <= 2 exp(-2u), and E exp(-2u) = exp(-2m + 2v)", logistic_force),
    Uses(residual.RESULT, "margins that grow like log t make exp(-2m + 2v) of order t^-2; in tau it is a force e^-tau, integrable; v is bounded"),
    Uses(limit_law.RESULT, "the flow of the exponential loss in tau"),
    Axiom(CONVEX_FLOW, "the convex flow of ib.class_w2 with an integrable perturbation has the same limit"),
    Axiom(LINEARISED_DECAY, "near it the new force e^-tau is no slower than the mean's correction, as rho <= lambda_min <= 1, which keeps its exponent"),
    Uses(rates.RESULT, "so Q S obeys S' = -kappa (A + O(e^(-rho tau))) S as there, with the same least exponent"),
)  # fmt: skip

# --- checks -------------------------------------------------------------------------------------------------------


def compare_factor(setting: RateSetting, prediction: ClassificationRates, rows: Rows) -> Comparison:
    """The factor's exponent alone: the next one, e^-tau from the loss included, is no nearer than those of the exponential loss."""
    every = compare_exponents(setting, prediction, rows)
    return Comparison(every.observed[:1], every.predicted[:1], np.asarray(every.bound)[:1], np.asarray(every.scale)[:1])


CHECKS = (
    Check(
        "limit law of the logistic flow",
        Agreement("convergence"),
        settings=ByBudget(quick=lambda: FLOWS.of("quick")[:3], standard=lambda: FLOWS.of("standard")),
        experiment=flow,
        plan=ByBudget(quick=({"method": "DOP853", "loss": "logistic"}, {"method": "LSODA", "loss": "logistic"})),
        compare=compare_logistic,
        controls=CONTROLS,
    ),
    Check(
        "limit law of logistic descent",
        Agreement("convergence", relative=5e-2),
        settings=ByBudget(quick=lambda: DESCENTS.of("quick")[:1], standard=lambda: DESCENTS.of("standard")),
        experiment=descend,
        plan=ByBudget(quick=({"loss": "logistic"},)),
        compare=compare_logistic,
        controls=(
            Control("step forgotten", by(lambda s, p: {"offset": p.offset + (p.direction * -np.log(s.step))})),
            Control("factor not trained", by(lambda s, p: {"factor": s.prior_factor})),
        ),
    ),
    Check(
        "exponent of the factor under the logistic flow",
        Agreement("convergence", relative=2e-2),
        settings=rates.SETTINGS,
        predict=rates.predict,
        experiment=rates_evidence.flow,
        plan=ByBudget(quick=({"loss": "logistic"},)),
        compare=compare_factor,
        controls=(
            Control("largest eigenvalue", rates.by(rates.largest_eigenvalue)),
            Control("factor ratio forgotten", {"predict": lambda s: rates.predict(replace(s, factor_ratio=1.0))}),
            Control("A in place of D A", rates.by(rates.metric_forgotten)),
            Control("exponent of the variance", rates.by(lambda s, p: {"factor": p.variance})),
        ),
    ),
)

RESULT = Result(
    CLASS_LOGISTIC,
    predict=predict,
    example=limit_law.EXAMPLE,
    checks=CHECKS,
    uses=(residual.RESULT, limit_law.RESULT, rates.RESULT),
    derivation=DERIVATION,
)
