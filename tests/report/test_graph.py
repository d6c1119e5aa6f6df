"""The layout of the dependency graph: foundations to the left, nothing on top of anything else, the same every time."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from pages import Page, result

from nonvacuous.report.entries import Entry
from nonvacuous.report.graph import HEIGHT, WIDTH, depths, draw_graph, layout

AREAS = ("pac_bayes", "infinite_width", "scaling_laws")


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Acyclic: every key uses earlier ones only."""
    keys = [f"k{i}" for i in range(draw(st.integers(1, 14)))]
    uses = {
        key: sorted(draw(st.sets(st.sampled_from(keys[:i]), max_size=3))) if i else [] for i, key in enumerate(keys)
    }
    return uses, {key: draw(st.sampled_from(AREAS)) for key in keys}


def test_depth_is_the_longest_chain() -> None:
    assert depths({"a": [], "b": ["a"], "c": ["a", "b"], "d": []}) == {"a": 0, "b": 1, "c": 2, "d": 0}


@given(graphs())
def test_layout_puts_foundations_left_and_nothing_on_top_of_anything(
    graph: tuple[dict[str, list[str]], dict[str, str]],
) -> None:
    uses, area = graph
    plan = layout(uses, area)
    assert set(uses) <= set(plan.place)
    for key, used in uses.items():
        for other in used:
            assert plan.place[other][0] + WIDTH < plan.place[key][0]
    keys = list(uses)
    for i, a in enumerate(keys):
        (x, y), (name, top, bottom) = plan.place[a], next(lane for lane in plan.lanes if lane[0] == area[a])
        assert top < y - HEIGHT / 2
        assert y + HEIGHT / 2 < bottom <= plan.height
        assert WIDTH / 2 < x < plan.width - WIDTH / 2
        assert name == area[a]
        for b in keys[:i]:
            u, v = plan.place[b]
            assert abs(x - u) > WIDTH or abs(y - v) > HEIGHT
    assert [(edge[0], edge[-1]) for edge in plan.edges] == [(u, key) for key, used in uses.items() for u in used]
    for edge in plan.edges:
        assert all(plan.place[p][0] < plan.place[q][0] for p, q in pairwise(edge))
    assert layout(uses, area) == plan


def test_drawing_links_every_node_and_draws_every_edge() -> None:
    first = result("pb.first")
    second = result("pb.second", uses=(first,))
    third = result("iw.third", uses=(first, second))
    page = Page(draw_graph([Entry(r, None, "not run") for r in (first, second, third)], focus="pb.second"))
    assert page.problems == []
    assert [link for link in page.links if link.endswith(".html")] == [
        "pb.first.html",
        "pb.second.html",
        "iw.third.html",
    ]
    assert page.classes.count("edge") == 3
    assert [c for c in page.classes if c.endswith(" here")] == ["node is-not-run by-unknown here"]
    assert "iw.third uses pb.first, pb.second" in page.words


def test_edges_to_results_that_are_not_shown_are_left_out() -> None:
    first = result("pb.first")
    page = Page(draw_graph([Entry(result("pb.second", uses=(first,)), None, "not run")]))
    assert page.classes.count("edge") == 0
