"""What is measured about the constant term: flow and descent on the exponential loss, and what their states say of the limit."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from ....numerics.claims import Comparison
from ....numerics.implicit_bias.separable_limits import guaranteed_descent_step, log_difference
from ....numerics.store import Rows
from ....numerics.training.separable import descend_separable, flow_separable
from ...result import Run
from ..separable_problems import SeparatorFloats, distance_to_constant, random_separable
from .direction import SeparableSetting

FLOW_ERROR = (
    1e-9  # relative; two integrators that share no code agree to it (tests/implicit_bias/test_separable_training.py)
)
UNIT_ROUNDOFF = 2.0**-53


def spanning_design(seed: int, distance: float = 0.1) -> tuple[np.random.Generator, np.ndarray]:
    """Rows spanned by generic support vectors, some with a further row, and a remainder of exponent at least .6."""
    rng = np.random.default_rng(seed)
    examples, parameters = ((2, 3), (3, 2), (3, 5), (1, 2))[seed % 4]
    return rng, random_separable(
        rng, examples=examples, parameters=parameters, spanning=True, exponent=0.6, distance=distance
    )


def random_setting(seed: int) -> SeparableSetting:
    """Gradient descent at the guaranteed step, on data where it has left the start behind after 2000 steps."""
    for attempt in itertools.count():
        rng, design = spanning_design(seed + 100 * attempt, distance=0.6)
        initial = 0.2 * rng.normal(size=(design.shape[1],))
        step = guaranteed_descent_step(design, initial)
        if step * 2000 > 40 * separator(design).alpha.sum():  # the loss has fallen to 1/40 or so
            break
    return SeparableSetting(design, initial, step, (2000, 10000))


def flow_setting(seed: int) -> SeparableSetting:
    """Gradient flow, for which eta is 1, up to times that no descent reaches."""
    rng, design = spanning_design(seed)
    return SeparableSetting(design, rng.normal(size=(design.shape[1],)), 1.0, (10**6, 10**12))


def exponent_setting(seed: int) -> SeparableSetting:
    """Spectra {5/7, 1} without and with a row of margin 1.4, {1, 4}, and three support vectors; geometric times."""
    pair = np.linalg.cholesky(np.array([[6.0, 1.0], [1.0, 6.0]]))
    w = np.linalg.solve(pair, np.ones(2))
    across = np.array([-w[1], w[0]])
    designs = (
        pair,
        np.vstack([pair, 1.4 * w / (w @ w) + across]),
        np.array([[1.0, 0.0, 2.0], [1.0, 0.0, -2.0]]),
        np.linalg.cholesky(np.array([[3.0, 0.5, 0.2], [0.5, 4.0, 1.0], [0.2, 1.0, 6.0]])),
    )
    design = designs[seed]
    found = separator(design)
    end = 20 / min(found.spectrum[0], found.second_margin - 1)
    times = tuple(round(math.exp(part * end)) for part in (0.6, 0.8, 1.0))
    return SeparableSetting(design, 0.3 * np.arange(1, design.shape[1] + 1), 1.0, times)


def separator(design: np.ndarray) -> SeparatorFloats:
    found = SeparatorFloats.of(design)
    assert found is not None
    return found


def none_of(setting: SeparableSetting) -> np.ndarray:
    return np.zeros((len(setting.initial), 0))


def descend(setting: SeparableSetting, run: Run) -> dict[str, Any]:
    """Gradient descent on the exponential loss, step by step; `log_time` is log(eta t)."""
    s = setting
    path = descend_separable(s.design, s.initial, none_of(s), step=s.step, record=s.times)
    return {
        "time": np.array(s.times, dtype=float),
        "weights": path.means,
        "log_time": np.log(s.step * np.array(s.times)),
    }


def flow(setting: SeparableSetting, run: Run) -> dict[str, Any]:
    """Gradient flow on the exponential loss by one of two integrators; `log_time` is log(1 + t)."""
    s, times = setting, np.array(setting.times, dtype=float)
    path = flow_separable(
        s.design, s.initial, none_of(s), record=np.log1p(times), method=run.block["method"], rtol=1e-12
    )
    return {"time": times, "weights": path.means, "log_time": np.log1p(times)}


def remainders(setting: SeparableSetting, rows: Rows) -> np.ndarray:
    """Bounds on ||w_t - w_hat log t - w_tilde - P w_0||: what the state shows, and what rounding or the integrator adds."""
    found = separator(setting.design)
    bounds = []
    for t, w, log_time in zip(rows["time"], rows["weights"], rows["log_time"], strict=True):
        shown = distance_to_constant(found, w, log_time)
        size = float(np.linalg.norm(w)) + float(np.linalg.norm(setting.initial))
        # descent: t steps of a few roundings each; flow: log(1 + t) against log t
        added = (
            FLOW_ERROR * size + float(np.linalg.norm(found.weights)) / t
            if setting.step == 1
            else 8 * UNIT_ROUNDOFF * t * size
        )
        bounds.append(shown + added)
    return np.array(bounds)


def compare_constant(setting: SeparableSetting, prediction: Any, rows: Rows) -> Comparison:
    """The last weights against w_hat log t + w_tilde + P w_0."""
    bounds = remainders(setting, rows)
    last = np.isclose(rows["time"], max(setting.times))
    observed = rows["weights"][last]
    predicted = prediction.weights * np.log(rows["time"][last])[:, None] + prediction.constant + prediction.kept
    return Comparison(observed, predicted, bounds[last][:, None], np.linalg.norm(observed, axis=1)[:, None])


def compare_estimators(setting: SeparableSetting, prediction: Any, rows: Rows) -> Comparison:
    """(w_t2 - w_t1)/log(t2/t1) against w_hat, and w_t2/log t2 against w_hat + (w_tilde + P w_0)/log t2."""
    first, second = remainders(setting, rows)
    (early, late), (t1, t2) = rows["weights"], rows["time"]
    naive = prediction.weights + (prediction.constant + prediction.kept) / math.log(t2)
    observed = np.stack([log_difference(early, late, times=(t1, t2)), late / math.log(t2)])
    bound = np.array([[(first + second) / math.log(t2 / t1)], [second / math.log(t2)]])
    return Comparison(observed, np.stack([prediction.weights, naive]), bound, float(np.linalg.norm(prediction.weights)))


def compare_exponent(setting: SeparableSetting, prediction: Any, rows: Rows) -> Comparison:
    """The local exponent of ||dw/dtau - w_hat|| over the last interval of tau, against rho.

    It approaches rho like e^(-G tau), G the gap from rho to the next exponent (another eigenvalue, another margin less 1,
    or 2 rho), so its last change, divided by 1 - e^(-G h) for intervals of length h, bounds what is left of it.
    """
    x, found = setting.design, separator(setting.design)
    tau = rows["log_time"]
    velocity = np.exp(tau[:, None] - rows["weights"] @ x.T) @ x
    size = np.log(np.linalg.norm((velocity - found.weights) @ found.basis, axis=1))
    slopes = -np.diff(size) / np.diff(tau)
    margins = (x @ found.weights)[[n for n in range(len(x)) if n not in found.support]]
    exponents = np.sort(np.concatenate([found.spectrum, margins - 1]))
    gap = min([e - exponents[0] for e in exponents if e > exponents[0] + 1e-6] + [exponents[0]])
    bound = abs(slopes[-1] - slopes[-2]) / -math.expm1(-gap * (tau[-1] - tau[-2])) + 1e-4
    return Comparison(slopes[-1:], np.array([prediction.exponent]), np.array([bound]), prediction.exponent)
