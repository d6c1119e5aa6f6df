"""Figures of diversity: what averaging two models gains, and the risk of an ensemble over its temperature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....numerics.diversity.cold_posterior import cold_posterior, tempered_weights
from ....numerics.diversity.jensen import jensen_terms
from ...drawing import BAND, DATA, INK, QUIET, WRONG, Figure, finish, write


def gain_of_averaging(verdict: Mapping[str, Any], axes: Any) -> None:
    """Two models that give the true label p and 1 - p: the gain of their average and its two lower bounds."""
    p = np.linspace(0.5, 0.995, 120)
    found = jensen_terms(-np.log(np.array([p, 1 - p])))
    axes.plot(p, found.gap, color=INK, linewidth=1.8, label="gain, E L − CE")
    axes.plot(p, found.tight, color=DATA, linewidth=1.8, linestyle="--", label="V_h")
    axes.plot(p, found.second_order, color=BAND, linewidth=1.8, linestyle="-.", label="V, second order")
    axes.set_xlim(0.5, 1)
    axes.set_ylim(0, 1.7)
    finish(
        axes,
        "The more two models disagree, the more their average gains; V sees a part of it",
        "p: one model gives the label p, the other 1 − p",
        "nats",
        key="upper left",
    )


def coins(ones: int, tosses: int) -> NDArray[np.float64]:
    """Log-losses of coins of bias .02, .04, ..., .98 on that many tosses, the first `ones` of which are ones: shape (49, tosses)."""
    bias = np.arange(1, 50)[:, None] / 50
    return -np.log(np.where(np.arange(tosses) < ones, bias, 1 - bias))


def slope_at_the_posterior(verdict: Mapping[str, Any], axes: Any) -> None:
    """Training loss and Bayes loss on two test sets over the temper, with the slopes that the theorem gives at 1."""
    train, temper = coins(16, 20), np.geomspace(0.05, 10, 60)
    for ones, colour, style in ((6, WRONG, "-."), (8, DATA, "-")):
        test = coins(ones, 10)
        path = [cold_posterior(train, test, weights=tempered_weights(train, x)) for x in temper.tolist()]
        words = f"Bayes loss, test coin of bias 0.{ones}"
        axes.plot(temper, [x.bayes_loss for x in path], color=colour, linestyle=style, linewidth=1.8, label=words)
        now = cold_posterior(train, test, weights=tempered_weights(train, 1.0))
        near = np.linspace(0.3, 2.5, 40)
        axes.plot(near, now.bayes_loss + now.bayes_slope * (near - 1), color=INK, linewidth=1.2)
        axes.plot([1], [now.bayes_loss], "o", color=colour, markersize=6)
        write(axes, 1, now.bayes_loss, f"slope {now.bayes_slope:+.3f}".replace("-", "−"), "below right")
    axes.plot(temper, [x.train_loss for x in path], color=QUIET, linestyle="--", linewidth=1.5, label="training loss")
    axes.set_xlim(0.05, 10)
    axes.set_ylim(0.4, 1.0)
    finish(
        axes,
        "Cooling always lowers the training loss; the slope at 1 tells whether it helps",
        "l, temper of the likelihood (16 ones in 20 tosses; 1 is the Bayes posterior)",
        "nats for each toss",
        log="x",
        key="upper right",
    )


FIGURES: Mapping[str, Figure] = {"pb.jensen2": gain_of_averaging, "pb.cpe": slope_at_the_posterior}
