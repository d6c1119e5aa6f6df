"""The figures of single results: drawn from the verdicts of the quick run, legible, of the shipped numbers, and no part of a verdict."""

from __future__ import annotations

import math
import subprocess
import sys
from functools import cache
from itertools import combinations, pairwise
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from scipy.optimize import brentq
from scipy.special import gammaln
from scipy.stats import binom

from nonvacuous.numerics.digests import source_modules
from nonvacuous.proofs.catalogue import CATALOGUE, FIGURES
from nonvacuous.proofs.result import functions_of
from nonvacuous.report.drawing import SETTINGS, VARIABLES, svg

DRAWN = {result.key: result for result in CATALOGUE if result.figure is not None}


@cache
def axes_of(key: str) -> Any:
    """The figure on Axes of the size that the report gives it."""
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(7.2, 3.6))
        FigureCanvasAgg(figure)
        axes = figure.add_axes((1.05 / 7.2, 0.5 / 3.6, 1 - 1.27 / 7.2, 1 - 0.8 / 3.6))
        DRAWN[key].figure({}, axes)
        figure.canvas.draw()
    return axes


def line(axes: Any, label: str) -> Line2D:
    return next(line for line in axes.lines if str(line.get_label()).startswith(label))


def at(axes: Any, label: str, x: float) -> float:
    """Height of a labelled line at x, on the straight piece between two of its points."""
    found = line(axes, label)
    return float(np.interp(x, found.get_xdata(), found.get_ydata()))


def test_every_figure_belongs_to_a_result_of_the_catalogue() -> None:
    assert set(FIGURES) == set(DRAWN)
    assert len(DRAWN) >= 20


@pytest.mark.parametrize("key", sorted(DRAWN))
def test_figure_of_the_quick_run_is_drawn_in_the_colours_of_the_page(quick_run: Any, key: str) -> None:
    source = svg(DRAWN[key].figure, quick_run.verdicts[key], name="own", label=key, width=7.2, height=3.6)
    for colour in VARIABLES:
        assert colour not in source
    assert source.count("var(--") > 10
    for default in ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728"):  # matplotlib's own cycle does not know dark pages
        assert default not in source


@pytest.mark.parametrize("key", sorted(DRAWN))
def test_figure_is_legible(key: str) -> None:
    axes = axes_of(key)
    figure = axes.figure
    assert axes.get_title(loc="left")
    assert axes.get_xlabel()
    assert axes.get_ylabel()
    lines = [x for x in axes.lines if len(x.get_xdata()) > 2]
    assert lines
    for drawn in lines:
        y = np.asarray(drawn.get_ydata(), dtype=float)
        assert np.isfinite(y).all()
        low, high = axes.get_ylim()
        assert ((y >= low) & (y <= high)).mean() > 0.15, "a line lies beyond the axes"
    words = [text for text in axes.findobj(Text) if text.get_text()]
    assert {to_hex(text.get_color()) for text in words} <= set(VARIABLES) - {"#000000"}, "invisible on dark pages"
    legend = axes.get_legend()
    boxes = {text.get_text(): text.get_window_extent() for text in axes.texts}
    boxes |= {"title": axes._left_title.get_window_extent(), "x": axes.xaxis.label.get_window_extent()}
    boxes |= {"y": axes.yaxis.label.get_window_extent()}
    boxes |= {"key": legend.get_window_extent()} if legend else {}
    for (first, a), (second, b) in combinations(boxes.items(), 2):
        assert not a.overlaps(b), f"{first} overlaps {second}"
    for name, box in boxes.items():
        assert box.x0 >= 0, f"{name} is cut off"
        assert box.y0 >= 0, f"{name} is cut off"
        assert box.x1 <= figure.bbox.x1, f"{name} is cut off"
        assert box.y1 <= figure.bbox.y1, f"{name} is cut off"
    for axis in (axes.xaxis, axes.yaxis):
        ticks = [t.get_window_extent() for t in axis.get_ticklabels() if t.get_text()]
        shown = [t for t in ticks if t.x0 >= 0 and t.x1 <= figure.bbox.x1 + 1 and t.y1 <= figure.bbox.y1]
        assert len(shown) >= 3
        assert not any(a.overlaps(b) for a, b in pairwise(shown))


