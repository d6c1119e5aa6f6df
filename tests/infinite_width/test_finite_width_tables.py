"""The public finite-width table: its cells, going on after an interruption, other networks, and questions that are refused."""

import inspect
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from paired_problems import ARCHITECTURE

from nonvacuous.numerics.intervals import multiplier
from nonvacuous.numerics.wide_networks import SingularGram, finite_width_table
from nonvacuous.numerics.wide_networks.finite_width_setup import checked_setup, limit_kernels, planned_blocks
from nonvacuous.numerics.wide_networks.step_sizes import steps_of_modes
from nonvacuous.proofs.infinite_width.finite_training import RESULTS, bayesian_checks
from nonvacuous.proofs.infinite_width.finite_training.instances import EXAMPLE, SIGNALS
from nonvacuous.proofs.infinite_width.finite_training.standard_checks import image_limit
from nonvacuous.theory.errors import InvalidInput, NumericalFailure, StorageError

RESULT = RESULTS[0]
SMALL = {
    "train": EXAMPLE.train, "test": EXAMPLE.test, "labels": EXAMPLE.labels, **ARCHITECTURE,
    "widths": (16, 32), "heads": (1, 2), "networks": 100, "relative_residual": 1e-2,
}  # fmt: skip


def test_the_table_has_every_cell_and_is_plain_data() -> None:
    found = finite_width_table(**SMALL, quantities=("rnd", "brnd_shared", "brnd_separate", "ensemble", "gap"))
    assert [(c.quantity, c.heads, c.width) for c in found.cells] == [
        *((q, k, n) for q in ("rnd", "brnd_shared", "brnd_separate") for k in (1, 2) for n in (16, 32)),
        *((q, 1, n) for q in ("ensemble", "ensemble_zeros", "label_dependence", "gap") for n in (16, 32)),
    ]
    assert found.limits["rnd"] == pytest.approx(RESULT.predict(EXAMPLE).variance, rel=1e-12, abs=0)
    assert found.limits["brnd_shared"] == pytest.approx(bayesian_checks.predict(EXAMPLE).variance, rel=1e-12, abs=0)
    for c in found.cells:
        if c.linearised is not None:
            assert c.total.value == pytest.approx(c.linearised.value + c.correction.value, abs=1e-12)
    data = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert len(data["rows"]) == 10
    assert data["rows"][1]["cells"][0]["head_penalty"][1] > 0
    text = str(found)
    assert text.count("  nonlinear part") == 10
    assert "n = 32" in text
    dependence = found.row("label_dependence", 1)[0].correction.value
    parts = [found.row(q, 1)[0].correction.value for q in ("ensemble", "ensemble_zeros")]
    assert dependence == pytest.approx(parts[0] - parts[1], abs=1e-12)


def test_an_interrupted_table_goes_on(tmp_path: Path) -> None:
    whole = finite_width_table(**SMALL)
    seen = []

    def interrupt(event: object) -> None:
        seen.append(event)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finite_width_table(**SMALL, out=tmp_path, progress=interrupt)
    again: list = []
    resumed = finite_width_table(**SMALL, out=tmp_path, progress=again.append)
    assert [event.reused for event in again] == [True, True, False, False]
    assert (again[-1].done, again[-1].total) == (4, 4)
    assert resumed.cells == whole.cells
    other: list = []
    finite_width_table(**SMALL | {"step_fraction": 0.5, "widths": (16,)}, out=tmp_path, progress=other.append)
    assert not any(event.reused for event in other)


def test_the_mean_field_parametrisation_does_not_become_lazy() -> None:
    """Four times the width: the gap shrinks below the theorem's n^-1/2, one half; the mean-field one stays above it. By the intervals of both."""
    low, high = {}, {}
    for name in ("ntk", "mean_field"):
        options = SMALL | {
            "parametrisation": name,
            "widths": (128, 512),
            "labels": 2 * EXAMPLE.labels,
            "relative_residual": 1e-3,
            "networks": 400,
        }
        narrow, wide = (c.correction for c in finite_width_table(**options, quantities=("gap",)).cells)
        error = math.hypot(*(e.standard_error / e.value for e in (narrow, wide)))
        factor = math.exp(multiplier(2, degrees=narrow.replicates - 1) * error)
        low[name], high[name] = wide.value / narrow.value / factor, wide.value / narrow.value * factor
    assert high["ntk"] < 0.5 < low["mean_field"]


