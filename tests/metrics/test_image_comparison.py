"""The comparison on images: stopped anywhere it ends in the same rows, and its tables are what the rows say."""

import json
import math
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_digits

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def scripts():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import image_comparison
        import image_methods
        import image_sets
        import image_tables

        yield image_comparison, image_methods, image_sets, image_tables
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def images(scripts, tmp_path_factory):
    digits = load_digits()
    large = np.pad(np.repeat(np.repeat(digits.images[:400] / 16, 3, 1), 3, 2), ((0, 0), (2, 2), (2, 2)))
    path = tmp_path_factory.mktemp("images") / "digits.npz"
    np.savez(path, images=np.round(255 * large).astype(np.uint8), labels=digits.target[:400].astype(np.uint8))
    return scripts[2].read(path)


@pytest.fixture(scope="module")
def finished(scripts, images, tmp_path_factory):
    """The whole run, once."""
    from torch import nn

    comparison, methods, _, _ = scripts
    candidates = tuple((f, *c) for f in methods.FAMILIES for c in (("mup", 0.01), ("sp", 1e9)))
    plan = comparison.Plan(150, 100, 120, 3, (0, 1), (2, 4), candidates, 2, 2, 32, 4, 10)
    with pytest.MonkeyPatch.context() as patch:
        small = lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 12), nn.ReLU(), nn.Linear(12, 10))  # noqa: E731
        patch.setattr(methods, "lenet", small)
        run = comparison.Run(plan, images, tmp_path_factory.mktemp("whole"), "cpu", say=lambda text: None)
        yield run, *comparison.work(run)


def test_every_method_has_a_row_for_every_seed_and_divergence_is_a_finding(scripts, finished):
    _, methods, sets, _ = scripts
    _, chosen, rows = finished
    assert {(row["name"], row["seed"]) for row in rows} == {(m, s) for m in methods.METHODS for s in (0, 1)}
    for family in methods.FAMILIES:
        assert chosen[family]["learning rate"] == 0.01
        assert chosen[family]["validation losses"]["sp 1e+09"] is None
    by = {(row["name"], row["seed"]): row["scores"] for row in rows}
    for (name, seed), scores in by.items():
        assert set(scores) == {"clean", "photographs"} | {
            f"{k} {s}" for k in ("noise", "blur", "rotation", "contrast") for s in (2, 4)
        }
        assert "error" not in scores[sets.PHOTOGRAPHS]
        assert 0 <= scores[sets.PHOTOGRAPHS]["AUROC"] <= 1
        # one network: a temperature moves no class
        if name == "temperature scaling":
            assert all(scores[k]["error"] == by["plain", seed][k]["error"] for k in scores if k != sets.PHOTOGRAPHS)


def test_splits_share_the_test_images_and_nothing_else(scripts, finished):
    run, _, _ = finished
    one, two = run.split(0), run.split(1)
    flat = [{part.numpy().tobytes() for part in (s.train[0] * 0 + s.train[0])} for s in (one, two)]
    assert len(flat[0] & flat[1]) < len(flat[0])
    pixels = run.images.pixels
    for split in (one, two):
        assert abs(float(split.train[0].mean())) < 1e-5
        assert abs(float(split.train[0].std(correction=0)) - 1) < 1e-5
        assert split.labels.tolist() == run.images.labels[-120:].tolist()
        # back to pixels, by the constants of this split: no training or validation image is a test image's row
        scale = (pixels[-120:].max() - pixels[-120:].min()) / float(
            split.tests["clean"].max() - split.tests["clean"].min()
        )
        back = split.tests["clean"].numpy()[:, 0] * scale
        np.testing.assert_allclose(back - back.min(), pixels[-120:] - pixels[-120:].min(), atol=1e-5)
    assert one.tests["photographs"].shape[1:] == (1, 28, 28)


def test_a_run_that_is_stopped_again_and_again_ends_in_the_same_rows(scripts, finished, tmp_path):
    comparison = scripts[0]
    run, chosen, rows = finished
    left = 0

    @dataclass(frozen=True, eq=False)
    class Impatient(comparison.Run):
        def tick(self, event=None):
            nonlocal left
            left -= 1
            if left < 0:
                raise comparison.OutOfTime

    small = replace(run.plan, seeds=(1,))
    stops = 0
    while True:
        left = 7
        try:
            again = comparison.work(Impatient(small, run.images, tmp_path, "cpu", say=lambda text: None))
            break
        except comparison.OutOfTime:
            stops += 1
            assert stops < 40
    assert stops >= 3
    assert again[0] == chosen
    whole = {row["name"]: row for row in rows if row["seed"] == 1}
    for row in again[1]:
        assert row["scores"] == whole[row["name"]]["scores"]
        assert row["found"] == whole[row["name"]]["found"]
    with pytest.raises(SystemExit, match="another plan"):
        comparison.work(comparison.Run(replace(small, rank=3), run.images, tmp_path, "cpu", say=lambda text: None))


