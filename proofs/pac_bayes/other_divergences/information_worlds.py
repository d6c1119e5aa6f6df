"""Finite learning problems in which informations and expected gaps are finite sums: every sample, every supersample, every coin."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from ....theory.errors import InvalidInput
from ....theory.validation import finite, non_negative, sample_size, unit_interval

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class LearningWorld:
    """A law on finitely many examples, losses in [0, 1] (hypotheses x examples), n, and the inverse temperature of the Gibbs algorithm that
    learns (uniform prior; infinity: a uniform choice among the minimisers of the training loss)."""

    law: FloatArray
    losses: FloatArray
    n: int
    inverse_temperature: float

    def __post_init__(self) -> None:
        law, losses = finite("law", self.law, ndim=1), unit_interval("losses", self.losses)
        sample_size("n", self.n), non_negative("inverse_temperature", self.inverse_temperature)
        if losses.ndim != 2 or losses.shape[1] != law.size or law.min() <= 0 or abs(float(law.sum()) - 1) > 1e-12:
            raise InvalidInput(
                "law and losses do not fit.", "One positive probability (sum 1) for each column of losses."
            )

    def learn(self, samples: NDArray[np.int64]) -> FloatArray:
        """P(w|sample) for each row of examples."""
        total = self.losses[:, samples].sum(axis=2).T
        excess = total - total.min(axis=1, keepdims=True)
        weight = (
            np.where(excess < 1e-12, 1.0, 0.0)
            if np.isinf(self.inverse_temperature)
            else np.exp(-self.inverse_temperature * excess)
        )
        return weight / weight.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Informations:
    """I(W;S), the I(W;Z_i), CMI, evaluated CMI; and how many rounded terms the largest sum has."""

    sample: float
    individual: FloatArray
    conditional: float
    evaluated: float
    terms: int


def _samples(world: LearningWorld, length: int) -> tuple[NDArray[np.int64], FloatArray]:
    rows = np.array(list(itertools.product(range(world.law.size), repeat=length)))
    return rows, np.prod(world.law[rows], axis=1)


def expected_losses(world: LearningWorld) -> tuple[float, float]:
    """(E L, E Lh): one sum over all samples."""
    rows, probability = _samples(world, world.n)
    learned = world.learn(rows)
    true, train = world.losses @ world.law, world.losses[:, rows].mean(axis=2).T
    return float(probability @ (learned @ true)), float(probability @ (learned * train).sum(axis=1))


def informations(world: LearningWorld) -> Informations:
    """All four informations, by summation over samples and supersamples."""
    rows, probability = _samples(world, world.n)
    learned = world.learn(rows)
    joint = probability[:, None] * learned
    marginal = joint.sum(axis=0)
    sample = float(rel_entr(joint, probability[:, None] * marginal).sum())
    each = []
    for i in range(world.n):
        with_example = np.stack([joint[rows[:, i] == z].sum(axis=0) for z in range(world.law.size)])
        each.append(float(rel_entr(with_example, world.law[:, None] * marginal).sum()))
    pairs, weight = _samples(world, 2 * world.n)
    coins = np.array(list(itertools.product((0, 1), repeat=world.n)))
    chosen = 2 * np.arange(world.n) + coins  # which of each pair is trained on
    given = np.stack([world.learn(pairs[:, pick]) for pick in chosen], axis=1)  # supersample x coins x hypotheses
    conditional = float(weight @ rel_entr(given, given.mean(axis=1, keepdims=True)).sum(axis=2).mean(axis=1))
    evaluated = 0.0
    for row, share, laws in zip(pairs, weight, given, strict=True):
        _, group = np.unique(world.losses[:, row], axis=0, return_inverse=True)
        seen = laws @ (group.ravel()[:, None] == np.arange(group.max() + 1))
        evaluated += share * float(rel_entr(seen, seen.mean(axis=0)).sum(axis=1).mean())
    return Informations(max(0.0, sample), np.maximum(each, 0.0), max(0.0, conditional), max(0.0, evaluated), given.size)


def memoriser(examples: int) -> LearningWorld:
    """One example is seen, only it is predicted: training loss 0, true loss 1 - 1/m. Nothing generalises less."""
    return LearningWorld(np.full(examples, 1 / examples), 1.0 - np.eye(examples), 1, np.inf)


THREE_CHOICES = LearningWorld(np.array([0.5, 0.3, 0.2]), np.array([[0, 1, 0.5], [1, 0, 0], [0.2, 0.3, 1]]), 2, 4.0)
COLD = LearningWorld(
    np.array([0.5, 0.3, 0.2]), np.array([[0, 1, 1], [1, 0, 0], [0, 0, 1], [1, 1, 0]], dtype=float), 2, np.inf
)
THREE_EXAMPLES = LearningWorld(np.array([0.6, 0.4]), np.array([[0, 1.0], [1, 0], [0.5, 0.5]]), 3, np.inf)
TWO_POINTS = memoriser(2)
MANY_POINTS = memoriser(8)
WORLDS = (THREE_CHOICES, COLD, THREE_EXAMPLES, TWO_POINTS, MANY_POINTS)
