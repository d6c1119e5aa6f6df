"""The tables of `image_comparison.py`: means over seeds, paired differences with Student intervals, and the signs that were expected."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from image_methods import METHODS, SCORES
from image_sets import CLEAN, PHOTOGRAPHS

from nonvacuous.numerics.intervals import multiplier
from nonvacuous.numerics.metrics import CORRUPTIONS

ALPHA = 0.05
SPOILED = "spoiled"
# what secondary accounts of Wenger et al. 2025 report of larger images and networks, as signs: the first has the smaller score.
# Written down before the first run.
EXPECTED: tuple[tuple[str, str, str, str], ...] = (
    ("ensemble", "plain", CLEAN, "error"),
    *((method, "plain", CLEAN, "log loss") for method in ("temperature scaling", "ensemble", "IBVI")),
    *((method, "plain", CLEAN, "calibration error") for method in ("temperature scaling", "ensemble", "IBVI")),
    *(("IBVI", method, SPOILED, "error") for method in ("plain", "last-layer Laplace", "mean-field KL")),
    *(
        (method, "plain", SPOILED, score)
        for score in ("log loss", "calibration error")
        for method in ("temperature scaling", "ensemble", "IBVI")
    ),
    *(("IBVI", "ensemble", SPOILED, score) for score in ("log loss", "calibration error")),
)
VERDICTS = {-1: "as expected", 1: "opposite", None: "undecided"}


@dataclass(frozen=True)
class Difference:
    """Mean over the seeds of first - second, half the width of its 95 percent Student interval, and the seeds' own values."""

    first: str
    second: str
    images: str
    score: str
    mean: float
    half_width: float
    each: tuple[float, ...]

    @property
    def sign(self) -> int | None:
        """Of the difference, None where the interval contains 0."""
        return None if not abs(self.mean) > self.half_width else int(math.copysign(1, self.mean))


def values(rows: Iterable[dict[str, Any]]) -> dict[tuple[str, str, str], dict[int, float]]:
    """By (method, images, score) and seed; images: clean, spoiled (mean over kinds and severities), each kind (over severities), photographs."""
    found: dict[tuple[str, str, str], dict[int, float]] = {}
    for row in rows:
        sets = row["scores"]
        groups = {CLEAN: [CLEAN], PHOTOGRAPHS: [PHOTOGRAPHS], SPOILED: [s for s in sets if s.split()[0] in CORRUPTIONS]}
        groups |= {kind: [s for s in sets if s.split()[0] == kind] for kind in CORRUPTIONS}
        for images, members in groups.items():
            for score in sets[members[0]]:
                mean = float(np.mean([sets[member][score] for member in members]))
                found.setdefault((row["name"], images, score), {})[row["seed"]] = mean
    return found


def difference(found: dict[Any, dict[int, float]], first: str, second: str, images: str, score: str) -> Difference:
    """Paired over the seeds."""
    a, b = found[first, images, score], found[second, images, score]
    each = np.array([a[seed] - b[seed] for seed in sorted(a)])
    n = len(each)
    spread = float(each.std(ddof=1)) / math.sqrt(n)
    half = multiplier(degrees=n - 1, alpha=ALPHA) * spread
    return Difference(first, second, images, score, float(each.mean()), half, tuple(map(float, each)))


def summary(rows: list[dict[str, Any]], chosen: dict[str, Any], budget: str) -> dict[str, Any]:
    """Everything that the tables show, as plain data."""
    found = values(rows)
    # each kind's differences follow from the seeds' own values below
    whole = (CLEAN, SPOILED, PHOTOGRAPHS)
    keys = [(images, score) for name, images, score in found if name == "plain" and images in whole]
    pairs = [(m, "plain") for m in METHODS[1:]] + [("IBVI", m) for m in METHODS[1:] if m != "IBVI"]
    differences = [difference(found, a, b, *key) for a, b in pairs for key in keys]
    expected = [difference(found, *entry) for entry in EXPECTED]
    dates, environments = sorted(row["date"] for row in rows), [row["environment"] for row in rows]
    return {
        "facts": {
            "budget": budget,
            "plan": rows[0]["plan"],
            "images (sha256, first 16 digits)": rows[0]["data"],
            "device": sorted({row["device"] for row in rows}),
            "dates": [dates[0], dates[-1]],
            "environment": environments[0],
            "git": sorted({str(e["git"]) for e in environments}),
        },
        "candidates": chosen,
        "found": {f"{row['name']}, seed {row['seed']}": row["found"] for row in rows},
        "means": [
            {"method": m, "images": i, "score": s, "mean": float(np.mean(list(v.values()))), "seeds": v}
            for (m, i, s), v in found.items()
        ],
        "differences": [asdict(d) | {"sign": d.sign} for d in differences],
        "expected signs": [asdict(d) | {"verdict": VERDICTS[d.sign]} for d in expected],
    }


def shared_starts(candidates: dict[str, Any]) -> str:
    """What the networks' training and IBVI's have in common, in words."""
    same = candidates["network"]["parametrisation"] == candidates["IBVI"]["parametrisation"]
    starts = "start at the same means," if same else "have different parametrisations, so different starts;"
    return f"With one seed the plain network and IBVI {starts} they see the same images in the same batches."


