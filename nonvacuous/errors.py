"""The typed errors of this package: what was wrong, where, and what to do."""

from .theory.errors import (
    AssumptionViolated,
    DeltaOverspent,
    InvalidInput,
    MissingExtra,
    NonvacuousError,
    NumericalFailure,
    StorageError,
    UnknownKey,
)

__all__ = [
    "AssumptionViolated",
    "DeltaOverspent",
    "InvalidInput",
    "MissingExtra",
    "NonvacuousError",
    "NumericalFailure",
    "StorageError",
    "UnknownKey",
]
