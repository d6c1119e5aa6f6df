"""Notebooks at the small setting: wide networks, and the other three on implicit bias."""

from __future__ import annotations

from notebook_runs import assert_they_run

STARTS = ("06", "07", "08", "09", "10", "13", "14", "15")


def test_notebooks_run_at_the_small_setting():
    assert_they_run(STARTS)
