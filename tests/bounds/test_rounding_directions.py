"""Every rounding of every bound goes the safe way: an exaggerated one loosens the bound or leaves it alone.

A direction that is wrong by half an ulp hides behind the roundings beside it, and no comparison with the exact value finds it. So the
results of `outward` are moved one at a time, further in the direction that they promise, by what no other rounding can hide.
"""

from __future__ import annotations

import linecache
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.bounds.empirical_bernstein import (
    deviation_up,
    grid_sizes,
    posterior_moments,
    squared_distance_up,
    variance_up,
)
from nonvacuous.numerics.bounds.majority_vote import exact_rate, rate_down, rate_up
from nonvacuous.numerics.bounds.one_draw import gaussian_log_ratio
from nonvacuous.numerics.bounds.pac_chernoff import log_inv_precision
from nonvacuous.numerics.bounds.surrogates import to_own_scale
from nonvacuous.numerics.bounds.wasserstein import gaussian_distance
from nonvacuous.numerics.certified import code_lengths, outward
from nonvacuous.numerics.claims import Formula
from nonvacuous.numerics.randomness import generator
from nonvacuous.proofs.pac_bayes import PAC_BAYES

FUNCTIONS = {n: f for n, f in vars(outward).items() if n.endswith(("_up", "_down")) and not n.startswith("_")}
RATES = {"rate_up": rate_up, "rate_down": rate_down}
FREE = "add_up(rate_up(top), excess)"  # the free parameter of the dual in `cbound`, of which any value is sound
Place = tuple[str, int, int]  # file, line and instruction of a call
MOVE = 1e-6  # relative: far above every rounding, far below what would leave a domain
NOISE = 1e-12  # relative to the value: the kernels are monotone up to their own rounding
SETTINGS = 12
CALLS_PER_PLACE = 2

FORMULAS = [
    pytest.param(result.key, check.claim, id=f"{result.key}-{check.claim.side}-{index}")
    for result in PAC_BAYES
    for index, check in enumerate(result.checks)
    if isinstance(check.claim, Formula) and check.claim.side != "both"
]


@contextmanager
def replaced(wrap: Callable[[str, Any], Any]) -> Iterator[None]:
    """Within it, the bounds and kernels call `wrap(name, function)` for each function of `outward`."""
    inside = ("nonvacuous.numerics.bounds.", "nonvacuous.numerics.certified.")
    modules = [m for name, m in list(sys.modules.items()) if name.startswith(inside) and m is not outward]
    found = [(m, n, f) for m in modules for n, f in FUNCTIONS.items() if vars(m).get(n) is f]
    found += [(m, n, f) for m in modules for n, f in RATES.items() if vars(m).get(n) is f]
    for module, name, function in found:
        setattr(module, name, wrap(name, function))
    try:
        yield
    finally:
        for module, name, function in found:
            setattr(module, name, function)


def moved(name: str, value: float, by: float) -> float:
    """Further in the direction of the name; zero and infinity stay, and a frequency stays one."""
    step = by * abs(value)
    further = value if math.isinf(value) else value + step if name.endswith("_up") else value - step
    return min(1.0, further) if name.startswith("rate") and value <= 1 else further


def values(run: Callable[[], Any], call: int = -1, by: float = MOVE) -> tuple[np.ndarray, list[Place]]:
    """What `run` returns with the result of the `call`-th outward operation moved, and the places of all operations."""
    places: list[Place] = []

    def wrap(name: str, function: Any) -> Any:
        def wrapped(*arguments: float) -> float:
            frame = sys._getframe(1)
            if FREE in linecache.getline(frame.f_code.co_filename, frame.f_lineno):
                return function(*arguments)
            places.append((frame.f_code.co_filename, frame.f_lineno, frame.f_lasti))
            result = function(*arguments)
            return moved(name, result, by) if len(places) - 1 == call else result

        return wrapped

    with replaced(wrap):
        found = run()
    return np.atleast_1d(np.asarray(found, dtype=np.float64)).ravel(), places


def unsafe_moves(runs: Iterable[Callable[[], Any]], side: str, by: float = MOVE) -> list[str]:
    """Places where a rounding further outward makes an upper bound smaller or a lower bound larger."""
    tried: Counter[Place] = Counter()
    found = []
    for number, run in enumerate(runs):
        plain, places = values(run)
        for call, place in enumerate(places):
            if tried[place] >= CALLS_PER_PLACE * SETTINGS // 4 or places[:call].count(place) >= CALLS_PER_PLACE:
                continue
            tried[place] += 1
            other, _ = values(run, call, by)
            with np.errstate(invalid="ignore"):
                change = np.where(plain == other, 0.0, other - plain) * (1 if side == "upper" else -1)
            if not (change >= -NOISE * np.abs(plain)).all():
                found.append(f"{place[0].rpartition('/')[2]}:{place[1]} changes {plain} by {change} in run {number}")
    return found


