"""Repeated training inputs: collapsed to unique points with multiplicities and mean labels, never hidden by jitter."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .gram import Matrix, label_array


class ConflictingLabels(UserWarning):
    """One input has different labels: without noise no function fits them."""


@dataclass(frozen=True)
class Collapsed:
    """Unique training points, in the order of their first occurrence.

    `inputs` (U, d); `labels` (U,) or (U, outputs), means over the copies; `multiplicity` (U,); `index` (N,) sends each row
    to its unique point. `irreducible_loss` is 1/2 sum (y - mean label)^2, what no function can fit.
    """

    inputs: Matrix = field(repr=False)
    labels: Matrix = field(repr=False)
    multiplicity: Matrix = field(repr=False)
    index: NDArray[np.intp] = field(repr=False)
    irreducible_loss: float

    def noise(self, noise: float) -> Matrix:
        """The noise variance s2/m of each mean label, (U,)."""
        return float(finite("noise", noise, ndim=0)) / self.multiplicity


def collapse_duplicates(inputs: Any, labels: Any) -> Collapsed:
    """Unique rows (exact bit equality, -0.0 = 0.0) with mean labels.

    Regression on them with `multiplicity` (finite time), or with noise s2/m, is regression on all rows; at convergence
    without noise multiplicities do not matter. Warns (`ConflictingLabels`) where copies disagree. Raises InvalidInput.
    """
    x = finite("inputs", inputs, ndim=2) + 0.0
    y = label_array(labels, len(x))
    if not len(x):
        raise InvalidInput("There are no inputs.", "Pass at least one row.")
    _, first, index = np.unique(x, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    index = rank[index.reshape(-1)].astype(np.intp)
    counts = np.bincount(index).astype(np.float64)
    means = np.zeros((len(order), *y.shape[1:]))
    np.add.at(means, index, y)
    means = (means.T / counts).T
    agreeing = first[order]
    same = np.array([np.array_equal(y[i], y[agreeing[index[i]]]) for i in range(len(y))])
    for point in range(len(order)):  # a mean of equal labels is that label, without rounding
        if same[index == point].all():
            means[point] = y[agreeing[point]]
    loss = float(0.5 * np.sum((y - means[index]) ** 2))
    if loss > 0:
        warnings.warn(
            f"{int((~same).sum())} repeated inputs have other labels than their first copy: without noise the fit goes through "
            f"their mean and a loss of {loss:.3g} cannot be removed.",
            ConflictingLabels,
            stacklevel=2,
        )
    return Collapsed(x[agreeing], means, counts, index, loss)
