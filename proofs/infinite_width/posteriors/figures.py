"""Figures of the posteriors: three deviations in order, and a point that raises the ensemble's variance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ....numerics.kernels.fully_connected import fully_connected_kernels
from ....numerics.wide_networks.ensemble import ensemble_covariance
from ....numerics.wide_networks.gram import GramBlocks
from ....numerics.wide_networks.posterior import nngp_posterior, ntkgp_posterior
from ...drawing import ALLOWED, BAND, DATA, INK, Figure, finish, write

ONE_INPUT: dict[str, Any] = {"depth": 1, "activation": "relu", "weight_scale": 1.0, "bias_scale": 1.0}
COUNTEREXAMPLE: dict[str, Any] = {"depth": 2, "activation": "relu", "weight_scale": 1.5, "bias_scale": 0.3}


def blocks(test: Any, train: Any, architecture: Mapping[str, Any]) -> tuple[GramBlocks, GramBlocks]:
    """K and T, each between test and training inputs."""
    own, cross, seen = (fully_connected_kernels(*pair, **architecture) for pair in ((test,), (test, train), (train,)))
    return (GramBlocks(own.nngp, cross.nngp, seen.nngp), GramBlocks(own.ntk, cross.ntk, seen.ntk))


def variances(test: Any, train: Any, architecture: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Of the NNGP posterior, the ensemble and the tangent-kernel posterior, (test,) each."""
    nngp, ntk = blocks(test, train, architecture)
    labels = np.zeros(len(train))
    law = np.diag(ensemble_covariance(nngp, ntk)).copy()
    return np.diag(nngp_posterior(nngp, labels).covariance), law, np.diag(ntkgp_posterior(ntk, labels).covariance)


def three_deviations(verdict: Mapping[str, Any], axes: Any) -> None:
    """Standard deviations along one input; they meet at 0 on the training inputs."""
    train = np.array([-1.2, -0.9, -0.2, 0.1, 0.8])[:, None]
    x = np.linspace(-2, 2, 201)
    found = variances(x[:, None], train, ONE_INPUT)
    for variance, colour, words in zip(
        found, (ALLOWED, DATA, BAND), ("NNGP posterior", "deep ensemble", "NTK posterior"), strict=True
    ):
        axes.plot(x, np.sqrt(np.maximum(variance, 0)), color=colour, linewidth=1.8, label=words)
    axes.plot(train[:, 0], np.zeros(len(train)), "|", color=INK, markersize=12, label="training inputs")
    finish(
        axes,
        "A deep ensemble lies between two posteriors and is neither",
        "input",
        "standard deviation",
        key="upper center",
    )


def one_more_point(verdict: Mapping[str, Any], axes: Any) -> None:
    """Variance at one test input after adding a training input, over that before; the input moves along a line."""
    test, train = np.array([[-0.7, 0.2]]), np.array([[-0.1, 0.5], [-1.0, 0.2], [0.1, -0.8]])
    before = variances(test, train, COUNTEREXAMPLE)
    place = np.linspace(-2, 2, 161)
    after = np.array(
        [variances(test, np.vstack([train, [[-1.0, y]]]), COUNTEREXAMPLE) for y in place if abs(y - 0.2) > 1e-9]
    )
    place = place[np.abs(place - 0.2) > 1e-9]
    for column, colour, words in (
        (0, ALLOWED, "NNGP posterior"),
        (1, DATA, "deep ensemble"),
        (2, BAND, "NTK posterior"),
    ):
        axes.plot(place, after[:, column, 0] / before[column][0], color=colour, linewidth=1.8, label=words)
    axes.axhline(1, color=INK, linewidth=1)
    axes.set_ylim(0.74, 1.16)
    raised = variances(test, np.vstack([train, [[-1.0, 1.1]]]), COUNTEREXAMPLE)[1][0] / before[1][0]
    axes.plot([1.1], [raised], "o", color=DATA, markersize=5)
    write(axes, 1.1, float(raised), f"+{100 * (raised - 1):.0f}%", "above", DATA)
    finish(
        axes,
        "More data can raise the ensemble's variance, and never a posterior's",
        "second coordinate y of the new training input (−1, y)",
        "variance after / before",
        key="lower left",
    )  # fmt: skip


FIGURES: Mapping[str, Figure] = {"iw.loewner_chain": three_deviations, "iw.adding_a_point": one_more_point}
