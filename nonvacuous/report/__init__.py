"""The static HTML report, and the default figure of every claim: pure functions of stored verdicts."""

from .html import write_report

__all__ = ["write_report"]
