"""Scores of class probabilities: error, log loss, Brier score, calibration error, entropy, and how well a score tells two samples apart.

Probabilities are (examples, classes), labels (examples,). Everything is computed in float64 and averaged over the examples. Log loss and Brier
score are proper: their expectation is least at the true probabilities. Error and calibration error are not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ...theory.errors import InvalidInput
from ...theory.validation import sample_size

Probabilities = Float[np.ndarray, "examples classes"]
Labels = Int[np.ndarray, " examples"]
BINS = 15  # of Guo et al. 2017


def error_rate(probabilities: Any, labels: Any) -> float:
    """Share of examples whose most probable class is not their label; the first of equally probable ones counts. Raises `InvalidInput`."""
    p, y = checked(probabilities, labels)
    return float(np.mean(p.argmax(1) != y))


def log_loss(probabilities: Any, labels: Any) -> float:
    """Mean of -ln p(label), in nats; infinite where a label has probability 0. Raises `InvalidInput`."""
    p, y = checked(probabilities, labels)
    with np.errstate(divide="ignore"):
        return float(-np.log(p[np.arange(len(y)), y]).mean())


def brier_score(probabilities: Any, labels: Any) -> float:
    """Mean over the examples of the squared distance, summed over classes, to the indicator of the label: 0 to 2. Raises `InvalidInput`."""
    p, y = checked(probabilities, labels)
    return float(np.square(p - np.eye(p.shape[1])[y]).sum(1).mean())


def expected_calibration_error(probabilities: Any, labels: Any, *, bins: int = BINS) -> float:
    """Mean over the examples of |accuracy - mean confidence| of their bin, the confidence being the largest probability.

    bins: intervals ((k - 1)/bins, k/bins] of equal width. The estimate is biased upward on small samples, and depends on the number of
    bins. Source: Guo et al. 2017. Raises `InvalidInput`.
    """
    p, y = checked(probabilities, labels)
    count = sample_size("bins", bins)
    confidence = p.max(1)
    right = p.argmax(1) == y
    edges = np.arange(1, count) / count
    index = np.searchsorted(edges, confidence, side="left")
    gaps = np.bincount(index, weights=right - confidence, minlength=count)
    return float(np.abs(gaps).sum() / len(y))


def entropy(probabilities: Any) -> Float[np.ndarray, " examples"]:
    """Of each row, in nats, between 0 and ln(classes). Raises `InvalidInput`."""
    p = checked_probabilities(probabilities)
    logs = np.log(p, where=p > 0, out=np.zeros_like(p))
    return np.maximum(-(p * logs).sum(1), 0.0)


def auroc(negatives: Any, positives: Any) -> float:
    """Probability that a score of `positives` exceeds one of `negatives`, ties counting half: the area under the receiver operating
    characteristic. With predictive entropies of known and of strange inputs it says how well strange ones are noticed. Raises
    `InvalidInput`."""
    low, high = (_scores(name, value) for name, value in (("negatives", negatives), ("positives", positives)))
    ordered = np.sort(low)
    below = np.searchsorted(ordered, high, side="left")
    at_most = np.searchsorted(ordered, high, side="right")
    return float((below + at_most).sum() / (2 * len(low) * len(high)))


def checked(probabilities: Any, labels: Any) -> tuple[Probabilities, Labels]:
    """Both, in float64 and as whole numbers. Raises `InvalidInput`."""
    p = checked_probabilities(probabilities)
    y = np.asarray(labels)
    if y.shape != (len(p),) or y.dtype.kind not in "iu":
        raise InvalidInput(f"Labels have shape {y.shape} and dtype {y.dtype}.", f"Pass {len(p)} whole numbers.")
    if y.min() < 0 or y.max() >= p.shape[1]:
        raise InvalidInput(f"A label lies outside 0..{p.shape[1] - 1}.", "There is one column for each class.")
    return p, y.astype(np.int64)


def checked_probabilities(probabilities: Any) -> Probabilities:
    """Rows that are finite, not negative, and sum to 1 within a thousand roundings of their dtype. Raises `InvalidInput`."""
    given = np.asarray(probabilities)
    if given.ndim != 2 or given.shape[0] < 1 or given.shape[1] < 2 or given.dtype.kind != "f":
        raise InvalidInput(
            f"Probabilities have shape {given.shape} and dtype {given.dtype}.",
            "Pass floats (examples, classes), with a column for each of at least two classes.",
        )
    p = given.astype(np.float64)
    slack = 1000 * float(np.finfo(given.dtype).eps)
    if not np.isfinite(p).all() or p.min() < 0 or np.abs(p.sum(1) - 1).max() > slack:
        raise InvalidInput(
            "A row is no probability: an entry is negative or not finite, or the sum is not 1.",
            "Pass probabilities, not logits.",
        )
    return p


def _scores(name: str, value: Any) -> np.ndarray:
    scores = np.asarray(value)
    if scores.ndim != 1 or not len(scores) or scores.dtype.kind not in "fiu" or not np.isfinite(scores).all():
        raise InvalidInput(f"{name} is no list of finite numbers.", "Pass one score for each example.")
    return scores.astype(np.float64)
