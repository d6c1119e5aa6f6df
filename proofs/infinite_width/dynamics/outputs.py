"""Several outputs: independent in the limit, with an empirical kernel whose off-diagonal blocks shrink with the width."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import sympy
from flint import arb, arb_mat, ctx
from jaxtyping import Float

from ....numerics.claims import Formula, Ladder, LimitWithRate
from ....numerics.randomness import sub_seed
from ....numerics.store import Rows
from ....numerics.wide_networks.ensemble import ensemble_law
from ....theory.axioms import GAUSSIAN_AFFINE, INDEPENDENCE
from ....theory.balls.linear_training import law
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.dynamics import MULTI_OUTPUT
from ...result import ByBudget, Check, Control, Result, Run
from ..kernels import nngp, ntk
from ..linear_models import DIGITS, LinearModel, exact_gain, exact_kernels, kernels, law_width, relative
from ..settings import KernelSetting
from .flow import EXAMPLE, LAW, Law, at_any_time, mutant, predict_law

OUTPUTS = 2


@dataclass(frozen=True)
class JointLaw:
    """Mean (S, C) and covariance (S, C, S, C) of two outputs trained on y and on its reverse."""

    mean: Float[np.ndarray, "test outputs"]
    covariance: Float[np.ndarray, "test outputs test outputs"]


def both_labels(s: LinearModel) -> np.ndarray:
    return np.stack([s.labels, s.labels[::-1]], axis=1)


def predict(s: LinearModel) -> JointLaw:
    k, t = kernels(s)
    found = ensemble_law(k, t, both_labels(s), training=s.training)
    return JointLaw(found.mean, found.joint_covariance())


def blocks_multiply() -> list[tuple[Any, Any]]:
    """(A x I)(B x I) = AB x I for 2 x 2 matrices: smoothers and covariances of T x I are those of T, times I."""
    a, b = (sympy.Matrix(2, 2, sympy.symbols(f"{name}0:4", real=True)) for name in "ab")
    one = sympy.eye(2)
    left = sympy.kronecker_product(a, one) * sympy.kronecker_product(b, one)
    return list(zip(left, sympy.kronecker_product(a * b, one), strict=True))


def paired(m: arb_mat) -> arb_mat:
    """m x I over (point, output) pairs, output fastest."""
    c = OUTPUTS
    return arb_mat([[m[i // c, j // c] if i % c == j % c else arb(0) for j in range(c * m.ncols())] for i in range(c * m.nrows())])  # fmt: skip


def exact(s: LinearModel) -> list[arb]:
    """One regression over all (point, output) pairs with the kernel T x I."""
    with ctx.workdps(DIGITS + 60):
        k, t = (paired(m) for m in exact_kernels(s))
        c = OUTPUTS
        wide = replace(
            s,
            readout=np.repeat(s.readout, c, axis=0),
            hidden=np.repeat(s.hidden, c, axis=0),
            labels=both_labels(s).ravel(),
        )
        return law(k, exact_gain(wide, t), wide.labels.tolist())


def read(p: JointLaw) -> np.ndarray:
    return np.concatenate([p.mean.ravel(), p.covariance.ravel()])


def width(s: LinearModel) -> np.ndarray:
    """As for one output: the shipped code solves for T once. Covariances of different outputs are exactly 0."""
    one = law_width(s, *kernels(s), Law(np.ones(s.tests), np.ones((s.tests, s.tests))))
    values = read(predict(s))
    c, n = OUTPUTS, s.tests
    return relative(np.repeat([one[0] * 2, one[-1]], [n * c, (n * c) ** 2]), values) * (values != 0)


FORMULA = Formula(exact, lambda s: read(predict(s)), read, at_any_time, width, count=30)


def shared(s: LinearModel) -> JointLaw:
    """All outputs with the same fluctuation."""
    p = predict(s)
    one = predict_law(s).covariance
    return JointLaw(p.mean, np.einsum("st,ij->sitj", one, np.ones((OUTPUTS, OUTPUTS))))


def exchanged(s: LinearModel) -> JointLaw:
    return replace(predict(s), mean=predict(s).mean[:, ::-1])


# --- finite networks ----------------------------------------------------------------------------------------------


def empirical_blocks(setting: KernelSetting, run: Run, *, same_output: bool = False) -> Mapping[str, Any]:
    """Squares of the empirical kernel between output 0 and output 1 (or 0) at two points, relative to the diagonal's product."""
    import torch

    from ....numerics.networks.fully_connected import fully_connected, initialise
    from ....numerics.networks.tangent_kernel import empirical_ntk

    network = fully_connected(
        inputs=setting.x.shape[1],
        width=run.block["width"],
        outputs=OUTPUTS,
        parametrisation="ntk",
        **setting.architecture,
    )
    parameters = initialise(network, run.block["members"], seed=sub_seed(run.seed, "blocks"), device=run.device)
    kernel = empirical_ntk(network, parameters, torch.from_numpy(setting.x).to(run.device)).cpu().numpy()
    other = 0 if same_output else 1
    scale = kernel[:, 0, 0, 0, 0].mean() * kernel[:, 1, 0, 1, 0].mean()
    return {"square": kernel[:, 0, 0, 1, other] ** 2 / scale}


