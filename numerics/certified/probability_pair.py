"""A probability together with its complement, so that numbers near one keep their digits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...theory.errors import InvalidInput
from ...theory.validation import unit_interval

_ROUNDING = 2.0**-50


def broadcast(**operands: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """The named arrays in their common shape; InvalidInput where there is none."""
    try:
        return np.broadcast_arrays(*operands.values())
    except ValueError as error:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in operands.items())
        raise InvalidInput(f"Shapes do not broadcast: {shapes}.", "Pass equal shapes, or scalars.") from error


def probability_pair(name: str, value: Any, complement: Any = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(q, 1-q) with the smaller of the two exact and the larger correctly rounded.

    Without `complement`, q is exact. With it, the smaller of the given numbers is exact and the other may differ from one
    minus it by rounding only; anything else is InvalidInput, since it would be unclear which probability is meant.
    """
    q = unit_interval(name, value)
    if complement is None:
        return q, 1.0 - q
    q, qc = broadcast(**{name: q, f"{name}_complement": unit_interval(f"{name}_complement", complement)})
    if np.any(np.abs((q - 1.0) + qc) > _ROUNDING):
        raise InvalidInput(
            f"{name} and {name}_complement do not add up to 1.",
            f"Pass the accurately known one, and 1 minus it for the other (for example {name}=1 - {name}_complement).",
        )
    given_by_complement = qc < q
    return np.where(given_by_complement, 1.0 - qc, q), np.where(given_by_complement, qc, 1.0 - q)
