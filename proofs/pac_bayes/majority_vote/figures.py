"""Figure of the majority votes: what each oracle bound makes of voters that disagree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...drawing import BAND, DATA, INK, WRONG, Figure, curve, finish
from . import oracle

RISK, VOTERS = 0.3, 10


def partly_spread(share: float) -> oracle.VoteSetting:
    """Ten voters of risk .3: with probability `share` three of them err, otherwise all or none. They disagree with probability .42 `share`."""
    wrong = np.ones((VOTERS, 3))
    wrong[3:, 1] = wrong[:, 2] = 0
    return oracle.VoteSetting(np.ones(VOTERS), np.array([RISK * (1 - share), share, (1 - RISK) * (1 - share)]), wrong)


def disagreement_helps(verdict: Mapping[str, Any], axes: Any) -> None:
    """The three oracle bounds and the vote's own risk as errors spread over the voters."""
    share = np.linspace(0, 1, 101)
    found = [oracle.predict(partly_spread(s)) for s in share.tolist()]
    disagreement = 2 * RISK * (1 - RISK) * share
    for name, value, colour, style in (
        ("first order, 2 L", curve(lambda i: found[i].first_order, range(101)), WRONG, "-."),
        ("second order, 4 L₂", curve(lambda i: found[i].tandem, range(101)), BAND, "--"),
        ("C-bound", curve(lambda i: found[i].cbound, range(101)), DATA, "-"),
        ("risk of the vote itself", RISK * (1 - share), INK, ":"),
    ):
        axes.plot(disagreement, value, color=colour, linestyle=style, linewidth=1.8, label=name)
    axes.set_xlim(0, 0.42)
    axes.set_ylim(0, 1.25)
    finish(
        axes,
        "The same risk of the voters, 0.3: the more they disagree, the better the vote",
        "probability that two voters disagree",
        "bound on the risk of the vote",
        key="upper right",
    )


FIGURES: Mapping[str, Figure] = {"pb.mv_order": disagreement_helps}
