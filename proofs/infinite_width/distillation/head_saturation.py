"""What finite width takes from many heads: squared errors of heads of one trunk correlate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import sympy
from flint import arb

from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.intervals import multiplier
from ....numerics.store import Rows
from ....numerics.wide_networks.heads import (
    effective_heads,
    initial_head_correlation,
)
from ....theory.axioms import CONDITIONING, GAUSSIAN_AFFINE, INDEPENDENCE, LINEARITY, TOTAL_VARIANCE
from ....theory.derivation import Algebra, Axiom
from ....theory.statements.infinite_width.distillation import RND_HEAD_SATURATION
from ....theory.validation import sample_size
from ...result import ByBudget, Check, Control, Result, Run
from ..finite_networks import readout_shares
from ..settings import KernelSetting


@dataclass(frozen=True)
class SaturationSetting:
    """Width and number of hidden layers of bias-free max(z,0) networks, and the number of heads."""

    width: int
    depth: int
    heads: int

    def __post_init__(self) -> None:
        for name in ("width", "depth", "heads"):
            sample_size(name, getattr(self, name))


@dataclass(frozen=True)
class SaturationPrediction:
    """Correlation of squares of two heads: outputs of one network, errors of two; effective heads for either."""

    outputs: float
    errors: float
    effective_outputs: float
    effective_errors: float


def gaussian_moments() -> list[tuple[Any, Any]]:
    """For standard normal g: E max(g,0)^2 = 1/2 and E (2 max(g,0)^2)^2 = 6, so a layer of n units has E = 1 + 5/n."""
    g, n = sympy.symbols("g n", positive=True)
    density = sympy.exp(-(g**2) / 2) / sympy.sqrt(2 * sympy.pi)
    first, second = (sympy.integrate((2 * g**2) ** k * density, (g, 0, sympy.oo)) for k in (1, 2))
    return [(first, sympy.Integer(1)), (second, sympy.Integer(6)), (second / n + (1 - 1 / n) * first**2, 1 + 5 / n)]


def correlations() -> list[tuple[Any, Any]]:
    """With q = E K_n^2/K^2 = m: Cov(u_i^2, u_j^2) = m - 1, Var = 3m - 1; for two trunks 2(m - 1) and 6m + 2."""
    m = sympy.symbols("m", positive=True)
    one = (m - 1) / (3 * m - 1)
    square = 2 * m + 2  # E (K_u + K_g)^2 for independent trunks of mean 1
    two = (square - 4) / (3 * square - 4)
    k, c, v = sympy.symbols("k c v", positive=True)
    mean = (k * v + k * (k - 1) * c * v) / k**2  # variance of the mean of k equicorrelated numbers of variance v
    return [
        (two, (m - 1) / (3 * m + 1)),
        (one, (m - 1) / (3 * m - 1)),
        (mean, v / (k / (1 + (k - 1) * c))),
        (sympy.limit(k / (1 + (k - 1) * c), k, sympy.oo), 1 / c),
    ]


DERIVATION = (
    Axiom(CONDITIONING, "given the hidden layers the heads are independent N(0, K_n(x,x)) with one K_n"),
    Axiom(TOTAL_VARIANCE, "so squares of two heads have covariance Var K_n, and E u^4 = 3 E K_n^2"),
    Axiom(GAUSSIAN_AFFINE, "given a layer, the next pre-activations are independent N(0, q), q its mean square: max(z,0)^2 = q max(g,0)^2"),
    Algebra("each layer multiplies the mean square by an independent factor of mean 1 and second moment 1 + 5/n", gaussian_moments),
    Axiom(INDEPENDENCE, "so E K_n^2 / K^2 = (1 + 5/n)^H"),
    Axiom(LINEARITY, "and the variance of a mean of K numbers is that of their covariances"),
    Algebra("the correlations are (m - 1)/(3m - 1) and (m - 1)/(3m + 1); K equicorrelated numbers count as K/(1 + (K - 1) c)", correlations),
)  # fmt: skip


def predict(s: SaturationSetting) -> SaturationPrediction:
    c = [initial_head_correlation(width=s.width, depth=s.depth, trunks=trunks) for trunks in (1, 2)]
    return SaturationPrediction(*c, *(effective_heads(s.heads, correlation=value) for value in c))


# --- checks: saturation -------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> SaturationSetting:
    return SaturationSetting(int(10 ** rng.uniform(0, 9)), int(10 ** rng.uniform(0, 2)), int(10 ** rng.uniform(0, 6)))


def last_step(s: SaturationSetting) -> list[arb]:
    m = (1 + arb(5) / s.width) ** s.depth
    c = [(m - 1) / (3 * m - 1), (m - 1) / (3 * m + 1)]
    return [*c, *(s.heads / (1 + (s.heads - 1) * value) for value in c)]


def flatten(p: SaturationPrediction) -> np.ndarray:
    return np.array([p.outputs, p.errors, p.effective_outputs, p.effective_errors])


FORMULA = Formula(
    expression=last_step,
    shipped=lambda s: flatten(predict(s)),
    read=flatten,
    sample=sample,
    # m - 1 = expm1(H log1p(5/n)) amplifies the rounding of its exponent by the exponent itself
    width=lambda s: 4e-15 * (1 + s.depth * math.log1p(5 / s.width)),
    count=150,
)


def _other_moment(s: SaturationSetting, *, excess: float, power: int = 0) -> SaturationPrediction:
    m = (1 + excess / s.width) ** (s.depth - power)
    return SaturationPrediction((m - 1) / (3 * m - 1), (m - 1) / (3 * m + 1), *[math.nan] * 2)


def _swapped(s: SaturationSetting) -> SaturationPrediction:
    p = predict(s)
    return SaturationPrediction(p.errors, p.outputs, p.effective_errors, p.effective_outputs)


def _leading_order(s: SaturationSetting) -> SaturationPrediction:
    c = [5 * s.depth / (2 * s.width), 5 * s.depth / (4 * s.width)]
    return SaturationPrediction(*c, *(s.heads / (1 + (s.heads - 1) * value) for value in c))


def _k_for_k_minus_one(s: SaturationSetting) -> SaturationPrediction:
    p = predict(s)
    return replace(p, effective_errors=s.heads / (1 + s.heads * p.errors))


def trunks(s: SaturationSetting, run: Run) -> Mapping[str, Any]:
    """Covariances of a head given the hidden layers, at one point, of networks at initialisation."""
    x = np.array([[0.6, -0.8]])
    scales = (1.3,) * (s.depth + 1)
    setting = KernelSetting(x, x, "relu", scales, (0.0,) * (s.depth + 1))
    block = {**run.block, "width": s.width}
    found = readout_shares(setting, Run(block, run.seed, run.device))
    return {"covariance": found["0,0"] / (1.3**2 / 2) ** (s.depth + 1)}  # divided by K(x,x)


def compare_trunks(s: SaturationSetting, p: SaturationPrediction, rows: Rows) -> Comparison:
    """Both correlations from the second moment of K_n; pairs of networks serve as predictor and target."""
    k = rows["covariance"]
    half = len(k) // 2
    errors, observed, scale = [], [], []
    for square, lost in ((k**2, 1.0), ((k[:half] + k[half : 2 * half]) ** 2, 4.0)):
        value, error = square.mean(), square.std(ddof=1) / math.sqrt(len(square))
        observed.append((value - lost) / (3 * value - lost))
        errors.append(multiplier(2) * error * 2 * lost / (3 * value - lost) ** 2)  # derivative of the ratio
        scale.append(observed[-1])
    return Comparison(np.array(observed), np.array([p.outputs, p.errors]), np.array(errors), np.array(scale))


EXAMPLE = SaturationSetting(8, 2, 16)
MEMBERS = ByBudget(quick=({"members": 200_000},))
CHECKS = (
    Check(
        "shipped correlations and effective heads",
        FORMULA,
        controls=tuple(
            Control(name, {"claim": replace(FORMULA, shipped=partial(lambda f, s: flatten(f(s)), function))})
            for name, function in (
                ("outputs for errors", _swapped),
                ("leading order", _leading_order),
                ("K c for (K - 1) c", _k_for_k_minus_one),
                ("1 + 4/n", partial(_other_moment, excess=4.0)),
            )
        ),
    ),
    Check(
        "networks at initialisation",
        Agreement("Monte Carlo", relative=0.15),
        settings=ByBudget(quick=(EXAMPLE, SaturationSetting(16, 1, 16))),
        experiment=trunks,
        plan=MEMBERS,
        predict=predict,
        compare=compare_trunks,
        controls=(
            Control("outputs for errors", {"predict": _swapped}),
            Control("leading order", {"predict": _leading_order}),
            Control("1 + 3/n", {"predict": partial(_other_moment, excess=3.0)}),
            Control("H - 1 for H", {"predict": partial(_other_moment, excess=5.0, power=1)}),
        ),
    ),
)  # fmt: skip
RESULT = Result(RND_HEAD_SATURATION, predict, EXAMPLE, CHECKS, derivation=DERIVATION)