def test_images_and_depth_have_tables() -> None:
    options = SMALL | {"widths": (32,), "heads": (1,)}
    images = options | {"train": SIGNALS.train, "test": SIGNALS.test, "labels": None, "filter_size": (1, 3)}
    found = finite_width_table(**images)
    assert found.limits["rnd"] == pytest.approx(image_limit(SIGNALS).variance, rel=1e-12, abs=0)
    total = found.cells[0].total  # a limit that is off by a factor 2 would put it at 1 or -1/2
    assert -0.5 + total.half_width(1e-6) < total.value < 1 - total.half_width(1e-6)
    assert len(finite_width_table(**options | {"depth": 2, "activation": "relu"}).cells) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"train": EXAMPLE.train.astype(np.float32)},
        {"train": EXAMPLE.train[:, :2]},
        {"train": np.zeros((0, 3))},
        {"test": np.full((1, 3), np.nan)},
        {"test": EXAMPLE.train[:1]},
        {"labels": [1.0]},
        {"labels": None, "quantities": ("ensemble",)},
        {"activation": "tanh"},
        {"depth": 0},
        {"weight_scale": (1.0, 1.0, 1.0)},
        {"parametrisation": "ours"},
        {"parametrisation": "mean_field"},
        {"parametrisation": "standard", "quantities": ("brnd_shared",)},
        {"quantities": ("variance",)},
        {"quantities": ()},
        {"widths": ()},
        {"widths": (0,)},
        {"widths": (16.5,)},
        {"heads": (0,)},
        {"networks": 99},
        {"networks": True},
        {"step_fraction": 0.0},
        {"step_fraction": 1.5},
        {"relative_residual": 1.0},
        {"confidence": 1.0},
        {"filter_size": (1, 3)},
        {"train": torch.from_numpy(EXAMPLE.train).float()},
        {"labels": EXAMPLE.labels.astype(np.float16)},
        {"padding": "reflect"},
        {"networks": {32: 100}},
        {"widths": 16},
        {"heads": 2},
        {"quantities": "rnd"},
        {"device": "no such device"},
        {"device": None},
        {"seed": -1},
        {"seed": 1.5},
        {"max_steps": 0},
        {"progress": 3},
        {"max_steps": 3},
        {"train": np.vstack([EXAMPLE.train, EXAMPLE.train[:1] + 1e-6]), "labels": None},
        {"widths": (1,), "heads": (64,), "train": np.ones((3, 3)) * [[1.0], [2.0], [3.0]]},
    ],
    ids=lambda change: ",".join(change),
)
def test_bad_questions_are_refused_before_any_training(change: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr("nonvacuous.numerics.wide_networks.finite_width.measure", never)
    with pytest.raises(InvalidInput):
        finite_width_table(**SMALL | change)


def test_steps_are_foreseen_from_the_limit() -> None:
    """Two modes by hand; and a table whose networks need about as many steps as are foreseen, so that fewer are refused and twice as many do."""
    one = np.array([1.0, 0.01]), np.array([4.0, 1.0])
    steps = steps_of_modes(*one, step_size_sum_loss=1.0, relative_residual=1e-2)
    assert steps == math.ceil(math.log(1e-2 * math.sqrt(5)) / math.log(0.99))
    assert steps_of_modes(one[0] * [1, 0], one[1], step_size_sum_loss=1.0, relative_residual=1e-2) == math.inf
    assert steps_of_modes(one[0] * [1, 0], one[1] * [1, 0], step_size_sum_loss=1.0, relative_residual=1e-2) == 1
    options = SMALL | {"widths": (256,), "heads": (1,)}
    with pytest.raises(InvalidInput, match="condition number") as refused:
        finite_width_table(**options, max_steps=5)
    (foreseen,) = (float(word) for word in re.findall(r"about (\S+) steps", str(refused.value)))
    with pytest.raises((InvalidInput, NumericalFailure)):
        finite_width_table(**options, max_steps=int(foreseen / 2))
    # the slowest of a hundred draws starts with a larger share in the slow mode than the mean: a few e-foldings more
    assert finite_width_table(**options, max_steps=int(4 * foreseen)).cells


def test_labels_count_among_the_steps_foreseen() -> None:
    """Large labels in the slowest mode of the limit's kernel: the number is that of this mode alone."""
    setup = checked_setup(
        **{k: v for k, v in SMALL.items() if k in inspect.signature(checked_setup).parameters},
        filter_size=None,
        padding="zero",
    )
    values, modes = np.linalg.eigh(limit_kernels(setup)[1].train)
    step = 0.75 * 2 / (values[0] + values[-1])
    slowest = math.ceil(math.log(1e-4) / math.log1p(-step * values[0]))
    found = {}
    for quantity in ("rnd", "ensemble", "gap"):
        options = SMALL | {"labels": 1e6 * modes[:, 0], "relative_residual": 1e-4, "quantities": (quantity,)}
        with pytest.raises(InvalidInput, match="condition number") as refused:
            finite_width_table(**options, max_steps=1)
        (found[quantity],) = (float(word) for word in re.findall(r"about (\S+) steps", str(refused.value)))
    assert found["ensemble"] == found["gap"] == slowest > found["rnd"]


def test_repeated_inputs_and_full_disks_have_typed_errors(tmp_path: Path) -> None:
    with pytest.raises(SingularGram):
        finite_width_table(**SMALL | {"train": EXAMPLE.train[[0, 0, 1]], "labels": None})
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        finite_width_table(**SMALL, out=tmp_path / "file")


def test_plans_count_their_networks() -> None:
    setup = checked_setup(
        **{k: v for k, v in SMALL.items() if k in inspect.signature(checked_setup).parameters},
        filter_size=None,
        padding="zero",
    )
    _, blocks = planned_blocks(setup, (16, 32), (1, 2), ("rnd", "gap"), {16: 1210, 32: 100})
    assert [count for q, k, n, _, count in blocks if (q, k, n) == ("rnd", 1, 16)] == [500, 500, 210]
    assert [count for q, _, n, _, count in blocks if (q, n) == ("gap", 16)] == [500, 500, 200]
    assert [part for q, k, n, part, _ in blocks if (q, k, n) == ("rnd", 2, 16)] == [0, 1, 2]