def text(content: dict[str, Any]) -> str:
    """The record in Markdown."""
    content = json.loads(json.dumps(content))  # what is shown is what is stored
    facts, plan = content["facts"], content["facts"]["plan"]
    means = {(e["method"], e["images"], e["score"]): e["mean"] for e in content["means"]}
    gaps = {(e["first"], e["second"], e["images"], e["score"]): e for e in content["differences"]}
    n, libraries = len(plan["seeds"]), ", ".join(f"{k} {v}" for k, v in facts["environment"]["libraries"].items())
    lines = [
        f"# Probabilities for images: eight methods at one budget ({facts['budget']})",
        "",
        f"Written by `benchmarks/image_comparison.py`. {facts['dates'][0]} to {facts['dates'][-1]}; {', '.join(facts['device'])}; git {', '.join(facts['git'])}; {libraries}.",
        "",
        f"LeNet-5, float32, {plan['train']} training, {plan['validation']} validation and {plan['test']} test images (file {facts['images (sha256, first 16 digits)']}); {plan['epochs']} epochs of batches of "
        f"{plan['batch_size']}, SGD with momentum 0.9, cosine schedule; {n} seeds. IBVI: rank {plan['rank']} on the first and last layer, {plan['test_samples']} test draws. KL: diagonal on all "
        f"layers, {plan['test_samples']} draws. Ensemble: {plan['members']} networks, {plan['members']} times the training. Laplace: prior precision by evidence unless said otherwise, {plan['laplace_samples']} draws.",
        "",
        "Parametrisation and learning rate by the log loss on validation images at a seed of its own: "
        + "; ".join(
            f"{family} {v['parametrisation']} {v['learning rate']:g} ("
            + ", ".join(f"{r}: {'diverged' if x is None else f'{x:.4f}'}" for r, x in v["validation losses"].items())
            + ")"
            for family, v in content["candidates"].items()
        )
        + ".",
        "",
        shared_starts(content["candidates"]),
        "",
        "Seeds differ in the training and validation images, the start and the batches; test images, spoiled images and photographs are the same for all. The intervals do not contain the sampling of the test images. "
        f"Spoiled: mean over {', '.join(CORRUPTIONS)}, severities {', '.join(map(str, plan['severities']))}. Calibration error: 15 equal bins of confidence. AUROC: of predictive entropy, against the clean images.",
        "",
        "## Means over the seeds",
        "",
        "| method | "
        + " | ".join(f"{i} {s}" for i in (CLEAN, SPOILED) for s in SCORES)
        + " | AUROC spoiled | AUROC photographs |",
        "|---|" + "---|" * (2 * len(SCORES) + 2),
    ]
    for method in METHODS:
        cells = [means[method, i, s] for i in (CLEAN, SPOILED) for s in SCORES]
        cells += [means[method, i, "AUROC"] for i in (SPOILED, PHOTOGRAPHS)]
        lines.append(f"| {method} | " + " | ".join(f"{value:.4f}" for value in cells) + " |")
    for kind in CORRUPTIONS:
        lines += ["", f"### {kind}", "", "| method | " + " | ".join((*SCORES, "AUROC")) + " |", "|---|" + "---|" * 5]
        lines += [
            f"| {m} | " + " | ".join(f"{means[m, kind, s]:.4f}" for s in (*SCORES, "AUROC")) + " |" for m in METHODS
        ]
    lines += [
        "",
        "## Paired differences",
        "",
        f"Mean over {n} seeds ± half the 95 percent Student interval of {n - 1} degrees of freedom, each on its own (no correction for their number); bold where it excludes 0.",
        "",
    ]
    shown = [(i, s) for i in (CLEAN, SPOILED) for s in SCORES] + [(SPOILED, "AUROC"), (PHOTOGRAPHS, "AUROC")]
    lines += ["| first - second | " + " | ".join(f"{i} {s}" for i, s in shown) + " |", "|---|" + "---|" * len(shown)]
    for first, second in dict.fromkeys((a, b) for a, b, _, _ in gaps):
        cells = []
        for key in shown:
            gap = gaps[first, second, *key]
            number = f"{gap['mean']:+.4f} ± {gap['half_width']:.4f}"
            cells.append(number if gap["sign"] is None else f"**{number}**")
        lines.append(f"| {first} - {second} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "## Signs that were expected",
        "",
        "What secondary accounts of the paper report of larger images and networks, written down before the first run: the first method has the smaller score. "
        + ", ".join(f"{sum(e['verdict'] == v for e in content['expected signs'])} {v}" for v in VERDICTS.values())
        + ".",
        "",
        "| first | second | images | score | difference | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for e in content["expected signs"]:
        number = f"{e['mean']:+.4f} ± {e['half_width']:.4f}"
        verdict = e["verdict"] if e["verdict"] == "as expected" else f"**{e['verdict']}**"
        lines.append(f"| {e['first']} | {e['second']} | {e['images']} | {e['score']} | {number} | {verdict} |")
    return "\n".join(lines) + "\n"
