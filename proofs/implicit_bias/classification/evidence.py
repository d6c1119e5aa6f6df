"""What is measured about variational classification: flow and descent on mean and factor, and what their states prove."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ....numerics.claims import Comparison
from ....numerics.implicit_bias.classification import guaranteed_law_step
from ....numerics.implicit_bias.gaussian_law import GaussianLaw, covariance
from ....numerics.implicit_bias.wasserstein import wasserstein2
from ....numerics.store import Rows
from ....numerics.training.separable import descend_separable, flow_separable
from ....theory.errors import InvalidInput
from ....theory.validation import finite
from ...result import Run
from ..separable_problems import SeparatorFloats, distance_to_constant, random_separable

FLOW_ERROR = 1e-9  # relative; two integrators that share no code agree to it
UNIT_ROUNDOFF = 2.0**-53


@dataclass(frozen=True, eq=False)
class ClassificationSetting:
    """Labelled rows (examples, parameters), the prior's mean and factor, the step eta and the times to look at.

    step 1 stands for gradient flow; `times` are then values of t, else numbers of steps.
    """

    design: Float[np.ndarray, "examples parameters"]
    prior_mean: Float[np.ndarray, " parameters"]
    prior_factor: Float[np.ndarray, "parameters rank"]
    step: float
    times: tuple[float, ...]

    def __post_init__(self) -> None:
        x = finite("design", self.design, ndim=2)
        if not x.size or x.shape[1] != len(self.prior.mean):
            raise InvalidInput(
                f"design has shape {x.shape}, the prior {self.prior.mean.shape}.", "Pass one prior mean per column."
            )
        if not (finite("step", self.step, ndim=0) > 0 and self.times and min(self.times) > 0):
            raise InvalidInput(
                "step or times are not positive.", "Pass a positive step (1 for the flow) and positive times."
            )

    @property
    def prior(self) -> GaussianLaw:
        return GaussianLaw(self.prior_mean, self.prior_factor)


def spanning_problem(seed: int, distance: float = 0.1) -> tuple[np.random.Generator, np.ndarray, GaussianLaw]:
    """A design that generic support vectors span, exponents of at least .6, and a prior of any rank."""
    rng = np.random.default_rng(seed)
    examples, parameters = (
        ((2, 3), (3, 2), (2, 5), (1, 2))[seed % 4] if distance > 1 else ((2, 3), (3, 2), (3, 5), (1, 2))[seed % 4]
    )
    size = {"examples": examples, "parameters": parameters}
    design = random_separable(rng, **size, spanning=True, exponent=0.6, distance=distance)
    rank = int(rng.integers(1, parameters + 1))
    return rng, design, GaussianLaw(0.5 * rng.normal(size=parameters), 0.4 * rng.normal(size=(parameters, rank)))


def flow_setting(seed: int) -> ClassificationSetting:
    _, design, prior = spanning_problem(seed)
    return ClassificationSetting(design, prior.mean, prior.factor, 1.0, (1e5, 1e12))


def descent_setting(seed: int) -> ClassificationSetting:
    """Descent at the guaranteed step, on data where the loss has fallen to a hundredth or so at the end."""
    attempt = 0
    while True:
        _, design, prior = spanning_problem(seed + 100 * attempt, distance=1.2)
        step = guaranteed_law_step(design, prior)
        if step * 6000 > 100 * separator(design).alpha.sum():
            return ClassificationSetting(design, prior.mean, prior.factor, step, (6000,))
        attempt += 1


def separator(design: np.ndarray) -> SeparatorFloats:
    found = SeparatorFloats.of(design)
    if found is None:
        raise InvalidInput("The support vectors are not generic.")
    return found


def flow_grid(setting: ClassificationSetting) -> np.ndarray:
    """Values of tau at which the pull on the factor is looked at, up to the last time and including every time."""
    ends = np.log1p(np.array(setting.times))
    return np.unique(np.concatenate([np.linspace(0, ends[-1], 80), ends]))


def flow(setting: ClassificationSetting, run: Run) -> dict[str, Any]:
    """Gradient flow on mean and factor by one of two integrators; the factor's entries in one row."""
    s, grid = setting, flow_grid(setting)
    loss = run.block.get("loss", "exponential")
    path = flow_separable(
        s.design, s.prior_mean, s.prior_factor, record=grid, loss=loss, method=run.block["method"], rtol=1e-12
    )
    return {"log_time": grid, "time": np.expm1(grid), "mean": path.means, "factor": path.factors.reshape(len(grid), -1)}


