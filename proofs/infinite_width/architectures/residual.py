"""Residual blocks: K' = K + K_F and T' = T + T_F for a branch with fresh last weights."""

from __future__ import annotations

import numpy as np

from ....numerics.claims import Agreement
from ....theory.activations import LeakyRelu
from ....theory.architectures import Activate, Dense, Residual
from ....theory.axioms import CONDITIONING, GAUSSIAN_AFFINE, INDEPENDENCE
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.architectures import RESIDUAL
from ...result import ByBudget, Check, Control, Result
from ..kernels import nngp, ntk
from . import block_algebra, dense_checks
from .convolution import compare_means
from .dense_checks import mutant, off, predict, wrongly
from .finite_dense import dense_networks
from .setting import NetworkSetting

DERIVATION = (
    Axiom(CONDITIONING, "given h and the branch's features, the branch's last layer is a Gaussian vector of its own"),
    Axiom(GAUSSIAN_AFFINE, "so h + F is Gaussian in the limit"),
    Algebra("its covariance is that of h plus that of F: fresh weights leave no cross term", block_algebra.residual_moments),
    Uses(nngp.RESULT, "K_F, the kernel of the branch on top of h"),
    Algebra("chain rule: identity plus branch, in the mean over the fresh weights without a cross term", block_algebra.residual_chain_rule),
    Axiom(INDEPENDENCE, "weights of skip and branch are different parameters: their shares of T' add"),
    Uses(ntk.RESULT, "T_F: the branch's own weights, and Vd T through it"),
    Algebra("gaps add, and the norms add their own without cancellation", block_algebra.residual_gap),
)  # fmt: skip

ACTIVATIONS = ("relu", "erf", "gelu", LeakyRelu(0.2))


def sample(rng: np.random.Generator) -> NetworkSetting:
    """A stem, one or two blocks of one or two activations, maybe an activation, and a readout."""
    activation = ACTIVATIONS[rng.integers(len(ACTIVATIONS))]
    bias = rng.choice([0.0, 0.1, 1.0])

    def dense() -> Dense:
        return Dense(float(rng.uniform(0.5, 1.5)), float(bias * rng.uniform(0.5, 1)))

    blocks = [
        Residual((Activate(activation), dense(), *((Activate(activation), dense()) if rng.integers(2) else ())))  # type: ignore[arg-type]
        for _ in range(int(rng.integers(1, 3)))
    ]
    tail = (Activate(activation), dense()) if rng.integers(2) else (dense(),)  # type: ignore[arg-type]
    x = dense_checks.pair(rng)
    if isinstance(activation, LeakyRelu) and bias == 0:
        x[1] += 0.1 * rng.normal(size=3)  # no balls for parallel features of different norm
    return NetworkSetting(x, (dense(), *blocks, *tail))


FORMULA = dense_checks.formula(sample)


def one_block(activation: str) -> NetworkSetting:
    """The readout is linear in h + F(h): exact at every width."""
    layers = (Dense(1.4, 0.3), Residual((Activate(activation), Dense(1.6, 0.4))), Dense(1.2, 0.2))  # type: ignore[arg-type]
    return NetworkSetting(dense_checks.POINTS, layers)


CHECKS = (
    Check(
        "shipped kernels",
        FORMULA,
        controls=(
            Control("branches correlated", mutant(FORMULA, "branches correlated")),
            Control("skip connection forgotten", mutant(FORMULA, "skip connection forgotten")),
            Control("branch forgotten", mutant(FORMULA, "branch forgotten")),
            Control("branches averaged", mutant(FORMULA, "branches averaged")),
            Control("gradients through the branch forgotten", mutant(FORMULA, "gradients through the branch forgotten")),
            Control("1e-11 off", off(FORMULA)),
        ),
    ),
    Check(
        "one block of 16 units: the mean kernels are K and T",
        Agreement("Monte Carlo", relative=2e-2),
        settings=ByBudget(quick=(one_block("relu"), one_block("erf"))),
        experiment=dense_networks,
        plan=ByBudget(quick=({"width": 16, "members": 40_000, "group": 250},)),
        compare=compare_means,
        controls=(
            Control("branches correlated", wrongly("branches correlated")),
            Control("skip connection forgotten", wrongly("skip connection forgotten")),
            Control("branches averaged", wrongly("branches averaged")),
            Control("gradients through the branch forgotten", wrongly("gradients through the branch forgotten")),
        ),
    ),
)  # fmt: skip

RESULT = Result(RESIDUAL, predict, one_block("relu"), CHECKS, uses=(nngp.RESULT, ntk.RESULT), derivation=DERIVATION)
RESULTS = (RESULT,)
