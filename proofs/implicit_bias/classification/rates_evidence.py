"""What the exponents of classification are held to: flows from a generic start, their slopes and what is left of faster terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ....numerics.claims import Comparison
from ....numerics.implicit_bias.classification import ClassificationRates
from ....numerics.store import Rows
from ....numerics.training.separable import flow_separable
from ....theory.errors import InvalidInput
from ....theory.validation import finite
from ...result import Run
from ..separable_problems import SeparatorFloats
from .evidence import separator


@dataclass(frozen=True, eq=False)
class RateSetting:
    """Labelled rows (examples, parameters), the diagonal of the metric D (parameters,), and kappa.

    `times` are the values of tau = log(1 + t) between which exponents are measured, the first three for the mean.
    """

    design: Float[np.ndarray, "examples parameters"]
    metric: Float[np.ndarray, " parameters"]
    factor_ratio: float
    times: tuple[float, ...]

    def __post_init__(self) -> None:
        x, d = finite("design", self.design, ndim=2), finite("metric", self.metric, ndim=1)
        if not x.size or d.shape != x.shape[1:] or d.min() <= 0:
            raise InvalidInput(
                f"design has shape {x.shape}, metric {d.shape}.", "Pass a positive factor per parameter."
            )

    @property
    def inner(self) -> Float[np.ndarray, "examples parameters"]:
        """The rows in the coordinates in which D is the identity."""
        return self.design * np.sqrt(self.metric)


def pair(a: float, b: float) -> np.ndarray:
    """Two rows with squared lengths a and inner product b: spectrum {1, (a - b)/(a + b)}."""
    return np.linalg.cholesky(np.array([[a, b], [b, a]]))


def with_further_row(rows: np.ndarray, margin: float) -> np.ndarray:
    w = np.linalg.solve(rows, np.ones(2))
    return np.vstack([rows, margin * w / (w @ w) + np.array([-w[1], w[0]])])


FLOW_ERROR = 1e-4  # relative to an exponent: local errors of 1e-13 on signals that are 1e-8 of the scale at least


def flow(setting: RateSetting, run: Run) -> dict[str, Any]:
    """Gradient flow from a generic start: means, and factors with their entries in one row."""
    s = setting
    mean, factor = np.array([0.3, -0.2]), np.array([[0.5, 0.1], [-0.2, 0.4]])
    d = np.diag(s.metric)
    path = flow_separable(
        s.design,
        mean,
        factor,
        record=s.times,
        factor_ratio=s.factor_ratio,
        metric=d,
        rtol=1e-13,
        loss=run.block.get("loss", "exponential"),
    )
    return {"log_time": np.array(s.times), "mean": path.means, "factor": path.factors.reshape(len(s.times), -1)}


def compare_exponents(setting: RateSetting, prediction: ClassificationRates, rows: Rows) -> Comparison:
    """Local exponents over the last interval: the factor, the training variance, every mode, and dmu/dtau - w_hat.

    A sum of exponentials approaches its slowest exponent like e^(-G tau), G the gap to the next one. So its last change,
    divided by 1 - e^(-G h) for intervals of length h, bounds what is left. The candidates for the next exponent are the
    eigenvalues, kappa times them, the further margins less 1, and sums with the exponents below.
    """
    s, tau = setting, rows["log_time"]
    found = separator(s.inner)
    factors = rows["factor"].reshape(len(tau), 2, -1) / np.sqrt(s.metric)[:, None]
    variances = np.einsum("tpr,np->tnr", factors, found.rows)
    values, vectors = np.linalg.eigh((found.rows.T * found.alpha) @ found.rows)
    modes = np.linalg.norm(np.einsum("tpr,pj->tjr", factors, vectors), axis=2)
    velocity = np.exp(tau[:, None] - rows["mean"] @ s.design.T + 0.5 * spread(s, rows)) @ s.inner - found.weights
    signals = np.column_stack(
        [np.linalg.norm(factors, axis=(1, 2)), (variances**2).sum(axis=(1, 2)), np.linalg.norm(velocity, axis=1), modes]
    )
    slopes = -np.diff(np.log(signals), axis=0) / np.diff(tau)[:, None]
    slow, rho = float(s.factor_ratio * values[0]), mean_exponent(s, found)
    near = [*values, *(s.factor_ratio * values), 2 * slow, s.factor_ratio * values.sum(), *further_margins(s, found)]
    own = [slow, 2 * slow, rho, *(min(s.factor_ratio * v, slow + rho) for v in values)]
    nexts = [
        [*near, slow + rho],
        [2 * e for e in near] + [2 * slow + rho],
        [*near, 2 * rho],
        *[[*near, slow + rho, slow + 2 * rho]] * 2,
    ]
    gaps = [min(e - o for e in candidates if e > o + 1e-6) for o, candidates in zip(own, nexts, strict=True)]
    left = np.abs(slopes[-1] - slopes[-2]) / -np.expm1(-np.array(gaps) * (tau[-1] - tau[-2]))
    predicted = np.array([prediction.factor, prediction.variance, prediction.mean, *prediction.modes])
    return Comparison(slopes[-1], predicted, left + FLOW_ERROR * np.abs(own), np.abs(own))


def spread(s: RateSetting, rows: Rows) -> np.ndarray:
    factors = rows["factor"].reshape(len(rows["log_time"]), 2, -1)
    return np.asarray((np.einsum("tpr,np->tnr", factors, s.design) ** 2).sum(axis=2))


def further_margins(s: RateSetting, found: SeparatorFloats) -> list[float]:
    return [float(s.inner[n] @ found.weights) - 1 for n in range(len(s.design)) if n not in found.support]


def mean_exponent(s: RateSetting, found: SeparatorFloats) -> float:
    least = float(found.spectrum[0])
    return min([least, 2 * s.factor_ratio * least, *further_margins(s, found)])
