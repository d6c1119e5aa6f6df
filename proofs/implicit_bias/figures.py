"""The figures of the area, by key: drawn with the shipped functions on small problems that need no run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...numerics.implicit_bias.gaussian_law import GaussianLaw, covariance
from ...numerics.implicit_bias.least_squares import gradient_descent_limit, gradient_descent_path
from ...numerics.implicit_bias.metric import metric_limit, metric_path
from ...numerics.implicit_bias.momentum import Variant, momentum_modes
from ...numerics.implicit_bias.separable_limits import rate_spectrum
from ...numerics.implicit_bias.spectral_filters import FLOW_RIDGE_GAP, FLOW_RIDGE_GAP_AT, flow_filter, ridge_filter
from ...numerics.implicit_bias.stability import SampledDescent, largest_stable_mode_step
from ...numerics.implicit_bias.variational_regression import regression_limit
from ...numerics.training.separable import flow_separable
from ..drawing import ALLOWED, BAND, DATA, INK, QUIET, WRONG, Figure, finish, write

ROW, TARGET = np.array([[1.0, 2.0]]), np.array([3.0])
LINE = np.array([-2.0, 4.0])


def _solutions(axes: Any) -> None:
    axes.plot(LINE, (TARGET[0] - ROW[0, 0] * LINE) / ROW[0, 1], color=INK, linewidth=1)
    axes.set_aspect("equal")
    axes.set_xlim(-2.2, 4)
    axes.set_ylim(-1.6, 3.4)


def nearest_solution(verdict: Mapping[str, Any], axes: Any) -> None:
    """Descent from four starts to the feet of four perpendiculars."""
    _solutions(axes)
    for start in np.array([[-1.5, 0.0], [2.0, 3.0], [0.0, 0.0], [3.5, -1.2]]):
        path = gradient_descent_path(ROW, TARGET, start, step=0.05, time=np.arange(40))
        axes.plot(*path.T, ".-", color=DATA, linewidth=1, markersize=4)
        axes.plot(*gradient_descent_limit(ROW, TARGET, start), "o", color=ALLOWED, markersize=8, markerfacecolor="none")
    write(axes, -1.9, 2.5, "all solutions", "above right")
    finish(axes, "Each start ends at the solution nearest to it", "first weight", "second weight")


def early_stopping(verdict: Mapping[str, Any], axes: Any) -> None:
    """Fraction fitted by the flow at time t and by ridge with penalty 1/t."""
    u = np.geomspace(1e-2, 1e2, 300)
    fitted = flow_filter(np.ones(1), time=u)[:, 0]
    ridge = ridge_filter(np.ones(1), penalty=1 / u)[:, 0]
    axes.plot(u, fitted, color=DATA, linewidth=1.8, label="gradient flow, time t")
    axes.plot(u, ridge, color=ALLOWED, linewidth=1.8, label="ridge, penalty 1/t")
    axes.plot(u, fitted - ridge, color=WRONG, linewidth=1.4, linestyle="--", label="difference")
    axes.plot([FLOW_RIDGE_GAP_AT], [FLOW_RIDGE_GAP], "o", color=WRONG, markersize=5)
    write(axes, FLOW_RIDGE_GAP_AT, FLOW_RIDGE_GAP, f"{FLOW_RIDGE_GAP:.4f}", "above right", WRONG)
    finish(axes, "Stopping early is nearly ridge regression", "s² t", "fraction fitted", log="x", key="upper left")


def momentum_clock(verdict: Mapping[str, Any], axes: Any) -> None:
    """Factor per step of one mode, and where it leaves the stable range."""
    x = np.linspace(1e-3, 4, 800)
    curves: tuple[tuple[Variant, str, str], ...] = (
        ("heavy_ball", DATA, "heavy ball"),
        ("nesterov", BAND, "Nesterov"),
    )
    for variant, colour, words in curves:
        modulus = momentum_modes(x, momentum=0.9, variant=variant).modulus
        axes.plot(x[modulus < 1.3], modulus[modulus < 1.3], color=colour, linewidth=1.8, label=words)
    axes.plot(x, np.abs(1 - x), color=QUIET, linewidth=1.2, label="no momentum")
    axes.axhline(1, color=WRONG, linewidth=1)
    axes.set_ylim(0.0, 1.3)
    finish(
        axes,
        "Momentum 0.9: √0.9 in all complex modes, and another edge",
        "step × eigenvalue",
        "factor per step",
        key="lower right",
    )


def metrics(verdict: Mapping[str, Any], axes: Any) -> None:
    """One problem, one start, three metrics."""
    _solutions(axes)
    start = np.array([-1.0, -0.5])
    for metric, colour, words in (
        (np.eye(2), DATA, "D = I"),
        (np.diag([6.0, 1.0]), BAND, "first weight 6 times faster"),
        (np.array([[2.0, -1.2], [-1.2, 2.0]]), ALLOWED, "a rotated D"),
    ):
        step = 0.4 / float((ROW @ metric @ ROW.T).item())
        path = metric_path(ROW, TARGET, start, metric=metric, step=step, time=np.arange(30))
        axes.plot(*path.T, ".-", color=colour, linewidth=1, markersize=4, label=words)
        axes.plot(
            *metric_limit(ROW, TARGET, start, metric=metric), "o", color=colour, markersize=8, markerfacecolor="none"
        )
    finish(axes, "The metric decides which solution is nearest", "first weight", "second weight", key="upper right")


def trained_law(verdict: Mapping[str, Any], axes: Any) -> None:
    """The law that training ends in and the noise-free posterior, two standard deviations along the solutions."""
    row, target = np.array([[1.0, 1.0]]), np.array([1.5])
    prior = GaussianLaw(np.zeros(2), np.diag([1.6, 0.35]))
    sigma = covariance(prior)
    gain = sigma @ row.T / (row @ sigma @ row.T)
    trained = regression_limit(row, target, prior)
    around = np.linspace(0, 2 * np.pi, 200)
    axes.plot(
        *(2 * prior.factor @ np.stack([np.cos(around), np.sin(around)])), color=QUIET, linewidth=1.4, label="prior"
    )
    axes.plot(LINE, target[0] - LINE, color=INK, linewidth=0.8)
    along = np.array([1.0, -1.0]) / np.sqrt(2)
    for mean, spread, colour, width, words in (
        (trained.mean, covariance(trained), ALLOWED, 5, "end of training: nearest in W₂"),
        (gain @ target, sigma - gain @ row @ sigma, WRONG, 2, "noise-free posterior (KL)"),
    ):
        reach = 2 * np.sqrt(along @ spread @ along) * along
        axes.plot(*np.stack([mean - reach, mean + reach]).T, color=colour, linewidth=width, alpha=0.8, label=words)
        axes.plot(*mean, "o", color=colour, markersize=5)
    axes.set_aspect("equal")
    axes.set_xlim(-3.4, 3.4)
    axes.set_ylim(-1.8, 2.8)
    finish(
        axes,
        "Training keeps what the data cannot see, and is not Bayes' rule",
        "first weight",
        "second weight",
        key="lower left",
    )


def sampled_edge(verdict: Mapping[str, Any], axes: Any) -> None:
    """Largest stable step times h_max against the rank, for four ways of training."""
    ranks = np.unique(np.geomspace(1, 200, 40).astype(int)).tolist()
    for colour, words, choose in (
        (DATA, "one draw", lambda r: SampledDescent(r)),
        (WRONG, "one draw, momentum 0.9", lambda r: SampledDescent(r, momentum=0.9)),
        (BAND, "one pair z, -z", lambda r: SampledDescent(r, samples=2, estimator="antithetic")),
        (ALLOWED, "one draw, factor R times slower", lambda r: SampledDescent(r, covariance_rate=1 / r)),
    ):
        axes.plot(ranks, [largest_stable_mode_step(choose(r)) for r in ranks], color=colour, linewidth=1.8, label=words)
    axes.axhline(2, color=QUIET, linewidth=1, linestyle=":")
    write(axes, 1.1, 2, "exact expectation", "below right", QUIET)
    finish(
        axes,
        "A rate of 1/R for the factor keeps the edge at every rank",
        "rank R",
        "largest stable step × h_max",
        log="xy",
        key="lower left",
    )


PAIR = np.column_stack([np.linalg.cholesky(np.array([[6.0, 1.0], [1.0, 6.0]])), np.zeros(2)])
TAUS = np.linspace(0.0, 20.0, 81)


def margin_exponents(verdict: Mapping[str, Any], axes: Any) -> None:
    """What is left of the factor on the rows, against its predicted exponent."""
    run = flow_separable(PAIR, np.zeros(3), 0.5 * np.eye(3), record=TAUS)
    left = np.linalg.norm(PAIR @ run.factors, axis=(1, 2))
    slowest = float(rate_spectrum(PAIR)[0])
    axes.plot(TAUS, left, color=DATA, linewidth=1.8, label="‖X S‖, trained")
    axes.plot(
        TAUS,
        left[-1] * np.exp(-slowest * (TAUS - TAUS[-1])),
        color=INK,
        linewidth=1,
        linestyle="--",
        label=f"t to the power -{slowest:.4f}",
    )
    axes.plot(TAUS, np.abs(run.factors[:, 2, 2]), color=ALLOWED, linewidth=1.8, label="what no row sees")
    finish(
        axes,
        "The exponent is known before training: the least eigenvalue of A",
        "log time",
        "factor",
        log="y",
        key="lower left",
    )


def frozen_variance(verdict: Mapping[str, Any], axes: Any) -> None:
    """The variance at an example that is no support vector freezes."""
    rows = np.array([[1.0, 0.0, 0.0], [2.5, 2.0, 0.0]])
    run = flow_separable(rows, np.zeros(3), np.eye(3), record=TAUS)
    variance = ((rows @ run.factors) ** 2).sum(axis=2)
    axes.plot(TAUS, variance[:, 0], color=DATA, linewidth=1.8, label="support vector")
    axes.plot(TAUS, variance[:, 1], color=WRONG, linewidth=1.8, label="the other example")
    write(axes, 12, float(variance[-1, 1]), f"{variance[-1, 1]:.4f}", "above", WRONG)
    finish(
        axes,
        "Without spanning support vectors some variance never goes",
        "log time",
        "variance at the example",
        log="y",
        key="lower left",
    )


def confident_everywhere(verdict: Mapping[str, Any], axes: Any) -> None:
    """Margin in standard deviations against log time, along the maximum margin and off the data."""
    run = flow_separable(PAIR, np.zeros(3), np.eye(3), record=TAUS)
    direction = PAIR.T @ np.linalg.solve(PAIR @ PAIR.T, np.ones(2))
    direction = direction / np.linalg.norm(direction)
    for degrees, colour in ((0, DATA), (45, BAND), (80, ALLOWED), (90, WRONG)):
        angle = np.radians(degrees)
        point = np.cos(angle) * direction + np.sin(angle) * np.array([0.0, 0.0, 1.0])
        mean, spread = run.means @ point, np.linalg.norm(point @ run.factors, axis=1)
        probit = mean / np.sqrt(1 + np.pi * spread**2 / 8)
        axes.plot(TAUS, 1 / (1 + np.exp(-probit)), color=colour, linewidth=1.8, label=f"{degrees}°")
    axes.set_ylim(0.25, 1.03)
    finish(
        axes,
        "Every probability goes to 0 or 1, except at right angles",
        "log time",
        "probability (probit)",
        key="lower right",
        head="angle to the margin",
    )


FIGURES: Mapping[str, Figure] = {
    "ib.ls_minnorm": nearest_solution,
    "ib.ls_trajectory": early_stopping,
    "ib.ls_momentum": momentum_clock,
    "ib.ls_precond": metrics,
    "ib.regression_w2": trained_law,
    "ib.mc_stability": sampled_edge,
    "ib.class_rates": margin_exponents,
    "ib.class_nonspan": frozen_variance,
    "ib.class_overconfidence": confident_everywhere,
}
