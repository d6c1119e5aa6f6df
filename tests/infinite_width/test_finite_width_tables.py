"""Paired trainings of finite networks, the public table made of them, and checks that belong to larger budgets."""

import inspect
import json
import math
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import torch

from nonvacuous.numerics.claims import Ordering
from nonvacuous.numerics.intervals import multiplier
from nonvacuous.numerics.kernels.architectures.pooling import convolutional_kernels
from nonvacuous.numerics.networks.fully_connected import forward, fully_connected, initialise
from nonvacuous.numerics.training import paired
from nonvacuous.numerics.training.pooled import Descent, Problem, image_patches, read, tangent_kernel, train_both
from nonvacuous.numerics.verdict import judge
from nonvacuous.numerics.wide_networks import SingularGram, finite_width_table
from nonvacuous.numerics.wide_networks.finite_width_cells import (
    Estimate,
    FiniteWidthCell,
    estimate,
    head_penalty,
    local_slopes,
    slope,
)
from nonvacuous.numerics.wide_networks.finite_width_setup import checked_setup, planned_blocks
from nonvacuous.proofs.infinite_width.finite_training import RESULTS, bayesian_checks, compare
from nonvacuous.proofs.infinite_width.finite_training.experiments import distil_heads, labelled_ensembles
from nonvacuous.proofs.infinite_width.finite_training.figures import FIGURES
from nonvacuous.proofs.infinite_width.finite_training.image_setting import ImageSetting
from nonvacuous.proofs.infinite_width.finite_training.instances import EXAMPLE, FIVE, SIGNALS
from nonvacuous.proofs.infinite_width.finite_training.plans import ladder_plan, spread
from nonvacuous.proofs.infinite_width.finite_training.recorded import CORRECTIONS
from nonvacuous.proofs.infinite_width.finite_training.standard_checks import image_limit
from nonvacuous.proofs.result import ByBudget, Check, Control, Run
from nonvacuous.theory.errors import InvalidInput, NumericalFailure, StorageError

RESULT = RESULTS[0]
RECORD = Path(__file__).resolve().parents[2] / "benchmarks" / "records" / "finite_width_standard.json"
ARCHITECTURE = {"activation": "erf", "depth": 1, "weight_scale": 1.5, "bias_scale": 0.3, "parametrisation": "ntk"}
POINTS = torch.from_numpy(np.concatenate([EXAMPLE.test, EXAMPLE.train]))


def problem(width: int, *, outputs: int = 1, depth: int = 1, activation: str = "erf", positions: int = 1) -> Problem:
    network = fully_connected(
        inputs=3, width=width, outputs=outputs, **(ARCHITECTURE | {"depth": depth, "activation": activation})
    )
    points = POINTS.repeat_interleave(positions, dim=0)
    return Problem(network, points, len(EXAMPLE.test), positions)


def cell(width: int, value: float, error: float = 1e-3, heads: int = 1) -> FiniteWidthCell:
    found = Estimate(value, error, 100)
    return FiniteWidthCell("rnd", heads, width, 100, found, found, found)


# --- paired trainings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "heads"), [(1, 1), (1, 3), (2, 2)])
def test_the_averaged_linearised_error_has_the_mean_of_the_plain_one(depth: int, heads: int) -> None:
    """Means over the same networks: squared errors of the linearisation, and their expectation given most of each network."""
    p, members = problem(12 if depth == 1 else 16, outputs=heads, depth=depth), 4000
    u, g = (initialise(p.network, members, seed=seed) for seed in (1, 2))
    from nonvacuous.numerics.training.linearised import solve_kernel

    linear = solve_kernel(tangent_kernel(p, u), read(p, forward(p.network, u, p.points)), p.tests)
    target = read(p, forward(p.network, g, p.points))
    plain = ((linear.solution(target[:, p.tests :]) - target[:, : p.tests]) ** 2).mean(dim=(1, 2))
    averaged = paired.distillation(p, members=members, seed=3).linearised.mean(dim=1)
    error = math.hypot(float(plain.std()), float(averaged.std())) / math.sqrt(members)
    assert abs(float(plain.mean() - averaged.mean())) < multiplier() * error
    assert float(averaged.std()) < 0.9 * float(plain.std())


