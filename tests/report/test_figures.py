"""The figures carry the right data. Nothing is rendered except where the SVG itself is the subject."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pages import SERIES, check

from nonvacuous.report.drawing import svg
from nonvacuous.report.figures import FIGURES, LEFT, RIGHT, draw_check, draw_controls
from nonvacuous.report.formulas import inline
from nonvacuous.report.plotting import tick
from nonvacuous.report.strip import LOW, position, rows, scale
from nonvacuous.statements import STATEMENTS


def drawn(record: dict[str, Any], draw: Any = draw_check) -> Axes:
    axes = Figure().add_subplot()
    draw(record, axes)
    return axes


def points(axes: Axes) -> np.ndarray:
    """All scattered points, in the order of their x."""
    found = np.concatenate([np.asarray(c.get_offsets()) for c in axes.collections if len(c.get_offsets())])
    return found[np.argsort(found[:, 0])]


def test_every_claim_of_the_verdicts_has_a_figure() -> None:
    from nonvacuous.numerics.verdict import PROCEDURES

    assert set(FIGURES) == {claim.__name__ for claim in PROCEDURES} | {"Formula"} == set(SERIES)


def test_formula_shows_errors_in_units_of_the_derived_width() -> None:
    record = check("Formula")
    record["series"] = {"error": [1e-16, -5e-16, 4e-15], "allowed": [1e-15, 1e-15, 2e-15]}
    axes = drawn(record)
    np.testing.assert_allclose(points(axes)[:, 1], [0.1, -0.5, 2.0])
    wrong = [c for c in axes.collections if len(c.get_offsets()) == 1]
    assert len(wrong) == 1, "the one outside is drawn apart"
    assert axes.get_ylim()[0] < -1


def test_formula_without_widths_shows_plain_errors() -> None:
    record = check("Formula")
    record["series"] = {"error": [1e-16, -5e-16, 4e-15]}
    axes = drawn(record)
    np.testing.assert_allclose(points(axes)[:, 1], [1e-16, -5e-16, 4e-15])
    assert "0.5 of the derived width" in axes.get_title(loc="right")


def test_agreement_shows_deviation_over_bound_at_the_predicted_value() -> None:
    record = check("Agreement")
    record["series"] = {"observed": [1.0, 2.0, 4.0], "predicted": [1.5, 2.0, 3.0], "bound": [1.0, 0.0, 0.5]}
    np.testing.assert_allclose(points(drawn(record)), [[1.5, -0.5], [2.0, 0.0], [3.0, 2.0]])


def test_high_probability_shows_shares_of_delta_and_of_the_constant() -> None:
    axes = drawn(check("HighProbabilityBound"))
    ends = [line.get_xdata()[0] for line in axes.lines if line.get_marker() not in ("None", None, "")]
    np.testing.assert_allclose(ends, [0.004 / 0.05, 5.1 / 5.0])
    assert axes.get_xscale() == "log"
    assert [label.get_text().split("\n")[0] for label in axes.get_yticklabels()] == ["failure probability", "moment"]


def test_limit_shows_discrepancies_end_point_and_slope() -> None:
    axes = drawn(check("LimitWithRate"))
    left, right = axes.child_axes
    bias = left.containers[0].lines[0]
    np.testing.assert_allclose(bias.get_ydata(), [0.4, 0.2, 0.1])
    np.testing.assert_allclose(left.containers[1].lines[0].get_ydata(orig=False), [0.01])
    assert left.containers[1].lines[0].get_xdata(orig=False)[0] > 128
    np.testing.assert_allclose(right.containers[0].lines[0].get_ydata(), [0.4, 0.2])  # |.|, without the one that is 0
    line = next(line for line in right.lines if len(line.get_xdata()) == 3)
    x, y = np.log(line.get_xdata()), np.log(line.get_ydata())
    np.testing.assert_allclose((y[-1] - y[0]) / (x[-1] - x[0]), -1.02)
    assert (left.get_xscale(), right.get_xscale(), right.get_yscale()) == ("log",) * 3


def test_limit_without_a_rate_uses_the_axes_as_given() -> None:
    record = check("LimitWithRate")
    record["series"] = {
        name: SERIES["LimitWithRate"][name] for name in ("size", "discrepancy", "error", "end", "end_half")
    }
    axes = drawn(record)
    assert not axes.child_axes
    np.testing.assert_allclose(axes.containers[0].lines[0].get_xdata(), [32, 64, 128])


@pytest.mark.parametrize(("claim", "name"), [("Identity", "difference"), ("Inequality", "slack")])
def test_slack_is_shown_as_it_is(claim: str, name: str) -> None:
    np.testing.assert_allclose(points(drawn(check(claim)))[:, 1], [float(x) for x in SERIES[claim][name]])


def test_a_slack_as_small_as_rounding_is_shaded_and_its_one_point_is_called_one() -> None:
    record = check("Inequality")
    record["series"] = {"slack": [6.9e-16]}
    source = svg(draw_check, record, name="a", label="")  # an overflow would be an error
    axes = drawn(record)
    shaded = axes.patches[0].get_bbox()
    assert (shaded.y0, shaded.y1) == (0, axes.get_ylim()[1])
    low, high = axes.get_xlim()
    assert [t for t in axes.get_xticks() if low <= t <= high] == [1]
    assert "∞" not in source


def test_labels_of_one_axis_are_written_alike() -> None:
    labels = [tick(value) for value in (0.00125, 0.0005, 0.00025, 0.0, -0.0005, 1e-5)]
    assert labels == ["0.00125", "0.0005", "0.00025", "0", "−0.0005", "1.0×10⁻⁵"]


def test_shares_near_the_edge_do_not_run_into_their_names() -> None:
    record = check("HighProbabilityBound")
    record["series"] = {"delta": 0.2, "failure": 4e-22, "moment": 0.9, "constant": 1.0}
    axes = drawn(record)
    assert [text.get_ha() for text in axes.texts] == ["left", "center"]


def test_a_law_is_shown_as_its_quantiles_against_the_stated_ones() -> None:
    found = points(drawn(check("EqualInLaw")))
    assert {tuple(point) for point in found} == {
        (-1.1, -1.0), (0.0, 0.1), (1.1, 1.2), (-1.0, -0.9), (0.0, 0.0), (1.0, 0.9)
    }  # fmt: skip


def test_controls_are_clipped_to_the_axis_and_named() -> None:
    controls = (("far", "refuted", "inf"), ("near $\\bad", "supported", 0.0), ("odd", "refuted", "nan"))
    axes = drawn(check(controls=controls), draw_controls)
    ends = [line.get_xdata()[0] for line in axes.lines if line.get_marker() not in ("None", None, "")]
    assert ends == [0.5, RIGHT, LEFT, RIGHT]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["the claim itself", "far", "near $\\bad", "odd"]


@pytest.mark.parametrize("claim", sorted(FIGURES))
def test_svg_is_xml_repeats_exactly_and_keeps_its_ids_apart(claim: str) -> None:
    first, second, other = (svg(draw_check, check(claim), name=name, label="<&>") for name in ("a", "a", "b"))
    assert first == second
    ids = [{node.get("id") for node in ET.fromstring(source).iter() if node.get("id")} for source in (first, other)]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert "metadata" not in first
    assert "DejaVu" not in first


def test_drawing_leaves_the_global_settings_alone() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    svg(draw_controls, check(), name="a", label="")
    assert dict(matplotlib.rcParams) == before


@given(st.floats(min_value=0, allow_nan=False), st.floats(min_value=0, allow_nan=False))
def test_strip_keeps_the_order_and_the_threshold(first: float, second: float) -> None:
    low, high = sorted((first, second))
    right = 1e6
    assert 0 <= position(low, right) <= position(high, right) <= 1
    assert (high <= 1) or position(high, right) > position(1.0, right) - 1e-12
    assert position(LOW / 2, right) == 0
    assert position(math.nan, right) == 1


def test_strips_of_a_check_share_their_scale() -> None:
    record = check(controls=(("a", "refuted", 1e5), ("b", "refuted", "inf")))
    assert scale(record) == 1e6
    assert [control and control["name"] for control, _ in rows(record)] == [None, "a", "b"]


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda s: s.key)
def test_every_formula_of_the_package_is_drawn(statement: Any) -> None:
    for part in statement.latex.split(r"\qquad"):
        assert inline(part.strip()).startswith("<svg")


@pytest.mark.parametrize("latex", [r"\begin{matrix} a \end{matrix}", "a $ b", r"\frac{", ""])
def test_what_mathtext_cannot_read_is_shown_as_code(latex: str) -> None:
    assert inline(latex).startswith("<code")
