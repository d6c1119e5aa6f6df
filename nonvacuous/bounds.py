"""Generalization bounds: functions of losses, divergences, n and delta that return a `Certificate`; `compare` tries them all."""

from .numerics.bounds import *  # noqa: F403
from .numerics.bounds import __all__

__all__ = __all__
