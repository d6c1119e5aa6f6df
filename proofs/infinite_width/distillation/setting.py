"""Inputs of the theorems on distillation: points, the predictor's architecture and, where it differs, the target's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from flint import arb_mat
from jaxtyping import Float

from ....numerics.wide_networks.gram import GramBlocks
from ....theory.balls.smoothers import grams
from ..settings import EnsembleSetting, Trained, blocks

HALF_ULP = 2.0**-53
DIGITS = 50


@dataclass(frozen=True, eq=False)
class DistillationSetting:
    """Training inputs (N, d), test inputs (S, d), and two architectures: sw and sb of each weight layer, readout last."""

    train: Float[np.ndarray, "train features"]
    test: Float[np.ndarray, "test features"]
    activation: Trained
    weight_scale: tuple[float, ...]
    bias_scale: tuple[float, ...]
    target_activation: Trained
    target_weight_scale: tuple[float, ...]
    target_bias_scale: tuple[float, ...]

    def __post_init__(self) -> None:
        _ = self.predictor, self.target

    @property
    def predictor(self) -> EnsembleSetting:
        """The points with the predictor's architecture (labels are of no account)."""
        return EnsembleSetting(
            self.train, self.test, np.zeros(len(self.train)), self.activation, self.weight_scale, self.bias_scale
        )

    @property
    def target(self) -> EnsembleSetting:
        """The points with the target's architecture."""
        return EnsembleSetting(
            self.train,
            self.test,
            np.zeros(len(self.train)),
            self.target_activation,
            self.target_weight_scale,
            self.target_bias_scale,
        )


def kernels(s: DistillationSetting) -> tuple[GramBlocks, GramBlocks, GramBlocks]:
    """K_u, K_g and T."""
    k_u, t = blocks(s.predictor)
    return k_u, blocks(s.target)[0], t


def exact_kernels(s: EnsembleSetting) -> tuple[arb_mat, arb_mat]:
    """Enclosures of K and T over (test, train)."""
    points = np.concatenate([s.test, s.train]).tolist()
    return grams(
        points,
        activation=s.activation,
        weight_scale=s.weight_scale,
        bias_scale=s.bias_scale,
        digits=DIGITS + 20,
    )


def covariance_width(t: GramBlocks, g: np.ndarray, covariance: np.ndarray, noise: float = 0.0) -> float:
    """Absolute rounding error of the entries of M C M^T with G = T_*X (T_XX + noise)^{-1}.

    A perturbed T changes G by cond(T_XX) |G| times the relative error of the kernels, which is below 200 half-ulps here,
    and the solve by 20 N half-ulps more; M C M^T is quadratic in M.
    """
    size = float(np.linalg.norm(g, 2))
    train = t.train + noise * np.eye(len(t.train))
    relative = (200 + 20 * len(t.train)) * HALF_ULP * float(np.linalg.cond(train)) * (1 + size)
    return 2 * relative * (1 + size) * float(np.linalg.norm(covariance, 2))


def sample_architecture(rng: np.random.Generator) -> tuple[Trained, tuple[float, ...], tuple[float, ...]]:
    """One to two hidden layers, either activation, random scales."""
    layers = int(rng.integers(2, 4))
    activation: Trained = "relu" if rng.integers(2) else "erf"
    return (
        activation,
        tuple(rng.uniform(0.8, 1.8, layers).tolist()),
        tuple(rng.uniform(0.1, 1, layers).tolist()),
    )


def sample(rng: np.random.Generator) -> DistillationSetting:
    """Three training and two test inputs in three dimensions, two unrelated architectures."""
    points = rng.normal(size=(5, 3))
    return DistillationSetting(points[:3], points[3:], *sample_architecture(rng), *sample_architecture(rng))


def sample_one(rng: np.random.Generator) -> EnsembleSetting:
    """The same with one architecture."""
    return sample(rng).predictor
