"""Figure of the held-out theme: three ways to read a test error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ....numerics.bounds.held_out import binomial_test_set, chernoff_test_set, hoeffding_test_set
from ...drawing import ALLOWED, BAND, DATA, Figure, curve, finish

N, DELTA = 100, 0.05


def three_test_bounds(verdict: Mapping[str, Any], axes: Any) -> None:
    """What each bound adds to the test error, for every number of errors in a hundred."""
    errors = np.arange(N + 1)
    bounds = (
        ("Hoeffding", lambda k: hoeffding_test_set(risk=k / N, n=N, delta=DELTA).value, BAND, "-."),
        ("Chernoff, kl inverted", lambda k: chernoff_test_set(risk=k / N, n=N, delta=DELTA).value, ALLOWED, "--"),
        ("binomial tail inverted", lambda k: binomial_test_set(errors=k, n=N, delta=DELTA).value, DATA, "-"),
    )
    for name, bound, colour, style in bounds:
        axes.plot(errors, curve(bound, errors) - errors / N, color=colour, linestyle=style, linewidth=1.8, label=name)
    axes.set_xlim(0, N)
    axes.set_ylim(0, None)
    finish(
        axes,
        "Hoeffding is blind to the variance, Chernoff sees it, the binomial tail is exact",
        f"errors on {N} test examples (δ = {DELTA:g})",
        "bound − test error",
        key="lower left",
    )


FIGURES: Mapping[str, Figure] = {"pb.test_binomial": three_test_bounds}
