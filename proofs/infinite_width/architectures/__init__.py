"""Kernels of other architectures."""

from ...result import Result

RESULTS: tuple[Result, ...] = ()
