"""Coordinates in which a training metric D becomes the identity: w = L v with D = L L^T, so that w <- w - step D g is v <- v - step L^T g."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .gaussian_law import GaussianLaw
from .metric import metric_root


@dataclass(frozen=True, eq=False)
class Coordinates:
    """root L (parameters, parameters), or None for the identity."""

    root: np.ndarray | None

    def rows(self, design: np.ndarray) -> np.ndarray:
        return design if self.root is None else design @ self.root

    def inner(self, law: GaussianLaw) -> GaussianLaw:
        """The law of v = L^-1 w."""
        if self.root is None:
            return law
        return GaussianLaw(np.linalg.solve(self.root, law.mean), np.linalg.solve(self.root, law.factor))

    def outer(self, law: GaussianLaw) -> GaussianLaw:
        """The law of w = L v."""
        return law if self.root is None else GaussianLaw(self.root @ law.mean, self.root @ law.factor)


def coordinates(metric: Any, *, parameters: int) -> Coordinates:
    """Coordinates of D, (parameters,) or (parameters, parameters), None being the identity. Raises `InvalidInput`."""
    return Coordinates(None if metric is None else metric_root(metric, parameters=parameters))
