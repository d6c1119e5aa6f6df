"""Dropout in training mode: 1/keep_rate on the diagonals of V and of Vd T."""

from __future__ import annotations

import numpy as np

from ....numerics.claims import Agreement
from ....theory.architectures import Activate, Dense, Dropout
from ....theory.axioms import INDEPENDENCE, STRONG_LAW
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.architectures import DROPOUT
from ...result import ByBudget, Check, Control, Result
from ..kernels import nngp, ntk
from . import block_algebra, dense_checks
from .convolution import compare_means
from .dense_checks import mutant, off, predict, wrongly
from .finite_dense import dense_networks
from .setting import NetworkSetting

DERIVATION = (
    Algebra("masks: second moment 1/r, product of independent ones 1, and what that adds to the gap", block_algebra.dropout_moments),
    Axiom(INDEPENDENCE, "masks are independent of weights and pre-activations: E m phi m' phi' = E m m' V, and the same for m phi'"),
    Axiom(STRONG_LAW, "units are independent given the layer below, so averages over them converge"),
    Uses(nngp.RESULT, "the next layer is Gaussian with this second moment"),
    Uses(ntk.RESULT, "gradients pass the mask once at each input: Vd T times E m m'"),
)  # fmt: skip


def sample(rng: np.random.Generator) -> NetworkSetting:
    """One or two masked layers, after ReLU, erf or GELU."""
    activation = ("relu", "erf", "gelu")[rng.integers(3)]
    bias = rng.choice([0.0, 0.1, 1.0])

    def dense() -> Dense:
        return Dense(float(rng.uniform(0.5, 1.5)), float(bias * rng.uniform(0.5, 1)))

    def block() -> tuple[Activate, Dropout, Dense]:
        return Activate(activation), Dropout(float(rng.uniform(0.3, 1))), dense()  # type: ignore[arg-type]

    return NetworkSetting(dense_checks.pair(rng), (dense(), *block(), *(block() if rng.integers(2) else ())))


FORMULA = dense_checks.formula(sample)


def one_layer(activation: str) -> NetworkSetting:
    layers = (Dense(1.4, 0.3), Activate(activation), Dropout(0.6), Dense(1.2, 0.2))  # type: ignore[arg-type]
    return NetworkSetting(dense_checks.POINTS, layers)


NAMES = ("factor on every entry", "factor on V alone", "factor squared", "inference mode", "keep rate for its inverse")
CHECKS = (
    Check(
        "shipped kernels",
        FORMULA,
        controls=(*(Control(name, mutant(FORMULA, name)) for name in NAMES), Control("1e-11 off", off(FORMULA))),  # type: ignore[arg-type]
    ),
    Check(
        "one masked layer of 16 units: the mean kernels are K and T",
        Agreement("Monte Carlo", relative=2e-2),
        settings=ByBudget(quick=(one_layer("relu"), one_layer("erf"))),
        experiment=dense_networks,
        plan=ByBudget(quick=({"width": 16, "members": 100_000, "group": 500},)),
        compare=compare_means,
        controls=tuple(Control(name, wrongly(name)) for name in NAMES),  # type: ignore[arg-type]
    ),
)

RESULT = Result(DROPOUT, predict, one_layer("relu"), CHECKS, uses=(nngp.RESULT, ntk.RESULT), derivation=DERIVATION)
RESULTS = (RESULT,)
