"""The log-loss of averaged models: second-order bounds, diversity, cold posteriors, and what ties them."""

from __future__ import annotations

from ...result import Result

RESULTS: tuple[Result, ...] = ()
