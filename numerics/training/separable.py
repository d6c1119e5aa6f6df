"""Training on separable data, weights or a Gaussian law over them: the experiments, step by step or as a flow.

The loss is the sum over examples of E phi(x_n^T w), w = mean + factor z, z ~ N(0, I); phi(u) = exp(-u), whose expectation
is exp(-m + v/2), or log(1 + exp(-u)), by Gauss-Hermite quadrature. Labels are absorbed into the rows of the design. A
factor without columns, shape (parameters, 0), trains weights alone. Nothing here knows where training will end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ...theory.errors import InvalidInput, NumericalFailure
from ...theory.validation import finite

Loss = Literal["exponential", "logistic"]
Integrator = Literal["DOP853", "LSODA"]
NODES = 80


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Means (records, parameters), factors (records, parameters, rank) and losses (records,) along a run."""

    means: Float[np.ndarray, "records parameters"]
    factors: Float[np.ndarray, "records parameters rank"]
    losses: Float[np.ndarray, " records"]


@dataclass(frozen=True, eq=False)
class Objective:
    """The expected loss in terms of m = x_n^T mean and c = x_n^T factor: value, and its two kinds of force.

    push(m, v) = -E phi'(u), pull(m, v) = E phi''(u), both (examples,), times exp(shift).
    """

    value: Callable[[np.ndarray, np.ndarray], float]
    push: Callable[[np.ndarray, np.ndarray, float], np.ndarray]
    pull: Callable[[np.ndarray, np.ndarray, float], np.ndarray]