def test_starts_are_averaged_over_every_sign() -> None:
    """Three units, two heads: the covariance over the eight signs and the bias, by enumeration; the tangent kernel is that of each."""
    p = problem(3, outputs=2)
    u = initialise(p.network, 1, seed=3)  # the two heads disagree on some signs
    kernel = tangent_kernel(p, u)
    second = torch.zeros_like(kernel)
    for signs in product((-1.0, 1.0), repeat=3):
        flipped = replace(
            u,
            weights=(u.weights[0], u.weights[1] * torch.tensor(signs)[None, :, None]),
            biases=(u.biases[0], 0 * u.biases[1]),
        )
        start = read(p, forward(p.network, flipped, p.points)).flatten(1)
        second += start[:, :, None] * start[:, None, :] / 8
        assert torch.allclose(tangent_kernel(p, flipped), kernel, rtol=1e-12, atol=1e-12)
    deep = problem(3, outputs=2, depth=2)
    v = initialise(deep.network, 1, seed=3)
    moved = replace(v, biases=(*v.biases[:-1], v.biases[-1] + 7))
    same_start, other_start = (
        paired._covariance_of_start(deep, q, forward(deep.network, q, deep.points)) for q in (v, moved)
    )
    assert torch.allclose(same_start, other_start, rtol=1e-9, atol=1e-9)  # the bias is averaged at any depth
    same = torch.eye(2, dtype=torch.float64).repeat(p.inputs, p.inputs)
    found = paired._covariance_of_start(p, u, forward(p.network, u, p.points))
    assert torch.allclose(found[0], second[0] + 0.3**2 * same, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("directions", ["shared", "separate"])
def test_the_averaged_bayesian_error_has_the_mean_of_the_plain_one(directions: paired.Directions) -> None:
    p, members = problem(12, outputs=2), 1500
    found = paired.bayesian_distillation(p, members=members, seed=5, directions=directions, descent=Descent(1e-3))
    assert found.correction is not None
    u = initialise(p.network, members, seed=7)
    kernel = tangent_kernel(p, u)
    draws = [initialise(p.network, members, seed=11 + k) for k in range(2)]
    targets = [paired._tangent(p, u, psi, zeroed=True) for psi in draws]
    target = targets[0] if directions == "shared" else torch.stack([t[:, :, k] for k, t in enumerate(targets)], dim=2)
    from nonvacuous.numerics.training.linearised import solve_kernel

    linear = solve_kernel(kernel, read(p, forward(p.network, u, p.points)), p.tests)
    plain = ((linear.solution(target[:, p.tests :]) - target[:, : p.tests]) ** 2).mean(dim=(1, 2))
    averaged = found.linearised.mean(dim=1)
    error = math.hypot(float(plain.std()), float(averaged.std())) / math.sqrt(members)
    assert abs(float(plain.mean() - averaged.mean())) < multiplier() * error


def test_one_head_has_one_direction() -> None:
    shared, separate = (
        paired.bayesian_distillation(problem(16), members=50, seed=5, directions=d).linearised
        for d in ("shared", "separate")
    )
    assert torch.equal(shared, separate)


def test_targets_of_heads_are_told_apart() -> None:
    """One target of each head given the trunk; tangent targets of several heads along one direction correlate and report less."""
    one = torch.tensor([[[2.0, 0.5, 0.0], [0.5, 3.0, 0.1], [0.0, 0.1, 1.0]]], dtype=torch.float64)
    found = paired._per_head(one, replace(problem(4, outputs=2), points=POINTS[:3], tests=1)).reshape(3, 2, 3, 2)
    assert torch.equal(found[:, 0, :, 0], one[0])
    assert torch.equal(found[:, 1, :, 1], one[0])
    assert not found[:, 0, :, 1].any()
    shared, separate = (
        paired.bayesian_distillation(problem(16, outputs=4), members=1000, seed=5, directions=d).linearised.mean()
        for d in ("shared", "separate")
    )
    assert separate > 1.1 * shared
    hidden = torch.zeros(1, 7, 4, dtype=torch.float64)  # what is left of a readout without features: its bias
    assert torch.allclose(paired._covariance_of_readout(problem(4), hidden), torch.full((1, 7, 7), 0.09).double())
    hidden[:, 0] = 1.0
    assert paired._covariance_of_readout(problem(4), hidden)[0, 0, 0] == pytest.approx(0.09 + 1.5**2, rel=1e-12)


def test_repeated_positions_are_one_position() -> None:
    """The average over equal patches is the fully connected network: training, kernels and draws are the same."""
    one, three = (
        paired.distillation(problem(16, outputs=2, positions=k), members=20, seed=1, descent=Descent(1e-6))
        for k in (1, 3)
    )
    assert torch.allclose(one.linearised, three.linearised, rtol=1e-9, atol=0)
    assert one.correction is not None
    assert three.correction is not None
    assert torch.allclose(one.correction, three.correction, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("padding", "filter_size"), [("circular", (1, 3)), ("zero", (1, 3)), ("circular", (1, 2)), ("zero", (1, 2))]
)
def test_the_mean_kernel_of_convolutions_is_the_limit(padding: str, filter_size: tuple[int, int]) -> None:
    """One hidden layer: unbiased at every width (`iw.fw_unbiased_1layer`)."""
    images = np.concatenate([SIGNALS.test, SIGNALS.train])[:3]
    points = image_patches(torch.from_numpy(images), filter_size=filter_size, circular=padding == "circular")
    network = fully_connected(inputs=points.shape[1], width=8, **ARCHITECTURE)
    kernel = tangent_kernel(Problem(network, points, 1, 6), initialise(network, 8_000, seed=1)).numpy()
    limit = convolutional_kernels(
        images, depth=1, filter_size=filter_size, padding=padding, readout="average",
        activation="erf", weight_scale=1.5, bias_scale=0.3,
    ).ntk  # fmt: skip
    error = kernel.std(axis=0, ddof=1) / math.sqrt(len(kernel))
    assert (np.abs(kernel.mean(axis=0) - limit) < multiplier(6) * error).all()
    assert (multiplier(6) * error < 0.08 * np.abs(limit).max()).all()


def test_convolutions_learn_their_targets() -> None:
    images = torch.from_numpy(np.concatenate([SIGNALS.test, SIGNALS.train]))
    points = image_patches(images, filter_size=(1, 3), circular=True)
    network = fully_connected(inputs=3, width=64, outputs=2, **ARCHITECTURE)
    p = Problem(network, points, 2, 6)
    parameters = initialise(network, 5, seed=1)
    goal = torch.ones(5, 4, 2, dtype=torch.float64)
    _, fitted = train_both(
        replace(p, points=torch.cat([points[12:], points[12:]]), tests=4), parameters, goal, Descent(1e-8)
    )
    assert torch.allclose(fitted, goal, atol=1e-6)


def test_chunks_cover_every_member_once() -> None:
    for width, members in ((8, 5), (512, 1000), (4096, 37)):
        parts = list(paired.chunks(problem(width, outputs=4), members))
        assert [start for start, _ in parts] == list(np.cumsum([0, *(count for _, count in parts[:-1])]))
        assert sum(count for _, count in parts) == members


def test_a_step_size_moves_the_outcome_and_the_linearisation_has_none() -> None:
    p = problem(32)
    found = paired.step_differences(p, members=20, seed=1, descents=(Descent(1e-6, 0.9), Descent(1e-6, 0.1)))
    same = paired.step_differences(p, members=20, seed=1, descents=(Descent(1e-6, 0.5), Descent(1e-6, 0.5)))
    assert float(found.min()) > 1e-6
    assert torch.equal(same, torch.zeros_like(same))


def test_bad_trainings_are_refused() -> None:
    y = torch.ones(1, 4, dtype=torch.float64)
    with pytest.raises(InvalidInput):
        paired.ensemble_variances(problem(8), y, members=10, group=3, seed=1)
    with pytest.raises(InvalidInput):
        paired.bayesian_distillation(problem(8), members=10, seed=1, directions="both")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput):
        image_patches(torch.zeros(1, 1, 2, 1), filter_size=(1, 3), circular=True)
    repeated = replace(problem(8), points=POINTS[[0, 1, 2, 3, 3]])
    with pytest.raises((InvalidInput, NumericalFailure)):  # one training input, twice
        paired.distillation(repeated, members=10, seed=1, descent=Descent())


