"""The figures of the area, by key."""

from __future__ import annotations

from collections.abc import Mapping

from ..drawing import Figure
from .distillation import figures as distillation
from .dynamics import figures as dynamics
from .finite_training import figures as finite_training
from .kernels import figures as kernels
from .neighbours import figures as neighbours
from .posteriors import figures as posteriors

INFINITE_WIDTH_FIGURES: Mapping[str, Figure] = {
    **kernels.FIGURES,
    **dynamics.FIGURES,
    **posteriors.FIGURES,
    **distillation.FIGURES,
    **finite_training.FIGURES,
    **neighbours.FIGURES,
}
