"""A finished training run, as far as theory is concerned: its settings and the laws on its way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .least_squares import UNIT_ROUNDOFF, whole_times
from .training_choices import Training


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """A run to be compared with theory: the settings, and the law or point of the parameters after some numbers of steps.

    laws: step -> `GaussianLaw` or point (parameters,), step 0, the start, among them. unit_roundoff: of the arithmetic that
    it was trained in, 2^-24 for float32; what rounding may explain is proportional to it. Raises `InvalidInput`.
    """

    training: Training
    laws: Mapping[int, Any]
    unit_roundoff: float = UNIT_ROUNDOFF

    def __post_init__(self) -> None:
        steps = sorted(self.laws)
        whole_times(steps)
        if len(steps) < 2 or steps[0] != 0:
            raise InvalidInput(
                f"laws has the steps {steps[:5]}.", "Give the start (step 0) and at least one later step."
            )
        if not 0 < float(finite("unit_roundoff", self.unit_roundoff, ndim=0)) < 1:
            raise InvalidInput(
                f"unit_roundoff is {self.unit_roundoff!r}.", "It is 2^-53 for float64 and 2^-24 for float32."
            )

    @property
    def unit(self) -> float:
        """Its unit roundoff, in units of that of float64, for which bounds on rounding are written."""
        return self.unit_roundoff / UNIT_ROUNDOFF