def objective(loss: Loss) -> Objective:
    """Forces of the exponential or the logistic loss."""
    if loss == "exponential":

        def force(m: np.ndarray, v: np.ndarray, shift: float) -> np.ndarray:
            return np.asarray(np.exp(v / 2 - m + shift))

        return Objective(lambda m, v: float(np.exp(v / 2 - m).sum()), force, force)
    if loss != "logistic":
        raise InvalidInput(f"loss is {loss!r}.", "Pass 'exponential' or 'logistic'.")
    z, weight = np.polynomial.hermite_e.hermegauss(NODES)
    weight = weight / weight.sum()

    def u(m: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.asarray(m[:, None] + np.sqrt(v)[:, None] * z)

    # -phi'(u) = 1/(1 + e^u) and phi''(u) = 1/((1 + e^u)(1 + e^-u)); the shift e^s is taken inside the exponentials
    def push(m: np.ndarray, v: np.ndarray, shift: float) -> np.ndarray:
        return np.asarray(np.exp(shift - np.logaddexp(0, u(m, v))) @ weight)

    def pull(m: np.ndarray, v: np.ndarray, shift: float) -> np.ndarray:
        points = u(m, v)
        return np.asarray(np.exp(shift - np.logaddexp(0, points) - np.logaddexp(0, -points)) @ weight)

    return Objective(lambda m, v: float((np.logaddexp(0, -u(m, v)) @ weight).sum()), push, pull)


def descend_separable(
    design: Any,
    mean: Any,
    factor: Any,
    *,
    step: float,
    record: Sequence[int],
    loss: Loss = "exponential",
    factor_ratio: float = 1.0,
    metric: np.ndarray | None = None,
) -> Trajectory:
    """Gradient descent: mean <- mean - step D grad, factor <- factor - factor_ratio step D grad.

    design (examples, parameters), mean (parameters,), factor (parameters, rank), `record` increasing whole numbers of
    steps. Raises `NumericalFailure` when the run overflows.
    """
    x, m, s = _problem(design, mean, factor)
    f, times = objective(loss), [int(t) for t in record]
    if not times or times[0] < 0 or (np.diff(times) <= 0).any() or not step > 0:
        raise InvalidInput(
            f"record is {list(record)!r}, step {step!r}.", "Pass increasing whole numbers and a positive step."
        )
    forward = np.ascontiguousarray((x if metric is None else x @ metric).T) * step
    kept: list[tuple[np.ndarray, np.ndarray, float]] = []
    none = np.zeros(len(x))
    with np.errstate(over="ignore", invalid="ignore"):  # a run that blows up is reported below, once
        for t in range(times[-1] + 1):
            a = x @ m
            if s.shape[1]:
                c = x @ s
                v = np.einsum("nr,nr->n", c, c)
            else:
                v = none
            if t == times[len(kept)]:
                kept.append((m.copy(), s.copy(), f.value(a, v)))
            m += forward @ f.push(a, v, 0.0)
            if s.shape[1]:
                s -= factor_ratio * (forward @ (f.pull(a, v, 0.0)[:, None] * c))
    return _trajectory(kept, f"Descent blew up with step {step:g}.")


def flow_separable(
    design: Any,
    mean: Any,
    factor: Any,
    *,
    record: Sequence[float] | np.ndarray,
    loss: Loss = "exponential",
    factor_ratio: float = 1.0,
    metric: np.ndarray | None = None,
    method: Integrator = "DOP853",
    rtol: float = 1e-11,
) -> Trajectory:
    """Gradient flow in tau = log(1 + t), recorded at the values `record` of tau (increasing, from 0 on).

    In tau the forces are multiplied by 1 + t = e^tau, and the flow is not stiff unless an exponent is large. `method` is
    one of SciPy's integrators with local relative error `rtol`; DOP853 and LSODA share no code.
    """
    from scipy.integrate import solve_ivp

    x, m, s = _problem(design, mean, factor)
    f, times = objective(loss), np.asarray(record, dtype=np.float64)
    if not times.size or times[0] < 0 or (np.diff(times) <= 0).any():
        raise InvalidInput(f"record is {list(record)!r}.", "Pass increasing values of log(1 + t).")
    p, rank = s.shape
    forward = np.ascontiguousarray((x if metric is None else x @ metric).T)

    def velocity(tau: float, state: np.ndarray) -> np.ndarray:
        c = x @ state[p:].reshape(p, rank)
        a, v = x @ state[:p], np.einsum("nr,nr->n", c, c)
        return np.concatenate(
            [forward @ f.push(a, v, tau), -factor_ratio * (forward @ (f.pull(a, v, tau)[:, None] * c)).ravel()]
        )

    start = np.concatenate([m, s.ravel()])
    # means are resolved absolutely, on the scale of log t; factors relatively, since their decay is what is measured
    absolute = np.concatenate([np.full(p, rtol / 100), np.full(s.size, 1e-30)])
    with np.errstate(over="ignore", invalid="ignore"):
        found = solve_ivp(velocity, (0.0, times[-1]), start, method=method, t_eval=times, rtol=rtol, atol=absolute)
    if not found.success:
        raise NumericalFailure(f"{method} failed: {found.message}", "Start nearer to the data's scale.")
    kept = []
    for state in found.y.T:
        c, a = x @ state[p:].reshape(p, rank), x @ state[:p]
        kept.append((state[:p], state[p:].reshape(p, rank), f.value(a, np.einsum("nr,nr->n", c, c))))
    return _trajectory(kept, f"{method} blew up.")


def _problem(design: Any, mean: Any, factor: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, m, s = finite("design", design, ndim=2), finite("mean", mean, ndim=1), finite("factor", factor, ndim=2)
    if x.shape[1] != len(m) or s.shape[0] != len(m) or not x.size:
        raise InvalidInput(
            f"design has shape {x.shape}, mean {m.shape}, factor {s.shape}.",
            "Pass (examples, parameters), (parameters,) and (parameters, rank); rank 0 trains weights alone.",
        )
    return x, m.copy(), s.copy()


def _trajectory(kept: list[tuple[np.ndarray, np.ndarray, float]], problem: str) -> Trajectory:
    means, factors, losses = (np.array([entry[k] for entry in kept]) for k in range(3))
    if not all(np.isfinite(part).all() for part in (means, factors, losses)):
        raise NumericalFailure(problem, "Lower the step below `guaranteed_step`, or start from a smaller factor.")
    return Trajectory(means, factors, losses)