@pytest.mark.parametrize("key", sorted(DRAWN))
def test_no_line_runs_through_the_key(key: str) -> None:
    axes = axes_of(key)
    legend = axes.get_legend()
    if legend is None:
        return
    boxes = [text.get_window_extent() for text in legend.get_texts()]
    for drawn in (x for x in axes.lines if len(x.get_xdata()) > 2):
        points = drawn.get_transform().transform(np.column_stack([drawn.get_xdata(), drawn.get_ydata()]))
        steps = np.linspace(points[:-1], points[1:], 20).reshape(-1, 2)
        inside = axes.bbox.contains
        assert not any(box.contains(x, y) for box in boxes for x, y in steps if inside(x, y)), (
            f"{drawn.get_label()} runs through the key"
        )


def test_no_verdict_rests_on_a_figure() -> None:
    for result in CATALOGUE:
        found = source_modules(functions_of(result))
        assert not [name for name in found if name.endswith((".figures", ".drawing", ".catalogue"))], result.key


def test_figures_import_neither_torch_nor_pyplot() -> None:
    program = (
        "import sys; from nonvacuous.proofs.catalogue import FIGURES; assert 'matplotlib' not in sys.modules;"
        "from matplotlib.figure import Figure;"
        "[draw({}, Figure().add_subplot()) for draw in FIGURES.values()];"
        "print(sorted({'torch', 'matplotlib.pyplot', 'jax'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


# --- what the lines show, computed another way ---------------------------------------------------------------------


def kl(q: float, p: float) -> float:
    return sum(a * math.log(a / b) for a, b in ((q, p), (1 - q, 1 - p)) if a)


def up(q: float, c: float) -> float:
    return float(brentq(lambda p: kl(q, p) - c, q, 1 - 1e-12, xtol=1e-13))


def log_xi(n: int) -> float:
    k = np.arange(n + 1)
    return float(np.log(np.exp(binom.logpmf(k, n, k / n)).sum()))


def test_the_inverses_are_where_the_curve_crosses_the_level() -> None:
    axes = axes_of("pb.klinv")
    ends = [float(x.get_xdata()[0]) for x in axes.lines if len(x.get_xdata()) == 1]
    assert kl(0.1, ends[0]) == pytest.approx(0.05)
    assert kl(0.1, ends[1]) == pytest.approx(0.05)
    assert ends[0] < 0.1 < ends[1]
    assert 2 * (ends[2] - 0.1) ** 2 == pytest.approx(0.05)
    assert at(axes, "kl", 0.3) == pytest.approx(kl(0.1, 0.3), abs=1e-4)


def test_constants() -> None:
    axes = axes_of("pb.xi")
    first, (height,) = axes.lines[0], axes.lines[1].get_ydata()
    assert height == 2
    n = int(first.get_xdata()[40])
    assert first.get_ydata()[40] == pytest.approx(math.exp(log_xi(n)) / math.sqrt(n))
    n = int(axes_of("pb.nml").lines[0].get_xdata()[20])
    assert axes_of("pb.nml").lines[0].get_ydata()[20] == pytest.approx(log_xi(n))


def test_the_mixture_regret_ends_at_ln_kt() -> None:
    regret, level = axes_of("pb.kt").lines[2:4]
    expected = math.log(math.pi) / 2 + gammaln(101) - gammaln(100.5)
    assert regret.get_ydata()[0] == pytest.approx(expected)
    assert regret.get_ydata()[-1] == pytest.approx(expected)
    assert max(regret.get_ydata()) == pytest.approx(level.get_ydata()[0])


def test_three_readings_of_a_test_error() -> None:
    axes = axes_of("pb.test_binomial")
    limit = brentq(lambda p: binom.cdf(20, 100, p) - 0.05, 0.2, 0.5)
    assert at(axes, "binomial", 20) == pytest.approx(limit - 0.2)
    assert at(axes, "Chernoff", 20) == pytest.approx(up(0.2, math.log(20) / 100) - 0.2)
    assert at(axes, "Hoeffding", 20) == pytest.approx(math.sqrt(math.log(20) / 200))


def test_kl_bound_and_its_relaxations() -> None:
    c = (30 + math.log(20) + log_xi(1000)) / 1000
    axes = axes_of("pb.quad")
    assert at(axes, "McAllester", 0.2) == pytest.approx(0.2 + math.sqrt(c / 2) - up(0.2, c))
    assert at(axes, "quad", 0.2) == pytest.approx((math.sqrt(0.2 + c / 2) + math.sqrt(c / 2)) ** 2 - up(0.2, c))
    axes = axes_of("pb.lambda")
    assert at(axes, "0.1", 0.5) == pytest.approx(0.1 / 0.75 + c / (0.5 * 0.75))
    axes = axes_of("pb.kl")
    n = int(line(axes, "30").get_xdata()[20])
    assert line(axes, "30").get_ydata()[20] == pytest.approx(up(0.1, (30 + math.log(20) + log_xi(n)) / n))


def test_catoni_touches_the_envelope() -> None:
    axes = axes_of("pb.catoni")
    c = (10 + math.log(20)) / 200
    value = -math.expm1(-1.2 * 0.2 - c) / -math.expm1(-1.2)
    assert at(axes, "β = 1.2", 0.2) == pytest.approx(value - up(0.2, c))
    for beta in ("β = 1.2", "β = 2.4"):
        assert 0 <= min(line(axes, beta).get_ydata()) < 1e-4
    assert min(line(axes, "kl").get_ydata()) > 0.01


def test_ideal_of_small_data() -> None:
    found = line(axes_of("pb.smalldata"), "kl")
    n = int(found.get_xdata()[3])
    level = n / 20 + math.log(20)
    expected = up(0.1, (level + log_xi(n)) / n) - up(0.1, level / n)
    assert found.get_ydata()[3] == pytest.approx(expected, rel=1e-6, abs=0)


def test_oracle_bounds_of_a_vote() -> None:
    axes = axes_of("pb.mv_order")
    L, D = 0.3, 0.21
    second = L - D / 2
    assert at(axes, "first", D) == pytest.approx(2 * L)
    assert at(axes, "second", D) == pytest.approx(4 * second)
    assert at(axes, "C-bound", D) == pytest.approx(1 - (1 - 2 * L) ** 2 / (1 - 2 * D), abs=1e-4)
    assert at(axes, "risk", D) == pytest.approx(0.15)


def test_recursion_starts_from_the_bound_of_the_first_posterior() -> None:
    axes = axes_of("pb.rpb")
    first = axes.lines[0].get_ydata()[0]
    assert first == pytest.approx(up(0.08, (20 + math.log(2 / 0.05) + log_xi(20000)) / 20000))
    best = line(axes, "four frequencies, 80").get_ydata()
    assert best.min() < min(best[0], best[-1])


def test_bernstein_bounds_cross_the_kl_bound() -> None:
    axes = axes_of("pb.eb")
    flat = line(axes, "kl").get_ydata()
    assert flat[0] == pytest.approx(up(0.2, (5 + math.log(20) + log_xi(500)) / 500))
    assert np.ptp(flat) == 0
    for name in ("empirical B", "unexpected B"):
        values = line(axes, name).get_ydata()
        assert values[0] < flat[0] < values[-1]


def test_inverse_rates_follow_their_formulas() -> None:
    axes = axes_of("pb.cramer")
    assert at(axes, "Gaussian", 1.0) == pytest.approx(math.sqrt(0.5))
    assert at(axes, "0 or 1", 1.5) == 0.5
    s = 0.3  # P(mean of losses <= 1/2 - a) at rate kl(1/2 - a || 1/2)
    gap = at(axes, "0 or 1", s)
    assert kl(0.5 - gap, 0.5) == pytest.approx(s)
    x = 1 - at(axes, "exponential", s) / 0.5  # rate of the exponential mean: x - 1 - ln x
    assert x - 1 - math.log(x) == pytest.approx(s)


def test_bounds_for_unbounded_losses() -> None:
    axes = axes_of("pb.pbc")
    assert at(axes, "pb.pbc", 100) == pytest.approx(math.sqrt(2 * (100 + math.log(1000 / 0.05)) / 999))
    assert at(axes, "pb.alquier at λ = 250", 100) == pytest.approx((100 + math.log(20)) / 250 + 250 / 2000)
    found = line(axes_of("pb.sg_mixture"), "a = 1000")
    n, height = found.get_xdata()[30], found.get_ydata()[30]
    expected = 2 * (n + 1000) / n * (10 + math.log((n + 1000) / 1000) / 2 + math.log(20))
    assert height == pytest.approx(math.sqrt(expected))


def test_gain_of_averaging_two_models() -> None:
    axes = axes_of("pb.jensen2")
    p = float(line(axes, "gain").get_xdata()[60])
    assert line(axes, "gain").get_ydata()[60] == pytest.approx(math.log(0.5) - math.log(p * (1 - p)) / 2)
    assert line(axes, "V,").get_ydata()[60] == pytest.approx((p - 0.5) ** 2 / (2 * p * p))


def test_slope_of_the_bayes_loss_is_the_one_drawn() -> None:
    axes = axes_of("pb.cpe")
    for name, tangent in (("Bayes loss, test coin of bias 0.6", 1), ("Bayes loss, test coin of bias 0.8", 4)):
        x, y = axes.lines[tangent].get_data()
        slope = (y[-1] - y[0]) / (x[-1] - x[0])
        found = line(axes, name)
        t, b = np.asarray(found.get_xdata()), np.asarray(found.get_ydata())
        near = np.polynomial.Polynomial.fit(np.log(t[np.abs(np.log(t)) < 0.4]), b[np.abs(np.log(t)) < 0.4], 3)
        assert near.deriv()(0.0) == pytest.approx(slope, rel=0.02, abs=0)


def test_time_uniform_figures() -> None:
    found = line(axes_of("pb.kl_anytime"), "union")
    n = int(found.get_xdata()[10])
    single = up(0.1, (10 + math.log(20) + log_xi(n)) / n)
    union = up(0.1, (10 + math.log(20 * n * (n + 1)) + log_xi(n)) / n)
    assert found.get_ydata()[10] == pytest.approx(100 * (union / single - 1))
    betting = [
        x.get_ydata() for x in axes_of("pb.betting_ci").lines if x.get_linestyle() == "-" and len(x.get_xdata()) > 2
    ]
    kl_limits = [x.get_ydata() for x in axes_of("pb.betting_ci").lines if x.get_linestyle() == "--"]
    assert (betting[0] >= kl_limits[0]).all()
    assert (betting[1] <= kl_limits[1]).all()


def test_a_new_point_raises_the_ensemble_alone() -> None:
    axes = axes_of("iw.adding_a_point")
    assert at(axes, "deep ensemble", 1.1) == pytest.approx(0.0169334 / 0.0152542, rel=1e-4)
    for posterior in ("NNGP", "NTK"):
        assert np.max(line(axes, posterior).get_ydata()) <= 1 + 1e-9


def test_the_ensemble_lies_between_two_posteriors() -> None:
    axes = axes_of("iw.loewner_chain")
    low, middle, high = (np.asarray(line(axes, name).get_ydata()) for name in ("NNGP", "deep", "NTK"))
    # deviations: the square root of variances that are rounded to about 1e-15
    assert (low <= middle + 1e-7).all()
    assert (middle <= high + 1e-7).all()
    assert (middle > 1.2 * low).any()


def test_the_kink_has_slope_1_and_the_smooth_kernel_slope_2() -> None:
    lines = [found for found in axes_of("iw.ntk_kink").lines if len(found.get_xdata()) > 2]
    slopes = [np.diff(np.log(found.get_ydata()[:20])) / np.diff(np.log(found.get_xdata()[:20])) for found in lines]
    assert np.allclose(slopes[0], 1, atol=1e-3)
    assert np.allclose(slopes[1], 2, atol=1e-3)


def test_heavy_ball_reaches_further() -> None:
    axes = axes_of("iw.max_lr")
    for label, limit in (("descent", 2.0), ("heavy", 2.8), ("momentum 0.8", 3.6)):
        found = line(axes, label)
        stable = np.asarray(found.get_xdata())[np.asarray(found.get_ydata()) < 1]
        assert stable.max() <= limit
        assert stable.max() > limit - 0.02
