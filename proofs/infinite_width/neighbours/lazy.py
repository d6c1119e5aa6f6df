"""Feature learning against lazy training: scaling the centred output by alpha makes a fixed network lazy at rate 1/alpha."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import sympy
from flint import arb
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Formula, Ladder, LimitWithRate
from ....numerics.randomness import sub_seed
from ....numerics.store import Rows
from ....numerics.training.lazy import lazy_problem
from ....theory.axioms import PROKHOROV
from ....theory.balls.context import to_ball
from ....theory.derivation import Algebra, Axiom, Cited
from ....theory.errors import InvalidInput
from ....theory.statements.infinite_width.neighbours import FEATURE_VS_LAZY
from ....theory.validation import finite
from ...result import ByBudget, Check, Control, Result, Run
from ..kernels.nngp import ladder
from ..settings import EnsembleSetting

UNIT = 2.0**-53


@dataclass(frozen=True, eq=False)
class LazySetting:
    """Initial outputs f0(X) (N,), labels (N,), output scale alpha, step size of the scaled problem (sum loss)."""

    initial: Float[np.ndarray, " n"]
    labels: Float[np.ndarray, " n"]
    alpha: float
    scaled_step_size_sum_loss: float

    def __post_init__(self) -> None:
        if finite("initial", self.initial, ndim=1).shape != finite("labels", self.labels, ndim=1).shape:
            raise InvalidInput("initial and labels differ in length.")
        if not (self.alpha > 0 and self.scaled_step_size_sum_loss > 0):
            raise InvalidInput("alpha or the step size is not positive.")


@dataclass(frozen=True)
class LazyPrediction:
    """Targets and step size of the plain problem that trains the same parameters."""

    targets: Float[np.ndarray, " n"]
    step_size_sum_loss: float


# --- derivation ---------------------------------------------------------------------------------------------------


def same_step() -> list[tuple[Any, Any]]:
    """One step on 1/2 (alpha (f - f0) - y)^2 with eta is one on 1/2 (f - f0 - y/alpha)^2 with eta alpha^2; f of two parameters, df = g."""
    f, f0, y, alpha, eta, g = sympy.symbols("f f0 y alpha eta g", positive=True)
    scaled = eta * ((alpha * (f - f0) - y) ** 2 / 2).diff(f) * g
    plain = eta * alpha**2 * ((f - f0 - y / alpha) ** 2 / 2).diff(f) * g
    return [(scaled, plain)]


def second_order() -> list[tuple[Any, Any]]:
    """f = f0 + j d + h d^2/2 fitted to f0 + y/alpha: alpha (f - f0) at another point with j', h' is (j'/j) y plus a term in y^2/alpha."""
    j, h, j2, h2, y, e = sympy.symbols("j h j2 h2 y e", positive=True)  # e is 1/alpha
    step = (-j + sympy.sqrt(j**2 + 2 * h * y * e)) / h  # solves j d + h d^2/2 = y e
    output = (j2 * step + h2 * step**2 / 2) / e
    series = sympy.series(output, e, 0, 2).removeO()
    return [
        (j * step + h * step**2 / 2, y * e),
        (series.coeff(e, 0), j2 / j * y),
        (series.coeff(e, 1), (h2 / j**2 - j2 * h / j**3) * y**2 / 2),
    ]


DERIVATION = (
    Algebra("training the scaled output is training the plain network on f0 + y/alpha, step by step", same_step),
    Cited("chizat2019", "descent then stays within O(1/alpha) of the start, where the network is smooth"),
    Algebra("in one direction: the trained output is the linearised one plus a curvature term in y^2/alpha", second_order),
    Axiom(PROKHOROV, "so the gap of the outputs is of order 1/alpha, relative to an output that does not depend on alpha"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: LazySetting) -> LazyPrediction:
    found = lazy_problem(**vars(s))
    return LazyPrediction(found.targets, found.step_size_sum_loss)


def flatten(p: LazyPrediction) -> np.ndarray:
    return np.array([*p.targets, p.step_size_sum_loss])


def sample(rng: np.random.Generator) -> LazySetting:
    size = int(rng.integers(1, 5))
    return LazySetting(
        rng.uniform(0.1, 2, size),
        rng.uniform(0.1, 2, size),
        float(10 ** rng.uniform(-2, 3)),
        float(10 ** rng.uniform(-3, 0)),
    )


def exact(s: LazySetting) -> list[arb]:
    alpha = Fraction(s.alpha)
    targets = [Fraction(f) + Fraction(y) / alpha for f, y in zip(s.initial.tolist(), s.labels.tolist(), strict=True)]
    return [to_ball(value) for value in (*targets, Fraction(s.scaled_step_size_sum_loss) * alpha**2)]


FORMULA = Formula(
    expression=exact,
    shipped=lambda s: flatten(predict(s)),
    read=flatten,
    sample=sample,
    width=lambda s: 3 * UNIT,  # two roundings of terms of one sign
    count=60,
)


def _mutant(**changes: Any) -> dict[str, Any]:
    def wrong(s: LazySetting) -> np.ndarray:
        p = predict(s)
        return flatten(replace(p, **{name: change(p, s) for name, change in changes.items()}))

    return {"claim": replace(FORMULA, shipped=wrong)}


# --- experiments --------------------------------------------------------------------------------------------------


def gaps(
    setting: EnsembleSetting, run: Run, *, centred: bool = True, relative_residual: float = 1e-6
) -> Mapping[str, Any]:
    """Root mean square over the test points of alpha times (trained - linearised) output, and of the linearised change itself."""
    import torch

    from ....numerics.networks.fully_connected import forward, fully_connected, initialise
    from ....numerics.training.choose import train
    from ....numerics.training.linearised import linearise
    from ....numerics.training.step_size import step_rule

    alpha, members = run.block["alpha"], run.block["members"]
    network = fully_connected(
        inputs=setting.train.shape[1], width=run.block["width"], parametrisation="ntk", **setting.architecture
    )
    x, tests = (torch.from_numpy(points).to(run.device) for points in (setting.train, setting.test))
    parameters = initialise(network, members, seed=sub_seed(run.seed, "member"), device=run.device)
    linear = linearise(network, parameters, x, tests)
    labels = torch.from_numpy(setting.labels).to(run.device)[None, :, None] / alpha
    goal = labels + linear.initial_train if centred else labels.expand_as(linear.initial_train)
    rule = step_rule(linear.ntk_train, relative_residual=relative_residual, damping=0.75, slack=20)
    found = train(
        network,
        parameters,
        x,
        goal.contiguous(),
        step_size_sum_loss=rule.step_size_sum_loss,
        relative_residual=relative_residual,
        max_steps=rule.max_steps,
    )
    solved = linear.solution(goal)
    gap = alpha * (forward(network, found.parameters, tests).output - solved)
    change = alpha * (solved - linear.initial_test)
    return {
        name: (value[:, :, 0] ** 2).mean(dim=1).sqrt().cpu().numpy() for name, value in (("gap", gap), ("size", change))
    }


uncentred = partial(gaps, centred=False)


def both_descents(setting: LazySetting, run: Run, *, power: int = 2, centred: bool = True) -> Mapping[str, Any]:
    """Outputs alpha (f - f0) after `steps` of descent: on the scaled loss by automatic differentiation, and on the plain problem."""
    import torch

    from ....numerics.networks.fully_connected import Parameters, forward, fully_connected, initialise, pullback

    network = fully_connected(
        inputs=2, width=8, depth=1, activation="erf", parametrisation="ntk", weight_scale=1.5, bias_scale=0.3
    )
    start = initialise(network, 1, seed=sub_seed(run.seed, "member"))
    x = torch.linspace(-1, 1, 2 * len(setting.labels), dtype=torch.float64).reshape(-1, 2)
    f0 = forward(network, start, x).output.detach()
    y, alpha, eta = torch.from_numpy(setting.labels)[None, :, None], setting.alpha, setting.scaled_step_size_sum_loss
    tensors = [t.clone().requires_grad_() for t in start.tensors]
    layers = len(start.weights)
    for _ in range(run.block["steps"]):
        output = forward(network, Parameters(tuple(tensors[:layers]), tuple(tensors[layers:])), x).output
        loss = ((alpha * (output - f0) - y) ** 2).sum() / 2
        slopes = torch.autograd.grad(loss, tensors)
        tensors = [(t - eta * g).detach().requires_grad_() for t, g in zip(tensors, slopes, strict=True)]
    scaled = alpha * (forward(network, Parameters(tuple(tensors[:layers]), tuple(tensors[layers:])), x).output - f0)
    problem = lazy_problem(
        initial=f0[0, :, 0].numpy(), labels=setting.labels, alpha=alpha, scaled_step_size_sum_loss=eta
    )
    targets = torch.from_numpy(problem.targets)[None, :, None] - (0 if centred else f0)
    step = problem.step_size_sum_loss * alpha ** (power - 2)
    plain = start
    for _ in range(run.block["steps"]):
        trace = forward(network, plain, x)
        slopes_of = pullback(network, plain, trace, trace.output - targets)
        plain = Parameters(
            tuple(t - step * g for t, g in zip(plain.weights, slopes_of.weights, strict=True)),
            tuple(t - step * g for t, g in zip(plain.biases, slopes_of.biases, strict=True)),
        )
    found = alpha * (forward(network, plain, x).output - f0)
    return {"scaled": scaled.detach().numpy().ravel(), "plain": found.numpy().ravel(), "steps": np.full(len(setting.labels), float(run.block["steps"]))}  # fmt: skip


def compare_descents(s: LazySetting, p: LazyPrediction, rows: Rows) -> Comparison:
    """Each step rounds f, of size at most 5 here, by a few ulps, which alpha magnifies."""
    scale = float(np.abs(s.labels).max())
    bound = 100 * UNIT * rows["steps"] * s.alpha * 5
    return Comparison(rows["plain"], rows["scaled"], bound, scale)


def compare_gap(s: EnsembleSetting, p: float, rows: Rows) -> Ladder:
    """Mean gap over the mean size of the linearised change at the same alpha, less the predicted limit."""
    sizes = {a: rows["size"][rows["alpha"] == a].mean() for a in np.unique(rows["alpha"])}
    relative = rows["gap"] / np.vectorize(sizes.get)(rows["alpha"])
    return ladder(rows["alpha"], relative - p, relative)


ENSEMBLE = EnsembleSetting(
    np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, -1.0, -1.0]]),
    np.array([[0.5, 0.5, 0.0], [-0.7, 0.4, 0.2], [0.3, -0.8, -0.6]]),
    np.array([0.5, -0.3, 0.2, -0.4]),
    "erf",
    (1.5, 1.5),
    (0.3, 0.3),
)
EXAMPLE = LazySetting(np.array([0.4, -1.2, 0.1]), np.array([0.5, -0.3, 0.2]), 8.0, 0.002)
PLAN = ByBudget(
    quick=tuple({"alpha": a, "width": 64, "members": 300} for a in (1.0, 2.0, 4.0, 8.0, 16.0)),
    standard=tuple({"alpha": a, "width": 64, "members": 2_000} for a in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)),
)