# --- what is read off the cells -----------------------------------------------------------------------------------


def test_slopes_of_power_laws() -> None:
    cells = [cell(n, -3.0 / n, 0.01 / n) for n in (32, 128, 512, 2048)]
    found = slope(cells, alpha=0.05)
    assert found.value == pytest.approx(-1.0, abs=1e-12)
    assert [s.value for s in local_slopes(cells, alpha=0.05)] == pytest.approx([-1.0] * 3, abs=1e-12)
    # equal relative errors r at x, x + h, x + 2h: the slope's standard error is r/(h sqrt 2)
    assert found.half_width == pytest.approx(1.959964 * (0.01 / 3) / (math.log(4) * math.sqrt(2)), rel=1e-6, abs=0)


def test_no_slope_without_signal_or_through_zero() -> None:
    lost = slope([cell(32, -0.1), cell(128, -0.03), cell(512, -0.002)], alpha=0.05)
    assert lost.dropped == (512,)
    assert lost.value == pytest.approx(math.log(0.3) / math.log(4), abs=1e-12)
    assert math.isnan(slope([cell(32, -0.1), cell(128, 0.03)], alpha=0.05).value)
    assert math.isnan(slope([cell(32, -0.1)], alpha=0.05).value)


def test_penalties_compare_equal_widths() -> None:
    found = head_penalty(cell(32, -0.1, 3e-3), cell(32, -0.3, 4e-3, heads=4))
    assert (found.value, found.standard_error) == pytest.approx((-0.2, 5e-3), abs=1e-15)
    with pytest.raises(InvalidInput):
        head_penalty(cell(32, -0.1), cell(64, -0.3, heads=4))
    with pytest.raises(InvalidInput):
        estimate(np.array([1.0]))
    with pytest.raises(InvalidInput):
        estimate(np.array([1.0, np.nan, 2.0]))


