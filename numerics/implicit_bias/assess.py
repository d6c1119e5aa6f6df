"""`assess`: given data, a starting law and optimiser settings, which theorem applies, what it predicts, and what is not claimed."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .assessment import Assessment
from .coordinates import coordinates
from .gaussian_law import GaussianLaw
from .least_squares import design_matrix, least_squares_problem
from .regression_claims import assess_regression
from .training_choices import Training


def assess(design: Any, targets: Any = None, *, training: Training, start: Any = None) -> Assessment:
    """What theory says of this training, before it is run.

    design: X (examples, parameters); for classification the rows have absorbed their labels (`absorb_labels`) and there
    are no `targets`. targets: y (examples,) for the squared loss. start: the law that training starts from, a
    `GaussianLaw`, or an initial point (parameters,); None: the origin. Nothing is claimed that a theorem of the
    catalogue does not say: read `refusals`. Raises `InvalidInput`.
    """
    if not isinstance(training, Training):
        raise InvalidInput(f"training is a {type(training).__name__}.", "Pass Training(step=..., ...).")
    x = design_matrix(design)
    with np.errstate(over="ignore", under="ignore"):
        size = float(np.sum(x * x))
    if x.any() and not sys.float_info.min < size < math.inf:
        raise InvalidInput(
            "Squares of the design leave the range of float64.", "Rescale the features, and the start with them."
        )
    law = starting_law(start, x.shape[1])
    frame = coordinates(training.metric, parameters=x.shape[1])
    if training.loss == "squared":
        if targets is None:
            raise InvalidInput("There are no targets.", "The squared loss needs one target per row of the design.")
        x, y, _ = least_squares_problem(x, targets, law.mean)
        return assess_regression(x, y, training, law, frame)
    if targets is not None:
        raise InvalidInput(
            f"targets with the {training.loss} loss.",
            "Absorb the labels into the rows: absorb_labels(features, labels).",
        )
    from .classification_claims import assess_classification

    return assess_classification(x, training, law, frame)


def starting_law(start: Any, parameters: int) -> GaussianLaw:
    """`start` as a law: a point becomes one with a factor of zeros."""
    if isinstance(start, GaussianLaw):
        law = start
    else:
        point = np.zeros(parameters) if start is None else finite("start", start, ndim=1)
        law = GaussianLaw(point, np.zeros((len(point), 1)))
    if law.mean.shape != (parameters,):
        raise InvalidInput(
            f"start has {len(law.mean)} parameters, the design {parameters}.", "Use the same parameters."
        )
    return law
