"""Eight ways to get probabilities for images, at the same budget of training: python benchmarks/image_comparison.py --data FILE.npz --out OUT
[--budget quick|standard|full] [--device D] [--time-limit SECONDS] [--record RECORD].

Plain network, temperature scaling, ensemble of plain networks, IBVI, IBVI with temperature scaling, last-layer Laplace (prior by evidence,
or by held-out images), mean-field variational inference with a KL divergence. LeNet-5, the same epochs, batches and schedule;
parametrisation and learning rate of each family (network, IBVI, KL) from one list, chosen by the log loss on validation images at a seed
that is not reported; the same parametrisation has the same starts. Scores on test images, on spoiled copies of them, and on photographs.

One file for each method and seed under OUT; a run that is stopped, or out of time (exit code 75), goes on where it was: inside a training,
after its last epoch. When nothing is left it writes OUT/summary.{json,md}, and RECORD.{json,md}. FILE has `images` (N, 28, 28) of bytes and
`labels` (N,). Without --data: the MNIST test images in the folder named by NONVACUOUS_DATA, skipped where there is none.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from datasets import folder
from image_methods import FAMILIES, GROUPS, fitted, scores, trained, validation_loss
from image_sets import Images, Split, read, split
from image_tables import summary, text

from nonvacuous.numerics.provenance import environment
from nonvacuous.numerics.store import write_atomically
from nonvacuous.theory.errors import NumericalFailure

OUT_OF_TIME = 75


@dataclass(frozen=True)
class Plan:
    """Sizes of one budget. candidates: (family, parametrisation, learning rate); seeds: reported; tuning_seed: for the choice among a family's
    candidates, not reported."""

    train: int
    validation: int
    test: int
    epochs: int
    seeds: tuple[int, ...]
    severities: tuple[int, ...]
    candidates: tuple[tuple[str, str, float], ...]
    members: int = 5
    rank: int = 10
    batch_size: int = 128
    test_samples: int = 32
    laplace_samples: int = 200
    tuning_seed: int = 1000


RATES = {"sp": (0.001, 0.003, 0.01, 0.03, 0.1), "mup": (0.001, 0.003, 0.01, 0.03, 0.1)}
EVERY = tuple((family, name, rate) for family in FAMILIES for name, rates in RATES.items() for rate in rates)
# the candidates of the standard budget are those near the best of shorter trainings at the tuning seed
NEAR = {
    "network": {"sp": (0.01, 0.03), "mup": (0.01, 0.03)},
    "IBVI": {"mup": (0.01, 0.03)},
    "mean-field KL": {"sp": (0.003, 0.01), "mup": (0.003, 0.01)},
}
FEW = tuple((family, name, rate) for family, near in NEAR.items() for name, rates in near.items() for rate in rates)
ONE = tuple((family, "mup", 0.01) for family in FAMILIES)
BUDGETS = {
    "quick": Plan(1000, 300, 500, 4, (0, 1), (3,), ONE, 2, batch_size=32, test_samples=8, laplace_samples=50),
    "standard": Plan(6000, 2000, 2000, 15, (0, 1, 2), (2, 4), FEW),
    "full": Plan(6000, 2000, 2000, 200, (0, 1, 2), (1, 2, 3, 4, 5), EVERY, test_samples=128),
}


class OutOfTime(Exception):
    """The limit is reached; everything done so far is kept."""


@dataclass(frozen=True, eq=False)
class Run:
    """One plan on one data set: where its files lie, and until when it may work (seconds of `time.monotonic`)."""

    plan: Plan
    images: Images
    out: Path
    device: str
    until: float = float("inf")
    say: Callable[[str], None] = print

    def tick(self, event: Any = None) -> None:
        """Raises `OutOfTime`."""
        if time.monotonic() > self.until:
            raise OutOfTime

    def split(self, seed: int) -> Split:
        p = self.plan
        sizes = {"train": p.train, "validation": p.validation, "test": p.test, "severities": p.severities}
        return split(self.images, seed=seed, device=self.device, **sizes)  # type: ignore[arg-type]

    def path(self, name: str, seed: int) -> Path:
        return self.out / "rows" / f"{name.replace(',', '').replace(' ', '-')}-{seed}.json"

    def stored(self, name: str, seed: int) -> dict[str, Any] | None:
        """The row, if there is one of this plan. Rows of other plans are refused, not mixed."""
        path = self.path(name, seed)
        if not path.is_file():
            return None
        row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if row["plan"] != json.loads(json.dumps(asdict(self.plan))) or row["data"] != self.images.digest:
            raise SystemExit(f"{path} is of another plan or other images: choose an empty --out.")
        return row

    def store(self, name: str, seed: int, content: dict[str, Any]) -> None:
        device = torch.cuda.get_device_name(self.device) if self.device.startswith("cuda") else "cpu"
        row = {"name": name, "seed": seed, "plan": asdict(self.plan), "data": self.images.digest, "device": device}
        row |= {"date": datetime.now(UTC).isoformat(timespec="seconds"), "environment": environment(), **content}
        write_atomically(self.path(name, seed), (json.dumps(row, indent=1, allow_nan=False) + "\n").encode())
        self.say(f"{name}, seed {seed}: done")


def tune(run: Run) -> dict[str, dict[str, Any]]:
    """For each family the candidate of smallest log loss on the validation images of the tuning seed, with all losses."""
    seed, states = run.plan.tuning_seed, run.out / "states"
    data: Split | None = None
    chosen = {}
    for family in FAMILIES:
        losses: dict[tuple[str, float], float | None] = {}
        for candidate in [entry[1:] for entry in run.plan.candidates if entry[0] == family]:
            name = f"tuning {family} {candidate[0]} {candidate[1]:g}"
            row = run.stored(name, seed)
            if row is None:
                run.tick()
                data = data or run.split(seed)
                found: dict[str, Any] = {"validation loss": None}
                # a training that diverges is a finding, not a failure of the benchmark
                try:
                    posterior = trained(family, data, run.plan, candidate, seed, states, run.tick)
                    loss = validation_loss(family, posterior, data)
                    found |= {"validation loss": loss} if math.isfinite(loss) else {}
                except NumericalFailure as error:
                    found["failure"] = str(error)
                run.store(name, seed, found)
                row = found
            losses[candidate] = row["validation loss"]
        finite = {candidate: loss for candidate, loss in losses.items() if loss is not None}
        if not finite:
            raise SystemExit(f"{family}: every candidate of the plan diverged.")
        best = min(finite, key=lambda candidate: finite[candidate])
        told = {f"{name} {rate:g}": loss for (name, rate), loss in losses.items()}
        chosen[family] = {"parametrisation": best[0], "learning rate": best[1], "validation losses": told}
    return chosen


def work(run: Run) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Everything that is not there yet; the choice of learning rates, and the rows of all methods and seeds. Raises `OutOfTime`."""
    chosen = tune(run)
    for seed in run.plan.seeds:
        data: Split | None = None
        for group, methods in GROUPS.items():
            if all(run.stored(method, seed) for method in methods):
                continue
            run.tick()
            data = data or run.split(seed)
            choice = chosen["network" if group == "ensemble" else group]
            candidate = choice["parametrisation"], choice["learning rate"]
            for method, draws, found in fitted(group, data, run.plan, candidate, seed, run.out / "states", run.tick):
                if run.stored(method, seed) is None:
                    run.store(method, seed, {"candidate": candidate, "found": found, "scores": scores(draws, data)})
                run.tick()
    rows = [run.stored(method, seed) for seed in run.plan.seeds for methods in GROUPS.values() for method in methods]
    return chosen, [row for row in rows if row is not None]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--budget", choices=tuple(BUDGETS), default="quick")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--time-limit", type=float, default=float("inf"), help="seconds")
    parser.add_argument("--out", type=Path, default=Path("image-comparison"))
    parser.add_argument("--record", type=Path, help="write RECORD.json and RECORD.md as well")
    options = parser.parse_args(arguments)
    data = options.data or (folder() / "mnist_t10k.npz" if folder() else None)
    if data is None or not data.is_file():
        print("No images: pass --data FILE.npz.")
        return 3 if options.data else 0
    torch.set_num_threads(1)  # two can be slower than one on small machines
    until = time.monotonic() + options.time_limit
    run = Run(BUDGETS[options.budget], read(data), options.out / options.budget, options.device, until)
    try:
        chosen, rows = work(run)
    except OutOfTime:
        print("Out of time: the same command goes on.")
        return OUT_OF_TIME
    content = summary(rows, chosen, options.budget)
    for target in filter(None, (run.out / "summary", options.record)):
        write_atomically(target.with_suffix(".json"), (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
        write_atomically(target.with_suffix(".md"), text(content).encode())
    print(text(content))
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