def test_the_tables_are_what_the_rows_say(scripts, finished):
    _, methods, _, tables = scripts
    _, chosen, rows = finished
    content = tables.summary(rows, chosen, "test")
    by = {(row["name"], row["seed"]): row["scores"] for row in rows}

    def value(method, seed, images, score):
        names = [k for k in by[method, seed] if k == images or k.startswith(f"{images} ")]
        if images == "spoiled":
            names = [k for k in by[method, seed] if k not in ("clean", "photographs")]
            assert len(names) == 8
        return sum(by[method, seed][k][score] for k in names) / len(names)

    for entry in content["means"]:
        expected = sum(value(entry["method"], s, entry["images"], entry["score"]) for s in range(2)) / 2
        assert entry["mean"] == pytest.approx(expected, rel=1e-12, abs=1e-15)
    # 7 against plain, 6 against IBVI; 5 scores of clean images, 6 of spoiled ones, 2 of photographs
    assert len(content["differences"]) == (7 + 6) * (5 + 6 + 2)
    for entry in content["differences"] + content["expected signs"]:
        each = [
            value(entry["first"], s, entry["images"], entry["score"])
            - value(entry["second"], s, entry["images"], entry["score"])
            for s in range(2)
        ]
        mean = sum(each) / 2
        deviation = math.sqrt(sum((e - mean) ** 2 for e in each))
        assert entry["mean"] == pytest.approx(mean, rel=1e-10, abs=1e-15)
        half = stats.t.ppf(0.975, 1) * deviation / math.sqrt(2)
        assert entry["half_width"] == pytest.approx(half, rel=1e-9, abs=1e-15)
        sign = 0 if abs(mean) <= half else int(math.copysign(1, mean))
        if "verdict" in entry:
            assert entry["verdict"] == {-1: "as expected", 1: "opposite", 0: "undecided"}[sign]
        else:
            assert (entry["sign"] or 0) == sign
    page = tables.text(json.loads(json.dumps(content)))
    for method in methods.METHODS:
        mean = next(
            e["mean"] for e in content["means"] if (e["method"], e["images"], e["score"]) == (method, "clean", "error")
        )
        assert f"| {method} | {mean:.4f} |" in page
    assert "diverged" in page
    assert str(BENCHMARKS.parent) not in page


def test_the_committed_record_is_consistent(scripts):
    comparison, methods, _, tables = scripts
    record = BENCHMARKS / "records" / "image_comparison_standard"
    content = json.loads(record.with_suffix(".json").read_text(encoding="utf-8"))
    assert tables.text(content) == record.with_suffix(".md").read_text(encoding="utf-8")
    plan = json.loads(json.dumps(asdict(comparison.BUDGETS["standard"])))
    assert content["facts"]["plan"] == plan
    values = {(e["method"], e["images"], e["score"]): e["seeds"] for e in content["means"]}
    assert {key[0] for key in values} == set(methods.METHODS)
    for e in content["differences"] + content["expected signs"]:
        a, b = (values[name, e["images"], e["score"]] for name in (e["first"], e["second"]))
        each = [a[seed] - b[seed] for seed in sorted(a)]
        np.testing.assert_allclose(e["each"], each, rtol=0, atol=1e-15)
        half = stats.t.ppf(0.975, len(each) - 1) * np.std(each, ddof=1) / math.sqrt(len(each))
        assert e["half_width"] == pytest.approx(half, rel=1e-9, abs=1e-15)


def test_the_command_says_what_is_missing(scripts, monkeypatch, capsys, tmp_path):
    main = scripts[0].main
    monkeypatch.delenv("NONVACUOUS_DATA", raising=False)
    assert main([]) == 0
    assert "pass --data" in capsys.readouterr().out
    assert main(["--data", str(tmp_path / "none.npz")]) == 3
    np.savez(tmp_path / "bad.npz", images=np.zeros((3, 4)), labels=np.zeros(3))
    with pytest.raises(SystemExit, match="bytes"):
        main(["--data", str(tmp_path / "bad.npz")])
