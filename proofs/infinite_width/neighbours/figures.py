"""Figures of the neighbours: the risk of interpolation around p = n, and the order in which modes are learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ....numerics.kernel_regression.ridgeless import optimal_ridge, ridgeless_risk
from ....numerics.kernel_regression.spectral import zonal_spectrum
from ....numerics.kernels.fully_connected import fully_connected_kernels
from ...drawing import ALLOWED, BAND, DATA, INK, QUIET, Figure, finish, write


def interpolation_peak(verdict: Mapping[str, Any], axes: Any) -> None:
    """Excess risk of minimum-norm least squares and of the best ridge, isotropic features, against p/n."""
    aspect = np.concatenate([np.geomspace(0.1, 0.985, 80), np.geomspace(1.015, 10, 80)])
    for noise, colour in ((0.2, DATA), (0.05, ALLOWED)):
        risk = [ridgeless_risk(aspect=float(a), signal=1.0, noise_variance=noise) for a in aspect]
        ridge = [optimal_ridge(aspect=float(a), signal=1.0, noise_variance=noise).excess_risk for a in aspect]
        axes.plot(
            aspect, np.minimum(risk, 1e3), color=colour, linewidth=1.8, label=f"no ridge, noise variance {noise:g}"
        )
        axes.plot(aspect, ridge, color=colour, linewidth=1.5, linestyle="--", label="the best ridge")
    axes.axhline(1, color=QUIET, linewidth=1)
    write(axes, 0.1, 1.0, "risk of predicting 0", "above right", QUIET)
    axes.set_ylim(5e-3, 30)
    finish(
        axes,
        "Interpolation is worst at p = n; with the best ridge there is no peak",
        "p / n, parameters for each example",
        "excess risk (signal 1)",
        log="xy",
        key="lower right",
    )  # fmt: skip


def order_of_modes(verdict: Mapping[str, Any], axes: Any) -> None:
    """What is left of each degree of a target on the circle, against time."""
    degrees = 12

    def profile(angle: Any) -> Any:
        turned = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return fully_connected_kernels(
            np.array([[1.0, 0.0]]), turned, depth=2, activation="relu", weight_scale=2**0.5, bias_scale=0.5
        ).ntk[0]

    eigenvalues = zonal_spectrum(profile=profile, dimension=2, degrees=degrees).eigenvalues
    time = np.geomspace(0.1, 1e5, 240) / eigenvalues[0]
    for degree, colour in ((1, DATA), (2, ALLOWED), (4, BAND), (8, INK)):
        left = np.exp(-time * eigenvalues[degree])
        axes.plot(time * eigenvalues[0], left, color=colour, linewidth=1.8)
        half = np.log(2) / eigenvalues[degree] * eigenvalues[0]
        write(axes, float(half), 0.5, f"degree {degree}", "left" if degree == 1 else "right", colour)
    finish(
        axes,
        "Smooth parts of a target on the circle are learned first",
        "training time, in units of the constant's own",
        "part not yet learned",
        log="x",
    )


FIGURES: Mapping[str, Figure] = {"iw.ridgeless": interpolation_peak, "iw.spectral_bias": order_of_modes}