# --- the public table ---------------------------------------------------------------------------------------------

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
    data = json.loads(json.dumps(found.as_json()))
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
    shrinks = {}
    for name in ("ntk", "mean_field"):
        options = SMALL | {
            "parametrisation": name,
            "widths": (128, 512),
            "labels": 2 * EXAMPLE.labels,
            "relative_residual": 1e-3,
        }
        narrow, wide = (c.correction.value for c in finite_width_table(**options, quantities=("gap",)).cells)
        shrinks[name] = wide / narrow
    assert shrinks["ntk"] < 0.45
    assert shrinks["mean_field"] > 0.8


def test_images_and_depth_have_tables() -> None:
    options = SMALL | {"widths": (32,), "heads": (1,)}
    images = options | {"train": SIGNALS.train, "test": SIGNALS.test, "labels": None, "filter_size": (1, 3)}
    found = finite_width_table(**images)
    assert found.limits["rnd"] == pytest.approx(image_limit(SIGNALS).variance, rel=1e-12, abs=0)
    assert abs(found.cells[0].total.value) < 0.5
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


def test_repeated_inputs_and_full_disks_have_typed_errors(tmp_path: Path) -> None:
    with pytest.raises(SingularGram):
        finite_width_table(**SMALL | {"train": EXAMPLE.train[[0, 0, 1]], "labels": None})
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        finite_width_table(**SMALL, out=tmp_path / "file")


# --- the checks ---------------------------------------------------------------------------------------------------


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


def test_bad_image_settings_are_refused() -> None:
    for change in (
        {"test": SIGNALS.test[:, :, :4]},
        {"train": SIGNALS.train[0]},
        {"activation": "tanh"},
        {"weight_scale": (1.5, 1.5, 1.5)},
    ):
        with pytest.raises(InvalidInput):
            ImageSetting(**vars(SIGNALS) | change)


# --- the record of the standard budget ----------------------------------------------------------------------------


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