@pytest.mark.parametrize(("key", "claim"), FORMULAS)
def test_every_rounding_goes_the_safe_way(key: str, claim: Formula) -> None:
    rng = generator(0, key, "rounding directions")
    settings = [claim.sample(rng) for _ in range(min(SETTINGS, claim.count))]
    assert unsafe_moves([partial(claim.shipped, s) for s in settings], claim.side) == []


LARGE = [5000, 3000, 1234, 777, 0, 4999]
COUNTS = {
    "log_factorial_up": ("upper", [partial(code_lengths.log_factorial_up, m) for m in (2, 7, 63, 64, 1000, 10**6)]),
    "log_factorial_down": ("lower", [partial(code_lengths.log_factorial_down, m) for m in (2, 7, 63, 64, 1000, 10**6)]),
    "log_permutations_down": ("lower", [partial(code_lengths.log_permutations_down, (300, 100, 20))]),
    "basel_up": ("upper", [partial(code_lengths.basel_up, b, published=p) for b in (2, 1000) for p in (True, False)]),
    "arithmetic_bits": ("upper", [partial(code_lengths.arithmetic_bits, LARGE)]),
    "count_index_bits": ("upper", [partial(code_lengths.count_index_bits, 10**5, 5001)]),
    "grid_sizes": ("upper", [partial(grid_sizes, n, 3.0, 2.0, 1.001, 1.002) for n in (50, 4000)]),
    "to_own_scale": ("upper", [partial(to_own_scale, b, -0.3, 1.7) for b in (0.1, 0.9)]),
    "gaussian_distance": (
        "upper",
        [partial(gaussian_distance, mean=[0.1, 2.0], scale=0.3, prior_mean=[0.7, -1.0], prior_scale=1.1)],
    ),
    "gaussian_log_ratio": (
        "upper",
        [
            partial(gaussian_log_ratio, draw=[x, 0.3], posterior_mean=[1.0, 0.2], prior_mean=[-0.4, 0.1], scale=0.7)
            for x in (-2.0, 2.0)
        ],
    ),
    "variance_up": ("upper", [partial(variance_up, 0.03, 5.0, 400, 3.0, 24, 1.15)]),
    "deviation_up": ("upper", [partial(deviation_up, bar, 5.0, 400, 3.0, 24, 1.15) for bar in (0.2, 0.001)]),
    "log_inv_precision": ("upper", [partial(log_inv_precision, 10**6, 32)]),
    "posterior_moments": (
        "upper",
        [partial(posterior_moments, np.linspace(0.1, 0.9, 12).reshape(3, 4) ** 2, [0.2, 0.3, 0.5])],
    ),
    "arrangement_bits": ("upper", [partial(code_lengths.arrangement_bits, LARGE)]),
}


@pytest.mark.parametrize("name", COUNTS)
def test_every_rounding_before_a_whole_number_goes_the_safe_way(name: str) -> None:
    """Rounding up to a whole number hides more: the roundings are exaggerated to a thousandth."""
    side, runs = COUNTS[name]
    assert values(runs[-1])[1]
    assert unsafe_moves(runs, side, 1e-3) == []


def test_squares_of_rounded_differences_are_not_below_the_exact_ones():
    """Around sqrt 2 (times a power of two) the next float after the square makes up for less than the rounding of the difference."""
    rng = np.random.default_rng(70)
    centre = rng.random(4000) * 2.0 ** -rng.integers(3, 30, 4000)
    x = np.minimum(np.sqrt(2) / 2.0 ** rng.integers(1, 6, 4000) * (1 + 0.2 * rng.random(4000)) + centre, 1.0)
    found = squared_distance_up(x, centre)
    for value, a, b in zip(found, x, centre, strict=True):
        exact = (Fraction(float(a)) - Fraction(float(b))) ** 2
        # two roundings of the difference, two of the square, the factor and its product
        assert exact <= Fraction(float(value)) <= exact * (1 + Fraction(16, 2**53))


@pytest.mark.parametrize(
    "above", [Fraction(3, 2), 1 + Fraction(1, 10**30), "4/3", 1.5, -Fraction(1, 10**30), Decimal("1.1")]
)
def test_a_frequency_is_at_most_one(above):
    """However little it exceeds 1, and whatever the nearest float is."""
    with pytest.raises(InvalidInput):
        exact_rate("tandem", above)
    assert exact_rate("tandem", "7/7") == exact_rate("tandem", Decimal(1)) == exact_rate("tandem", Fraction(1)) == 1
