"""Figures of the foundations: the two inverses of kl, and what the constants of the kl bounds cost."""

from __future__ import annotations

from collections.abc import Mapping
from math import pi, sqrt
from typing import Any

import numpy as np

from ....numerics.certified.binary_kl import binary_kl
from ....numerics.certified.kl_inverse import kl_lower, kl_upper
from ....numerics.certified.maurer import maurer_xi
from ....numerics.certified.nml import log_nml
from ...drawing import ALLOWED, BAND, DATA, INK, QUIET, WRONG, Figure, finish, sizes, write


def two_inverses(verdict: Mapping[str, Any], axes: Any) -> None:
    """kl(q||p) as a function of p, its level c, and Pinsker's parabola below it."""
    q, c = 0.1, 0.05
    p = np.linspace(0.001, 0.5, 400)
    low, high, reach = float(kl_lower(q, c)), float(kl_upper(q, c)), q + sqrt(c / 2)
    axes.axvspan(low, high, color=ALLOWED, alpha=0.12, linewidth=0)
    axes.plot(p, binary_kl(q, p), color=DATA, linewidth=1.8, label="kl(q‖p)")
    axes.plot(p, 2 * (p - q) ** 2, color=BAND, linewidth=1.5, linestyle="--", label="2 (p − q)², Pinsker")
    axes.axhline(c, color=INK, linewidth=1)
    for x, words, colour, side in (
        (low, f"LO = {low:.3f}", ALLOWED, "above right"),
        (high, f"UP = {high:.3f}", ALLOWED, "above left"),
        (reach, f"q + √(c/2) = {reach:.3f}", BAND, "below right"),
    ):
        axes.plot([x], [c], "o", color=colour, markersize=5, zorder=4)
        write(axes, x, c, words, side)
    write(axes, 0.495, c, f"level c = {c:g}", "above left")
    axes.set_xlim(0, 0.5)
    axes.set_ylim(0, 0.16)
    finish(
        axes,
        f"kl({q:g}‖p) meets the level c twice: UP bounds the risk above, LO below",
        "p, true risk",
        "nats for each example",
        key="lower right",
    )


def constant_of_the_kl_bound(verdict: Mapping[str, Any], axes: Any) -> None:
    """xi(n)/sqrt(n), between the factor of the lower bound and that of the usual upper one."""
    n = sizes(1, 10**5, 120)
    axes.plot(n, maurer_xi(n) / np.sqrt(n), color=DATA, linewidth=1.8)
    axes.plot(n[:1], maurer_xi(n[:1]), "o", color=DATA, markersize=5)
    for height, words, colour in (
        (2.0, "2 √n, the constant most often printed", WRONG),
        (sqrt(pi / 2), "√(πn/2), the limit", ALLOWED),
        (1.0, "√n, a lower bound", QUIET),
    ):
        axes.axhline(height, color=colour, linewidth=1.3, linestyle="--")
        write(axes, 9e4, height, words, "below left")
    write(axes, 1, 2.0, "ξ(1) = 2", "above right")
    write(axes, 12, float(maurer_xi(12)) / sqrt(12), "ξ(n)", "above right", DATA)
    axes.set_ylim(0.8, 2.15)
    finish(axes, "ξ(n) is near √(πn/2): 2√n overpays by up to ln 1.6 = 0.47 nats", "n, examples", "ξ(n) / √n", log="x")


def price_of_classes(verdict: Mapping[str, Any], axes: Any) -> None:
    """ln C(M, n): what bounding a whole vector of M frequencies adds to the complexity."""
    n = sizes(1, 10**5)
    for classes, colour in ((2, DATA), (3, ALLOWED), (4, BAND), (8, WRONG)):
        axes.plot(n, log_nml(classes, n), color=colour, linewidth=1.8)
        words = f"M = {classes}" + ("; ξ(n)" if classes == 2 else "")
        write(axes, 1e5, float(log_nml(classes, 10**5)), words, "above left", colour)
    axes.plot(n, np.log(n) / 2, color=QUIET, linewidth=1.2, linestyle="--")
    write(axes, 2000, float(np.log(2000) / 2), "½ ln n", "below right", QUIET)
    axes.set_ylim(0, None)
    finish(
        axes,
        "The price of M frequencies: each further class costs about ½ ln n",
        "n, examples",
        "ln C(M, n), nats",
        log="x",
    )


FIGURES: Mapping[str, Figure] = {
    "pb.klinv": two_inverses,
    "pb.xi": constant_of_the_kl_bound,
    "pb.nml": price_of_classes,
}
