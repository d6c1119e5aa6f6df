"""What is drawn for a budget is drawn when it is asked for, and once; rows are read once for a check and its controls."""

from __future__ import annotations

import numpy as np
import pytest

from nonvacuous.numerics import store
from nonvacuous.numerics.implicit_bias.least_squares import REMEMBERED, row_space
from nonvacuous.proofs import judging
from nonvacuous.proofs.implicit_bias.least_squares import minimum_norm
from nonvacuous.proofs.planning import missing_rows, row_specs, specs, variants
from nonvacuous.proofs.result import BUDGETS, ByBudget
from nonvacuous.proofs.verification import verify


def test_settings_are_drawn_once_and_on_demand():
    calls: list[str] = []

    def many() -> tuple[int, ...]:
        calls.append("standard")
        return (1, 2, 3)

    found = ByBudget(quick=(1,), standard=many)
    assert all(found.some(budget) for budget in BUDGETS)
    assert found.of("quick") == (1,)
    assert calls == []
    assert found.of("standard") == found.of("full") == (1, 2, 3)
    assert calls == ["standard"]
    assert not ByBudget(quick=()).some("full")


@pytest.mark.parametrize("name", ["mini_batches", "residual"])
def test_importing_a_proof_draws_no_standard_settings(name):
    from nonvacuous.proofs.implicit_bias import max_margin

    module = getattr(max_margin, name)
    assert callable(module.SETTINGS.standard)
    assert len(module.SETTINGS.of("standard")) > len(module.SETTINGS.of("quick"))


def test_shared_specs_are_those_of_each_variant():
    known: dict = {}
    for variant in variants(minimum_norm.RESULT):
        alone = specs(minimum_norm.RESULT, variant, "quick", 0, "cpu")
        shared = specs(minimum_norm.RESULT, variant, "quick", 0, "cpu", known)
        assert [[t[0].identity for t in group] for group in alone] == [
            [t[0].identity for t in group] for group in shared
        ]
    assert len(known) < len(variants(minimum_norm.RESULT))
    rows = row_specs(minimum_norm.RESULT, "quick", 0, "cpu")
    assert list(rows) == sorted(rows)
    assert all(spec.identity == identity for identity, spec in rows.items())


def test_rows_are_read_once(tmp_path, monkeypatch):
    reads: list[str] = []

    def counted(folder, spec):
        reads.append(spec.identity)
        return store.read_rows(folder, spec)

    monkeypatch.setattr(judging, "read_rows", counted)
    missing, _ = missing_rows((minimum_norm.RESULT,), tmp_path, "quick", 0, "cpu")
    *_, judged = verify((minimum_norm.RESULT,), out=tmp_path)
    assert judged.verdict["verdict"] == "supported"
    assert sorted(reads) == sorted(missing["ib.ls_minnorm"])


def test_a_remembered_decomposition_follows_the_design_and_cannot_be_written_to():
    rng = np.random.default_rng(0)
    small, large = rng.normal(size=(4, 6)), rng.normal(size=(2, REMEMBERED))
    for design in (small, np.asfortranarray(small), small.T, large):
        found = row_space(design)
        np.testing.assert_allclose((found.left * found.singular_values) @ found.right.T, design, atol=1e-13)
    first = row_space(small)
    with pytest.raises(ValueError, match="read-only"):
        first.right[:] = 0
    small[0, 0] += 1
    assert row_space(small).singular_values[0] != first.singular_values[0]
    assert row_space(small, relative_cutoff=0.9).singular_values.size < first.singular_values.size
