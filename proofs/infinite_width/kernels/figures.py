"""Figures of the kernels: digits lost between nearly equal inputs, and the kink of the tangent kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ....numerics.kernels.fully_connected import fully_connected_distances, fully_connected_kernels
from ...drawing import ALLOWED, DATA, INK, QUIET, WRONG, Figure, finish, write

THREE_LAYERS: dict[str, Any] = {"depth": 3, "activation": "relu", "weight_scale": 2**0.5, "bias_scale": 0.1}


def digits_between_close_inputs(verdict: Mapping[str, Any], axes: Any) -> None:
    """Relative difference between the squared distance subtracted from rounded kernels and the one that carries the gap."""
    x = np.array([[0.6, -0.8, 0.3]])
    direction = np.array([[0.8, 0.6, 0.1]])
    apart = np.logspace(-9, 0, 73)
    carried, subtracted = [], []
    for step in apart:
        pair = np.concatenate([x, x + step * direction])
        nngp = fully_connected_kernels(pair, **THREE_LAYERS).nngp
        carried.append(fully_connected_distances(x, x + step * direction, **THREE_LAYERS).nngp[0, 0])
        subtracted.append(nngp[0, 0] + nngp[1, 1] - 2 * nngp[0, 1])
    error = np.abs(np.array(subtracted) / np.array(carried) - 1)
    axes.plot(apart, np.maximum(error, 1e-17), "o", markersize=3.5, color=WRONG, label="K(x,x) + K(y,y) − 2 K(x,y)")
    axes.plot(
        apart,
        1.1e-16 * nngp[0, 0] / np.array(carried),
        color=QUIET,
        linewidth=1.3,
        linestyle="--",
        label="rounding / distance",
    )
    axes.axhline(1, color=INK, linewidth=1)
    write(axes, 1, 1, "no digit left", "above left")
    axes.set_ylim(1e-17, 300)
    finish(
        axes,
        "Subtracting rounded kernels loses every digit below a separation of 1e-8",
        "distance between the inputs",
        "relative error of the squared distance",
        log="xy",
        key="lower left",
    )  # fmt: skip


def kink(verdict: Mapping[str, Any], axes: Any) -> None:
    """What two unit vectors at an angle lose of their kernel, over the kernel at angle 0."""
    angle = np.logspace(-6, 0, 61)
    turned = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    found = fully_connected_distances(
        np.array([[1.0, 0.0]]), turned, depth=3, activation="relu", weight_scale=2**0.5, bias_scale=0.0
    )
    same = fully_connected_kernels(
        np.array([[1.0, 0.0]]), depth=3, activation="relu", weight_scale=2**0.5, bias_scale=0.0
    )
    for name, colour, words in (
        ("ntk", DATA, "T, tangent kernel: slope 1"),
        ("nngp", ALLOWED, "K, NNGP kernel: slope 2"),
    ):
        lost = getattr(found, name)[0] / 2 / getattr(same, name)[0, 0]
        axes.plot(angle, lost, color=colour, linewidth=1.8)
        write(axes, angle[20], lost[20], words, "above left" if name == "ntk" else "below right", colour)
    finish(
        axes,
        "ReLU's tangent kernel has a kink on the diagonal, its NNGP kernel has none",
        "angle between two inputs of one norm",
        "1 − kernel(angle) / kernel(0)",
        log="xy",
    )  # fmt: skip


FIGURES: Mapping[str, Figure] = {"iw.gap_propagation": digits_between_close_inputs, "iw.ntk_kink": kink}
