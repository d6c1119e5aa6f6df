"""One inequality for three losses: R(ensemble) <= alpha (E_rho L - diversity)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .jensen import jensen_bounds, loss_array

EnsembleLoss = Literal["squared", "cross_entropy", "zero_one"]
ALPHA = {"squared": 1.0, "cross_entropy": 1.0, "zero_one": 4.0}


@dataclass(frozen=True)
class EnsembleReport:
    """E_rho L, its diversity, the loss of the ensemble, and alpha with `slack` = alpha (average_loss - diversity) - ensemble_loss.

    The slack is 0 for the squared loss and never negative. All are averages over the examples given: diagnostics, not bounds on
    unseen ones.
    """

    loss: EnsembleLoss
    average_loss: float
    diversity: float
    ensemble_loss: float
    alpha: float
    slack: float


def ensemble_report(
    predictions: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    loss: EnsembleLoss,
    weights: ArrayLike | None = None,
) -> EnsembleReport:
    """Average loss, diversity and loss of an ensemble (pb.diversity).

    predictions: (models, examples): real predictions for "squared" (combined by their mean), log-losses -ln p(y|x) for
    "cross_entropy" (probabilities averaged; no targets), class labels for "zero_one" (weighted majority; a tie counts as an error).
    targets: (examples,). weights: one for each model, sum 1 (default: equal). Raises `InvalidInput`.
    """
    if loss not in ALPHA:
        raise InvalidInput(f"loss is {loss!r}.", f"Choose one of {tuple(ALPHA)}.")
    array, rho = loss_array(predictions, weights)
    if loss == "cross_entropy":
        if targets is not None:
            raise InvalidInput("Log-losses need no targets.", "Leave `targets` out: the losses already know them.")
        found = jensen_bounds(array, weights=rho)
        slack = found["gap"] - found["second_order"]  # the subtraction that loses fewest digits
        return EnsembleReport(
            loss, found["average_loss"], found["second_order"], found["ensemble_loss"], ALPHA[loss], slack
        )
    if targets is None:
        raise InvalidInput(f"The {loss} loss needs targets.", "Pass one for each example.")
    y = finite("targets", targets, ndim=1)
    if y.size != array.shape[1]:
        raise InvalidInput(f"There are {y.size} targets for {array.shape[1]} examples.", "Give one for each column.")
    return _squared(array, y, rho) if loss == "squared" else _zero_one(array, y, rho)


def _squared(array: NDArray[np.float64], y: NDArray[np.float64], rho: NDArray[np.float64]) -> EnsembleReport:
    residual = array - y
    mean = rho @ residual
    average = float(np.mean(rho @ residual**2))
    diversity = float(np.mean(rho @ (residual - mean) ** 2))
    ensemble = float(np.mean(mean**2))
    return EnsembleReport("squared", average, diversity, ensemble, ALPHA["squared"], average - diversity - ensemble)


def _zero_one(array: NDArray[np.float64], y: NDArray[np.float64], rho: NDArray[np.float64]) -> EnsembleReport:
    wrong = rho @ (array != y)
    rival = np.zeros_like(wrong)
    for label in np.unique(array):
        vote = rho @ ((array == label) & (label != y))
        rival = np.maximum(rival, vote)
    # weights are rounded: a rival within that of the right class counts as a tie, and a tie as an error
    error = rival >= (1.0 - wrong) - 4 * len(rho) * 2.0**-53
    average, tandem = float(np.mean(wrong)), float(np.mean(wrong**2))
    diversity = float(np.mean(wrong * (1.0 - wrong)))
    ensemble = float(np.mean(error))
    alpha = ALPHA["zero_one"]
    return EnsembleReport("zero_one", average, diversity, ensemble, alpha, alpha * tandem - ensemble)
