"""The first step under the parametrisations of mean and factor: closed forms, what does not depend on width and rank, bad input."""

import pytest

from nonvacuous.numerics.implicit_bias.maximal_update import first_step
from nonvacuous.theory.errors import InvalidInput

SIZES = {"inputs": 3, "width": 50, "hidden": 2, "rank": 7}


@pytest.mark.parametrize("hidden", [0, 1, 2, 5])
@pytest.mark.parametrize("width", [1, 8, 100_000])
@pytest.mark.parametrize("rank", [1, 10, 1000])
def test_closed_forms(hidden, width, rank):
    d, q = 3, 2.5
    expected = {
        "mup": ((hidden + 1) / d + 1, 1),
        "sp": ((hidden + 1) * width / d + 1, width),
        "ntp": ((hidden + 2) / d, width * d**2),
    }
    for table, (speed, share) in expected.items():
        got = first_step(table, inputs=d, width=width, hidden=hidden, rank=rank, input_norm_squared=q)
        assert got.speed == pytest.approx(q * 2.0 ** (1 - hidden) * speed, rel=1e-13)
        assert got.feature_movement == pytest.approx(q**2 * 2.0**-hidden * (4 + 2 / rank) / share, rel=1e-13)
        assert got.draw_variance == pytest.approx(2, rel=1e-14)


def test_width_and_rank_enter_where_the_statement_says():
    def at(table, **change):
        return first_step(table, **SIZES | change)

    assert at("mup", width=64).speed == pytest.approx(at("mup", width=4096, rank=14).speed, rel=1e-13)
    assert at("sp", width=5000).speed > 90 * at("sp", width=50).speed
    assert at("ntp", width=5000).feature_movement == pytest.approx(at("ntp").feature_movement / 100)
    # a factor that learns at its mean's rate: the ends' terms grow with the rank
    whole = at("mup", rank=100, factor_rate=1.0)
    assert whole.speed == pytest.approx(0.25 * (101 / 3 + 4 / 3 + 101), rel=1e-13)
    assert at("mup", factor_rate=0.0).feature_movement == pytest.approx(0.25)


def test_bad_input_is_refused():
    for change in (
        {"inputs": 0},
        {"width": 1.5},
        {"hidden": -1},
        {"hidden": True},
        {"rank": 0},
        {"input_norm_squared": float("nan")},
        {"factor_rate": -1.0},
    ):
        with pytest.raises(InvalidInput):
            first_step("mup", **SIZES | change)
    with pytest.raises(InvalidInput):
        first_step("standard", **SIZES)
