"""Kernel regression on random Gaussian features: the simulation that eigenlearning, GCV and ridgeless risk are held to.

Features z are independent standard normal and the kernel is sum_i l_i z_i z_i': the model in which those theorems are
exact limits. Nothing here knows kappa.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ....numerics.randomness import generator
from ....theory.errors import InvalidInput
from ....theory.validation import finite
from ...result import Run


@dataclass(frozen=True, eq=False)
class SpectrumSetting:
    """Eigenvalues l, multiplicities and coefficients v of the target (modes,); n examples, ridge on the Gram matrix, noise."""

    eigenvalues: Float[np.ndarray, " modes"]
    multiplicities: Float[np.ndarray, " modes"]
    coefficients: Float[np.ndarray, " modes"]
    n: int
    ridge: float
    noise_variance: float

    def __post_init__(self) -> None:
        for name in ("eigenvalues", "multiplicities", "coefficients"):
            if finite(name, getattr(self, name), ndim=1).shape != np.shape(self.eigenvalues):
                raise InvalidInput(f"{name} has shape {np.shape(getattr(self, name))}.", "One entry per eigenvalue.")
        if self.n < 1 or self.ridge < 0 or self.noise_variance < 0:
            raise InvalidInput("n, ridge or noise_variance is out of range.", "n >= 1, the others at least 0.")


def regressions(setting: SpectrumSetting, run: Run) -> Mapping[str, Any]:
    """Errors of ridge regression on `copies` n examples, `copies` times the multiplicities and the ridge, one row per draw.

    `test` (on noisy labels), `train`, `gcv`, `kappa` = 1/tr R and `spent` = the trace of the learned map, each averaged
    exactly over the labels' noise and over the direction of the target within each degenerate space.
    """
    copies, trials = run.block["copies"], run.block["trials"]
    n, ridge, s2 = copies * setting.n, copies * setting.ridge, setting.noise_variance
    counts = (copies * setting.multiplicities).astype(int)
    lam = np.repeat(setting.eigenvalues, counts)
    power = np.repeat(setting.coefficients**2 / counts, counts)
    rng = generator(run.seed, "features")
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("test", "train", "gcv", "kappa", "spent")}
    for start in range(0, trials, 250):
        z = rng.normal(size=(min(250, trials - start), n, len(lam)))
        gram = (z * lam) @ z.transpose(0, 2, 1)
        inverse = np.linalg.inv(gram + ridge * np.eye(n))
        smoother = lam[:, None] * (z.transpose(0, 2, 1) @ inverse)  # labels to coefficients
        learned = smoother @ z
        missed = np.sum((np.eye(len(lam)) - learned) ** 2, axis=1)
        weights = np.sum((inverse @ z) ** 2, axis=1) @ power + s2 * np.sum(inverse**2, axis=(1, 2))  # E |R y|^2
        trace = np.trace(inverse, axis1=1, axis2=2)
        found = {
            "test": missed @ power + s2 * np.sum(smoother**2, axis=(1, 2)) + s2,
            "train": ridge**2 / n * weights,
            "gcv": n * weights / trace**2,
            "kappa": 1 / trace,
            "spent": np.trace(learned, axis1=1, axis2=2),
        }
        for name, values in found.items():
            columns[name].append(values)
    return {name: np.concatenate(parts) for name, parts in columns.items()}