def descend(setting: ClassificationSetting, run: Run) -> dict[str, Any]:
    """Gradient descent on mean and factor, step by step; `log_time` is log(eta t)."""
    s = setting
    last = int(s.times[-1])
    record = sorted({*np.unique(np.geomspace(1, last, 60).astype(int)).tolist(), *(int(t) for t in s.times)})
    path = descend_separable(
        s.design, s.prior_mean, s.prior_factor, step=s.step, record=record, loss=run.block.get("loss", "exponential")
    )
    times = np.array(record, dtype=float)
    return {
        "log_time": np.log(s.step * times),
        "time": times,
        "mean": path.means,
        "factor": path.factors.reshape(len(record), -1),
    }


def factors(setting: ClassificationSetting, rows: Rows) -> np.ndarray:
    return np.asarray(rows["factor"]).reshape(-1, *setting.prior_factor.shape)


def mean_bound(
    setting: ClassificationSetting, found: SeparatorFloats, mean: np.ndarray, log_time: float, time: float
) -> float:
    """||mu_t - w_hat log t - w_tilde - P mu_0||: what the state shows, and what the integrator or the steps' rounding adds."""
    size = float(np.linalg.norm(mean)) + float(np.linalg.norm(setting.prior_mean))
    # flow: log(1 + t) against log t; descent: `time` steps of a few roundings each
    added = (
        FLOW_ERROR * size + float(np.linalg.norm(found.weights)) / time
        if setting.step == 1
        else 8 * UNIT_ROUNDOFF * time * size
    )
    return distance_to_constant(found, mean, log_time) + added


def factor_bound(setting: ClassificationSetting, rows: Rows, *, logistic: bool = False) -> float:
    """Bound on ||S_t - P S_0||_F at the last time, from the path of the mean and the variances alone.

    Q S follows d(QS)/dtau = -H QS, H = sum_n T E phi''(u_n) x_n x_n^T on the row space, so its norm falls by at least
    exp(-integral of lambda_min(H)). The integral is taken with the smaller end of each interval: a lower sum where
    lambda_min is monotone between neighbours. For the logistic loss E phi''(u) >= exp(-m + v/2) - 2 exp(-2m + 2v); where
    that is negative, nothing is claimed. Descent falls at least as fast per step as exp(-x) >= 1 - x says.
    """
    x = setting.design
    basis = np.linalg.svd(x, full_matrices=False)[2][: np.linalg.matrix_rank(x)].T
    margins = rows["mean"] @ x.T
    variances = np.einsum("tpr,np->tnr", factors(setting, rows), x)
    variances = np.asarray((variances**2).sum(axis=2))
    weight = np.exp(rows["log_time"][:, None] - margins + variances / 2)
    if logistic:
        weight = np.maximum(weight - 2 * np.exp(rows["log_time"][:, None] - 2 * margins + 2 * variances), 0)
    rows_in = x @ basis
    least = np.array([np.linalg.eigvalsh((rows_in.T * w) @ rows_in)[0] for w in weight])
    spent = float((np.minimum(least[1:], least[:-1]) * np.diff(rows["log_time"])).sum())
    start = float(np.linalg.norm(basis.T @ factors(setting, rows)[0]))
    return start * math.exp(-spent) + FLOW_ERROR * float(np.linalg.norm(setting.prior_factor))


def compare_law(setting: ClassificationSetting, prediction: Any, rows: Rows, *, logistic: bool = False) -> Comparison:
    """Mean, factor, covariance of the last law of every run, and its W2 distance from the law predicted for that time."""
    found, parts = separator(setting.design), []
    starts = np.flatnonzero(np.diff(rows["log_time"], prepend=np.inf) < 0)
    for first, stop in zip(starts, [*starts[1:], len(rows["log_time"])], strict=True):
        one = {name: rows[name][first:stop] for name in ("log_time", "time", "mean", "factor")}
        mean, factor, time = one["mean"][-1], factors(setting, one)[-1], float(one["time"][-1])
        near = mean_bound(setting, found, mean, one["log_time"][-1], time)
        left = factor_bound(setting, one, logistic=logistic)
        law = GaussianLaw(prediction.direction * np.log(time) + prediction.offset, prediction.factor)
        spread = max(float(np.linalg.norm(setting.prior_factor)), 1e-300)
        parts += [
            (mean, law.mean, near, float(np.linalg.norm(mean))),
            (factor.ravel(), law.factor.ravel(), left, spread),
            (factor @ factor.T, covariance(law), (2 * spread + left) * left, spread**2),
            (
                np.array([wasserstein2(GaussianLaw(mean, factor), law)]),
                np.zeros(1),
                near + left,
                float(np.linalg.norm(mean)),
            ),
        ]
    observed, predicted = (np.concatenate([np.ravel(part[k]) for part in parts]) for k in (0, 1))
    bound, scale = (np.concatenate([np.full(np.size(part[0]), part[k]) for part in parts]) for k in (2, 3))
    return Comparison(observed, predicted, bound, scale)


def compare_logistic(setting: ClassificationSetting, prediction: Any, rows: Rows) -> Comparison:
    return compare_law(setting, prediction, rows, logistic=True)
