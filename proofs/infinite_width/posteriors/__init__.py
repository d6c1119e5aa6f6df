"""Posteriors of wide networks, and the training that samples from them."""

from ...result import Result

RESULTS: tuple[Result, ...] = ()
