"""The delta ledger: nothing is spent twice, nothing is spent that was not declared."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nonvacuous.errors import DeltaOverspent, InvalidInput
from nonvacuous.numerics.confidence import DeltaLedger


def test_spending():
    ledger = DeltaLedger.declare(0.05).spend("sample", delta=0.04).spend("draws", delta=0.01)
    assert ledger.delta == pytest.approx(0.05, rel=1e-14, abs=0)
    assert ledger.delta >= 0.05
    with pytest.raises(DeltaOverspent, match="already paid"):
        ledger.spend("draws", delta=1e-9)
    with pytest.raises(DeltaOverspent, match="more than the declared"):
        ledger.spend("one more", delta=1e-6)


def test_a_second_use_of_the_same_delta_is_refused():
    one = DeltaLedger.single("sample", -math.log(0.05))
    with pytest.raises(DeltaOverspent):
        one.merge(one)


def test_tiny_deltas_add_in_logarithms():
    ledger = DeltaLedger(690.0).spend("a", log_inv_delta=700.0).spend("b", log_inv_delta=700.0)
    assert ledger.spent_log_inv_delta == pytest.approx(700 - math.log(2), rel=1e-15, abs=0)
    with pytest.raises(DeltaOverspent):
        DeltaLedger(2000.0).spend("a", log_inv_delta=1999.0)


@given(st.lists(st.floats(1e-6, 0.05), min_size=1, max_size=8))
def test_merging_adds(parts):
    ledger = DeltaLedger.single("0", -math.log(parts[0]))
    for index, part in enumerate(parts[1:], 1):
        ledger = ledger.merge(DeltaLedger.single(str(index), -math.log(part)))
    assert ledger.delta >= math.fsum(parts) * (1 - 1e-13)
    assert ledger.delta == pytest.approx(math.fsum(parts), rel=1e-12, abs=0)


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, 2.0, float("nan"), float("inf"), "x"])
def test_bad_delta(delta):
    with pytest.raises(InvalidInput):
        DeltaLedger.declare(delta)


def test_exactly_one_way_to_say_it():
    with pytest.raises(InvalidInput, match="exactly one"):
        DeltaLedger.declare()
    with pytest.raises(InvalidInput, match="exactly one"):
        DeltaLedger.declare(0.1, 2.0)
