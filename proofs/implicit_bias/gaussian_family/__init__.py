"""The Gaussian family N(mu, S S^T), in teaching order."""

from ...result import Result

RESULTS: tuple[Result, ...] = ()
