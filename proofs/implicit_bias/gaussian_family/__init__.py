"""The Gaussian family N(mu, S S^T), in teaching order."""

from ...result import Result
from . import expected_losses, flow, wasserstein

RESULTS: tuple[Result, ...] = (expected_losses.RESULT, wasserstein.RESULT, flow.RESULT)
