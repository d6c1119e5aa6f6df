"""Notebooks at the small setting: PAC-Bayes, and the first two on implicit bias."""

from __future__ import annotations

from notebook_runs import assert_they_run

STARTS = ("01", "02", "03", "04", "05", "11", "12")


def test_notebooks_run_at_the_small_setting():
    assert_they_run(STARTS)