def compare_blocks(s: KernelSetting, p: Any, rows: Rows) -> Ladder:
    return nngp.ladder(rows["width"], rows["square"], rows["square"])


POINTS = np.array([[0.9, -0.3, 0.4], [-0.6, 1.1, 0.2]])
NETWORK = KernelSetting(POINTS, POINTS, "erf", (1.5, 1.3, 1.2), (0.3, 0.3, 0.3))
PLAN = ByBudget(
    quick=tuple({"width": n, "members": 1_500} for n in (16, 32, 64, 128)),
    standard=tuple({"width": n, "members": 4_000} for n in (32, 64, 128, 256, 512)),
)

RESULT = Result(
    MULTI_OUTPUT,
    predict,
    EXAMPLE,
    (
        Check(
            "shipped joint law against one regression over all pairs",
            FORMULA,
            controls=(
                Control("one fluctuation for all outputs", mutant(FORMULA, shared)),
                Control("outputs exchanged", mutant(FORMULA, exchanged)),
            ),
        ),
        Check(
            "finite networks: off-diagonal blocks vanish like n^-1/2",
            LimitWithRate(rate=(-1.15, -0.85)),
            settings=ByBudget(quick=(NETWORK,)),
            experiment=empirical_blocks,
            plan=PLAN,
            compare=compare_blocks,
            predict=lambda s: None,
            controls=(
                Control("the block of one output", {"experiment": partial(empirical_blocks, same_output=True)}),
                Control("squares vanish like n^-2", {"claim": LimitWithRate(rate=(-2.2, -1.8))}),
                Control("squares vanish like n^-1/2", {"claim": LimitWithRate(rate=(-0.6, -0.4))}),
            ),
        ),
    ),
    uses=(LAW, nngp.RESULT, ntk.RESULT),
    derivation=(
        Uses(nngp.RESULT, "the outputs of one network are independent draws of N(0, K)"),
        Axiom(INDEPENDENCE, "given the hidden layers, T_01 = sw^2/n w_0^T D w_1 with independent readout weights: mean 0, variance (sw^2/n)^2 |D|_F^2"),
        Uses(ntk.RESULT, "D = (phi' phi') times the kernel of the layer below: its n diagonal entries converge, and by induction the others are O(n^-1/2), so |D|_F^2 = O(n)"),
        Algebra("products of such matrices keep the form: smoother and covariance are those of T, times the identity", blocks_multiply),
        Uses(LAW, "so each output has the law of a single one"),
        Axiom(GAUSSIAN_AFFINE, "and uncorrelated jointly Gaussian outputs are independent"),
    ),
)  # fmt: skip

RESULTS = (RESULT,)
