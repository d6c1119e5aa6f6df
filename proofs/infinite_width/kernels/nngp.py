"""At initialisation a wide network is a Gaussian process with covariance K' = sw^2 V(K) + sb^2."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Formula, Ladder, LimitWithRate
from ....numerics.intervals import multiplier
from ....numerics.kernels.fully_connected import fully_connected_kernels, nngp_kernel
from ....numerics.store import Rows
from ....theory.activations import Activation, LeakyRelu, Rbf
from ....theory.axioms import CONDITIONING, GAUSSIAN_AFFINE, LEVY, PROKHOROV, STRONG_LAW
from ....theory.balls.dual_activations import PairKernels, fully_connected_pair
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.kernels import NNGP_LIMIT
from ...result import ByBudget, Check, Control, Result
from ..finite_networks import gram, readout_shares
from ..settings import KernelSetting
from . import dual_algebra, price

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class NNGPPrediction:
    """Covariance of the outputs at x and y, (n, m)."""

    kernel: Float[np.ndarray, "n m"]


# --- derivation ---------------------------------------------------------------------------------------------------

DERIVATION = (
    Algebra("given the features of a layer, the next pre-activations have covariance sw^2/n sum_j phi_j phi_j' + sb^2", dual_algebra.next_layer_covariance),
    Axiom(GAUSSIAN_AFFINE, "and they are exactly Gaussian, being linear in that layer's fresh weights"),
    Axiom(CONDITIONING, "units of a layer are independent given the layer below, whose width has gone to infinity before"),
    Axiom(STRONG_LAW, "so that covariance converges to K' = sw^2 E phi(u) phi(v) + sb^2, (u,v) ~ N(0, K); for one hidden layer its mean is K' at every n"),
    Axiom(PROKHOROV, "the conditional characteristic function exp(-r^T K_n r/2) is a bounded continuous function of it"),
    Axiom(LEVY, "so the outputs converge in law to N(0, K')"),
    Uses(price.RESULT, "dV/dc = Vd, and dVd/dc = p(0,0) for max(z,0)"),
    Algebra("max(z,0): the closed forms have these slopes and the right values at c = 0", dual_algebra.relu_dual),
    Algebra("erf: Vd is a Gaussian integral, V has that slope and vanishes at c = 0", dual_algebra.erf_dual, (("s", 4, 5), ("c", -1, 1))),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: KernelSetting) -> NNGPPrediction:
    return NNGPPrediction(nngp_kernel(s.x, s.y, **s.architecture))


# --- checks: the formula ------------------------------------------------------------------------------------------


ACTIVATIONS: tuple[Activation, ...] = ("relu", "erf", "relu", "erf", "gelu", "abs", "sin", LeakyRelu(0.1), Rbf(0.6))


def sample_pair(rng: np.random.Generator) -> KernelSetting:
    """One pair of inputs, from far apart to 1e-12 apart, equal, parallel, nearly antiparallel or zero; any depth up to four."""
    layers = int(rng.integers(2, 6))
    x = rng.normal(size=3) * 10 ** rng.uniform(-0.5, 0.5)
    near = x + 10 ** rng.uniform(-12, 0) * rng.normal(size=3)
    y = (near, near, near, x, 1.001 * x, 0.3 * rng.normal(size=3) - x, 0 * x)[rng.integers(7)]
    return KernelSetting(
        x[None],
        y[None],
        ACTIVATIONS[rng.integers(len(ACTIVATIONS))],
        tuple(rng.uniform(0.5, 1.8, layers).tolist()),
        tuple((rng.choice([0.0, 0.1, 1.0]) * rng.uniform(0.5, 1, layers)).tolist()),
    )


def exact_pair(s: KernelSetting) -> PairKernels:
    return fully_connected_pair(
        s.x[0].tolist(),
        s.y[0].tolist(),
        activation=s.activation,
        weight_scale=s.weight_scale,
        bias_scale=s.bias_scale,
    )


def rounding_width(s: KernelSetting, kernel: str) -> float:
    """Relative rounding error of one entry: the duals take relative errors of the norms and of the gap to such errors.

    Each layer adds at most 24 roundings on the scale sqrt(k(x,x) k(y,y)); the discriminants of erf and GELU, 1 + 2(a+b) +
    4(ab - c^2) and the like, are formed from terms of up to 4ab, which adds sqrt(ab) of them.
    """
    both = np.concatenate([s.x, s.y])
    layers = len(s.weight_scale)
    found = getattr(fully_connected_kernels(both, **s.architecture), kernel)
    norms = [
        float(np.sqrt(np.prod(np.sum(both**2, axis=1) * s.weight_scale[0] ** 2 / s.x.shape[1] + s.bias_scale[0] ** 2)))
    ]
    for w, b in zip(s.weight_scale[1:], s.bias_scale[1:], strict=True):
        norms.append(w**2 * (norms[-1] if s.activation == "gelu" else 1.0) + b**2)  # |gelu z| <= |z|, |erf| <= 1
    roundings = 24 * layers + (12 * sum(norms) if s.activation in ("erf", "gelu") else 0)
    scale, value = float(np.sqrt(found[0, 0] * found[1, 1])), abs(float(getattr(exact_pair(s), kernel)))
    return roundings * HALF_ULP * (scale / value if scale else 1.0)  # a kernel that is exactly 0 has no relative error


FORMULA = Formula(
    expression=lambda s: exact_pair(s).nngp,
    shipped=lambda s: nngp_kernel(s.x, s.y, **s.architecture),
    read=lambda p: p.kernel,
    sample=sample_pair,
    width=lambda s: rounding_width(s, "nngp"),
    count=80,
)


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=function)}


def _with(s: KernelSetting, **changes: Any) -> np.ndarray:
    return nngp_kernel(s.x, s.y, **(s.architecture | changes))


def _no_readout_bias(s: KernelSetting) -> np.ndarray:
    return _with(s, bias_scale=(*s.bias_scale[:-1], 0.0))


# --- checks: finite networks --------------------------------------------------------------------------------------


def compare_one_hidden(s: KernelSetting, p: NNGPPrediction, rows: Rows) -> Comparison:
    kernels = gram(rows, len(s.x))
    mean, error = kernels.mean(axis=0), kernels.std(axis=0, ddof=1) / np.sqrt(len(kernels))
    upper = np.triu_indices(len(s.x))
    width = multiplier(len(upper[0]), degrees=len(kernels) - 1) * error
    return Comparison(mean[upper], p.kernel[upper], width[upper], np.sqrt(np.outer(*[np.diag(mean)] * 2))[upper])


def ladder(width: np.ndarray, discrepancy: np.ndarray, correction: np.ndarray) -> Ladder:
    """Means and standard errors of both columns at each width."""
    sizes = np.unique(width)
    groups = [width == size for size in sizes]
    columns = [
        np.array([summary(column[group]) for group in groups])
        for column in (discrepancy, correction)
        for summary in (np.mean, lambda values: values.std(ddof=1) / np.sqrt(len(values)))
    ]
    return Ladder(sizes.astype(float), *columns)


def compare_fourth_moment(s: KernelSetting, p: NNGPPrediction, rows: Rows) -> Ladder:
    """E h^4 / (3 (r^T K r)^2) - 1 for the combination h = r.f of outputs, and its fourth cumulant as the correction.

    Given the hidden layers h is N(0, q) with q = r^T K_n r, so E h^4 = 3 E q^2, and the fourth cumulant is 3 Var q.
    """
    direction = np.cos(np.arange(len(s.x)))
    limit = direction @ p.kernel @ direction
    form = np.einsum("i,rij,j->r", direction, gram(rows, len(s.x)), direction) / limit
    width = rows["width"]
    means = {size: form[width == size].mean() for size in np.unique(width)}
    return ladder(width, form**2 - 1, (form - np.vectorize(means.get)(width)) ** 2)


POINTS = np.array([[0.9, -0.3, 0.4], [0.8, -0.2, 0.5], [-0.6, 1.1, 0.2]])
ONE_HIDDEN = tuple(
    KernelSetting(POINTS, POINTS, activation, (1.5, 1.2), (0.5, 0.6)) for activation in ("relu", "erf")
)  # fmt: skip
TWO_HIDDEN = tuple(
    KernelSetting(POINTS, POINTS, activation, (1.5, 0.8, 1.2), (0.5, 0.4, 0.6)) for activation in ("relu", "erf")
)
WIDTHS = ((8, 12_000), (16, 8_000), (32, 6_000), (64, 4_000), (128, 2_000))
PLAN = ByBudget(
    quick=tuple({"width": n, "members": r} for n, r in WIDTHS),
    standard=tuple({"width": n, "members": r, "part": part} for n, r in WIDTHS for part in range(8)),
)
MANY = ByBudget(quick=({"width": 16, "members": 320_000, "group": 2_000},))

CHECKS = (
    Check(
        "shipped kernel",
        FORMULA,
        controls=(
            Control("readout bias forgotten", _mutant(_no_readout_bias)),
            Control("1e-12 off", _mutant(lambda s: (1 + 1e-12) * _with(s))),
            Control("sw for sw^2", _mutant(lambda s: _with(s, weight_scale=tuple(np.sqrt(s.weight_scale))))),
            Control("inputs not divided by sqrt(d)", _mutant(lambda s: _with(s, weight_scale=(np.sqrt(3) * s.weight_scale[0], *s.weight_scale[1:])))),
            Control("scales in reverse", _mutant(lambda s: _with(s, weight_scale=s.weight_scale[::-1], bias_scale=s.bias_scale[::-1]))),
        ),
    ),
    Check(
        "one hidden layer of 16 units: E of the covariance is K",
        Agreement("Monte Carlo", relative=5e-3),
        settings=ByBudget(quick=ONE_HIDDEN),
        experiment=readout_shares,
        plan=MANY,
        compare=compare_one_hidden,
        controls=(
            Control("readout bias forgotten", {"predict": lambda s: NNGPPrediction(_no_readout_bias(s))}),
            Control("inner bias forgotten", {"predict": lambda s: NNGPPrediction(_with(s, bias_scale=(0.0, s.bias_scale[1])))}),
            Control("the other activation", {"predict": lambda s: NNGPPrediction(_with(s, activation="relu" if s.activation == "erf" else "erf"))}),
            Control("sw for sw^2", {"predict": lambda s: NNGPPrediction(_with(s, weight_scale=tuple(np.sqrt(s.weight_scale))))}),
        ),
    ),
    Check(
        "two hidden layers: fourth moments become Gaussian at rate 1/n",
        LimitWithRate(rate=(-1.2, -0.8)),
        settings=ByBudget(quick=TWO_HIDDEN),
        experiment=readout_shares,
        plan=PLAN,
        compare=compare_fourth_moment,
        controls=(
            Control("bias of the first layer forgotten", {"predict": lambda s: NNGPPrediction(_with(s, bias_scale=(0.0, *s.bias_scale[1:])))}),
            Control("one hidden layer only", {"predict": lambda s: NNGPPrediction(_with(s, depth=1, weight_scale=s.weight_scale[::2], bias_scale=s.bias_scale[::2]))}),
            Control("rate n^(-1/2)", {"claim": LimitWithRate(rate=(-0.6, -0.4))}),
            Control("rate n^-2", {"claim": LimitWithRate(rate=(-2.2, -1.8))}),
        ),
    ),
)  # fmt: skip

EXAMPLE = KernelSetting(POINTS[:2], POINTS, "erf", (1.5, 1.3, 1.2), (0.3, 0.3, 0.3))

RESULT = Result(NNGP_LIMIT, predict, EXAMPLE, CHECKS, uses=(price.RESULT,), derivation=DERIVATION)

RESULTS = (RESULT,)
