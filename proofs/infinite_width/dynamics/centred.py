"""A network less its own initial function: deterministic, and the mean of the ensemble."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import sympy
from flint import arb, ctx

from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.store import Rows
from ....numerics.wide_networks.ensemble import ensemble_law
from ....theory.balls.linear_training import exact_matrix
from ....theory.derivation import Algebra, Uses
from ....theory.statements.infinite_width.dynamics import CENTERED_NETWORK
from ...result import Check, Control, Result
from ..linear_models import (
    DIGITS,
    Law,
    LinearModel,
    exact_gain,
    exact_kernels,
    flatten,
    kernels,
    law_width,
    parameter_law,
)
from .flow import (
    FLOW,
    POSITIVE_TIMES,
    at_any_time,
    exponential_bound,
    mean_loss_law,
    mutant,
    parameter_flow,
    predict_law,
)


def subtracting_the_start() -> list[tuple[Any, Any]]:
    """(f - f0)(*) after training f - f0 on y, for any smoother g: the start cancels."""
    f, fx, g, y = sympy.symbols("f fx g y", real=True)
    return [((f + g * ((y + fx) - fx)) - f, g * y)]


def predict_centred(s: LinearModel) -> Law:
    k, t = kernels(s)
    found = ensemble_law(k, t, s.labels, training=s.training, centred=True)
    return Law(found.mean, found.covariance)


def exact_centred(s: LinearModel) -> list[arb]:
    with ctx.workdps(DIGITS + 60):
        labels = exact_matrix([[v] for v in s.labels.tolist()])
        mean = (exact_gain(s, exact_kernels(s)[1]) * labels).entries()
        return mean + [arb(0)] * s.tests**2


CENTRED_FORMULA = Formula(
    exact_centred,
    lambda s: flatten(predict_centred(s)),
    flatten,
    at_any_time,
    lambda s: law_width(s, *kernels(s), predict_centred(s)) * (flatten(predict_centred(s)) != 0),
    count=40,
)


def compare_centred(s: LinearModel, p: Law, rows: Rows, *, subtract: bool = True) -> Comparison:
    """Parameters that follow the flow for y + f0(X), from all unit starts, less the initial outputs."""
    flow = parameter_flow(s)

    def train(j: np.ndarray, goals: np.ndarray, start: np.ndarray) -> np.ndarray:
        return flow(j, goals + subtract * (j @ start), start) - subtract * start

    observed = parameter_law(s, train)
    gain, error = exponential_bound(s)
    size = float(np.linalg.norm(s.jacobian))
    label = float(np.linalg.norm(s.labels))
    scale = np.repeat([(1 + gain) * label, (1 + gain) ** 2 * size**2], [s.tests, s.tests**2])
    return Comparison(flatten(observed), flatten(p), 4 * error * (1 + size) * scale, scale)


def zeroed_readout(s: LinearModel) -> Law:
    """The law with K in place of T: what zero readout weights give, as the hidden layers have no gradient then."""
    k, _ = kernels(s)
    found = ensemble_law(k, k, s.labels, training=s.training, centred=True)
    return Law(found.mean, found.covariance)


CENTRED = Result(
    CENTERED_NETWORK,
    predict_centred,
    POSITIVE_TIMES.quick[1],
    (
        Check(
            "shipped outputs and their zero covariance",
            CENTRED_FORMULA,
            controls=(
                Control("not centred", mutant(CENTRED_FORMULA, predict_law)),
                Control("readout set to 0 instead", mutant(CENTRED_FORMULA, zeroed_readout)),
                Control("time of the mean loss", mutant(CENTRED_FORMULA, lambda s: Law(mean_loss_law(s).mean, predict_centred(s).covariance))),
            ),
        ),
        Check(
            "the flow of the parameters from all unit starts",
            Agreement("rounding"),
            settings=POSITIVE_TIMES,
            compare=compare_centred,
            controls=(
                Control("not centred", {"compare": partial(compare_centred, subtract=False)}),
                Control("readout set to 0 instead", {"predict": zeroed_readout}),
            ),
        ),
    ),
    uses=(FLOW,),
    derivation=(
        Uses(FLOW, "training f - f0 on y is training f on y + f0(X)"),
        Algebra("which ends at f0 + G_t y; less f0, that is G_t y for every draw", subtracting_the_start),
    ),
)  # fmt: skip

RESULTS = (CENTRED,)