CHECKS = (
    Check(
        "shipped problem",
        FORMULA,
        controls=(
            Control("labels not divided", _mutant(targets=lambda p, s: s.initial + s.labels)),
            Control("not centred", _mutant(targets=lambda p, s: s.labels / s.alpha)),
            Control("step times alpha", _mutant(step_size_sum_loss=lambda p, s: s.scaled_step_size_sum_loss * s.alpha)),
        ),
    ),
    Check(
        "50 steps on the scaled loss are 50 steps on the plain one",
        Agreement("rounding"),
        settings=ByBudget(quick=(EXAMPLE,)),
        experiment=both_descents,
        plan=ByBudget(quick=({"steps": 50},)),
        compare=compare_descents,
        controls=(
            Control("step times alpha", {"experiment": partial(both_descents, power=1)}),
            Control("not centred", {"experiment": partial(both_descents, centred=False)}),
        ),
    ),
    Check(
        "64 units: relative gap to the linearisation at rate 1/alpha",
        LimitWithRate(rate=(-1.2, -0.8)),
        settings=ByBudget(quick=(ENSEMBLE,)),
        predict=lambda s: 0.0,
        experiment=gaps,
        plan=PLAN,
        compare=compare_gap,
        controls=(
            Control("not centred", {"experiment": uncentred}),
            Control("a gap that stays", {"predict": lambda s: 0.02}),
            Control("rate alpha^-2", {"claim": LimitWithRate(rate=(-2.2, -1.8))}),
            Control("rate alpha^(-1/2)", {"claim": LimitWithRate(rate=(-0.6, -0.4))}),
        ),
    ),
)  # fmt: skip

RESULT = Result(FEATURE_VS_LAZY, predict, EXAMPLE, CHECKS, derivation=DERIVATION)
