"""The checks of `iw.rnd_finite_width`: what each budget runs, where orders find nothing, and the record of the standard budget."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from nonvacuous.api import Verdict
from nonvacuous.numerics.claims import Ordering
from nonvacuous.numerics.verdict import judge
from nonvacuous.proofs.infinite_width.finite_training import RESULTS, bayesian_checks, compare
from nonvacuous.proofs.infinite_width.finite_training.experiments import distil_heads, labelled_ensembles
from nonvacuous.proofs.infinite_width.finite_training.figures import FIGURES
from nonvacuous.proofs.infinite_width.finite_training.image_setting import ImageSetting
from nonvacuous.proofs.infinite_width.finite_training.instances import EXAMPLE, FIVE, SIGNALS
from nonvacuous.proofs.infinite_width.finite_training.plans import ladder_plan, spread
from nonvacuous.proofs.infinite_width.finite_training.recorded import CORRECTIONS
from nonvacuous.proofs.result import ByBudget, Check, Control, Run
from nonvacuous.theory.errors import InvalidInput

RESULT = RESULTS[0]
RECORD = Path(__file__).resolve().parents[2] / "benchmarks" / "records" / "finite_width_standard.json"


def test_the_published_instance() -> None:
    """Limits to the digits printed with the table."""
    assert RESULT.predict(FIVE).variance == pytest.approx([0.344, 0.190, 0.278], abs=5e-4)
    assert bayesian_checks.predict(FIVE).variance == pytest.approx([0.835, 0.649, 1.093], abs=5e-4)


def test_orders_find_nothing_where_there_is_nothing() -> None:
    """The networks of the limit: labels that are zeros, and one number of heads under three names, support no order."""
    block = {"width": 64, "members": 400, "group": 5}
    rows = dict(labelled_ensembles(replace(EXAMPLE, labels=0 * EXAMPLE.labels), Run(block, 1)))
    p = RESULT.predict(EXAMPLE)
    assert judge(Ordering(), compare.compare_labels(EXAMPLE, p, rows)).ruling == "inconclusive"
    parts = [distil_heads(EXAMPLE, Run({"width": 64, "heads": 1, "members": 200}, seed)) for seed in (1, 2, 3)]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    named = joined | {"heads": np.repeat([1, 4, 16], 200)}
    assert judge(Ordering(), compare.compare_heads(EXAMPLE, p, named)).ruling == "inconclusive"


def test_plans_are_cut_into_blocks() -> None:
    assert spread(((32, 1200), (64, 100)), 500, heads=2) == (
        {"width": 32, "members": 500, "part": 0, "heads": 2},
        {"width": 32, "members": 500, "part": 1, "heads": 2},
        {"width": 32, "members": 200, "part": 2, "heads": 2},
        {"width": 64, "members": 100, "part": 0, "heads": 2},
    )
    assert max(block["width"] for block in ladder_plan(16).of("full")) == 16384
    with pytest.raises(InvalidInput):
        compare.batches(np.ones(100))


def test_checks_of_larger_budgets_do_not_run_at_quick() -> None:
    later = [check for check in RESULT.checks if not check.runs_at("quick")]
    assert len(later) >= 10
    assert all(check.runs_at("standard") and check.runs_at("full") for check in later)
    example = later[0]
    with pytest.raises(InvalidInput):
        replace(RESULT, checks=tuple(later))
    with pytest.raises(InvalidInput):
        Check("never", Ordering(), compare=compare.compare_labels, controls=(Control("none", {}),))
    with pytest.raises(InvalidInput):
        replace(example, settings=ByBudget(quick=()))


def test_a_verdict_names_what_its_budget_did_not_begin() -> None:
    found = {
        "key": "iw.x",
        "verdict": "supported",
        "derivation": {"status": "replayed"},
        "checks": [],
        "budget": "quick",
    }
    assert str(Verdict(({**found, "larger_budgets": ["a long ladder"]},), Path())).endswith(
        "not begun at the quick budget: a long ladder"
    )
    assert "not begun" not in str(Verdict((found,), Path()))


def test_bad_image_settings_are_refused() -> None:
    for change in (
        {"test": SIGNALS.test[:, :, :4]},
        {"train": SIGNALS.train[0]},
        {"activation": "tanh"},
        {"weight_scale": (1.5, 1.5, 1.5)},
    ):
        with pytest.raises(InvalidInput):
            ImageSetting(**vars(SIGNALS) | change)


def test_the_record_shows_what_the_published_table_says() -> None:
    """Sign, decay from width to width, slopes over the three largest widths, order in heads, labels; nothing about the sign of totals."""
    record = json.loads(RECORD.read_text())
    assert all(found["verdict"] == "supported" for found in record["verdict"].values())
    assert set(record["verdict"]) == {check.name for check in RESULT.checks}
    rows = {row["heads"]: row for row in record["distillation"]["value and standard error, relative to the limit"]}
    assert sorted(rows) == [1, 4, 16]
    for row in rows.values():
        values = [c["correction"][0] for c in row["cells"]]
        assert [c["width"] for c in row["cells"]] == [32, 128, 512, 2048]
        assert all(low < high < 0 for low, high in pairwise(values))
        # 16 heads are still before the stretch of 1/n at 512 units: only the last step of theirs is steep enough
        steps = [row["slope over the three largest widths"]] if row["heads"] < 16 else row["local slopes"][-1:]
        assert -1.2 <= steps[0][0] <= -0.6
    for width in range(3):  # at 2048 the difference of 4 heads and 1 is about its interval
        few, some, many = (rows[k]["cells"][width]["correction"][0] for k in (1, 4, 16))
        assert many < some < few
    ensembles = {row["quantity"]: row for row in record["ensembles"]["value and standard error, relative to the limit"]}
    for labels, zeros in zip(ensembles["ensemble"]["cells"], ensembles["ensemble_zeros"]["cells"], strict=True):
        assert labels["correction"][0] < zeros["correction"][0] < 0


def test_the_figure_draws_the_record() -> None:
    record = json.loads(RECORD.read_text())
    rows = [
        row
        for name in ("distillation", "ensembles")
        for row in record[name]["value and standard error, relative to the limit"]
    ]
    found = {(row["quantity"], row["heads"]): [(c["width"], *c["correction"]) for c in row["cells"]] for row in rows}
    for key, cells in CORRECTIONS.items():
        assert np.array(cells) == pytest.approx(np.array(found[key]), abs=1e-5)
    assert set(FIGURES) == {"iw.rnd_finite_width"}


def test_a_ladder_holds_the_total_against_the_limit() -> None:
    limit = np.array([0.5, 2.0])
    wave = np.tile([0.01, -0.01], 10)
    rows = {"width": np.repeat([32, 64], 10)}
    for s, v in enumerate(limit):
        rows |= {f"linearised_{s}": 2 * v * (1.1 + wave), f"correction_{s}": 2 * v * (-0.04 + wave)}
    found = compare.compare_widths(None, compare.LimitPrediction(limit), rows)
    assert found.discrepancy == pytest.approx([0.06, 0.06], abs=1e-12)
    assert found.correction == pytest.approx([-0.04, -0.04], abs=1e-12)
    far = compare.compare_widths(None, compare.LimitPrediction(limit), rows | {"width": np.repeat([32, 2048], 10)})
    assert list(far.size) == [2048]
