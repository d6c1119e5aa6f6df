"""One training step of IBVI against one of the deterministic network: time and peak memory, at rank 10 on the first and last layer.

python benchmarks/ibvi_step.py [--models lenet,resnet] [--batch 128] [--repeats 5] [--clock cpu] [--json]

Both are trained by SGD with momentum on one core, the network by the usual loop over its own parameters, IBVI by `training` as `fit` calls
it. Steps of the two alternate; medians of each and of their paired ratios are printed. `--clock cpu` counts processor time, which other
work on the machine disturbs less. Memory is the peak of what torch's allocator holds from before the network is built to the end of the
second step (activations, weights, gradients, momentum; IBVI's private copy of the model too), each in a process of its own; the matrix
library's own scratch space is in neither.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nonvacuous.numerics.methods.ibvi import IBVIConfig
from nonvacuous.numerics.methods.variational_fit import prepared
from nonvacuous.numerics.variational.objective import SampledTerms
from nonvacuous.numerics.variational.training import Epoch, training

RANK = 10


class Block(nn.Module):
    """Two 3 x 3 convolutions with group norm and a shortcut."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(into, out, 3, stride, 1, bias=False), nn.GroupNorm(32, out)
        self.second, self.second_norm = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.GroupNorm(32, out)
        same = into == out and stride == 1
        self.shortcut: nn.Module = nn.Identity()
        if not same:
            self.shortcut = nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False), nn.GroupNorm(32, out))

    def forward(self, x: Tensor) -> Tensor:
        h = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(self.second_norm(self.second(h)) + self.shortcut(x))


def lenet() -> nn.Module:
    """LeNet-5 on 28 x 28: 61,706 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def resnet() -> nn.Module:
    """ResNet-18 on 32 x 32 with group norm: 11,173,962 parameters."""
    widths = (64, 128, 256, 512)
    blocks: list[nn.Module] = []
    before = 64
    for index, width in enumerate(widths):
        blocks += [Block(before, width, 1 if index == 0 else 2), Block(width, width, 1)]
        before = width
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.GroupNorm(32, 64), nn.ReLU(), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10)
    )  # fmt: skip


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "lenet": (lenet, (1, 28, 28)),
    "resnet": (resnet, (3, 32, 32)),
}


def plain_steps(make: Callable[[], nn.Module], x: Tensor, y: Tensor) -> Iterator[float]:
    """The deterministic network, trained by its own loop."""
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    while True:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        yield float(loss.detach())


def ibvi_steps(make: Callable[[], nn.Module], x: Tensor, y: Tensor) -> Iterator[float]:
    """What `fit` runs, one batch for each epoch."""
    config = IBVIConfig("softmax", epochs=10**6, batch_size=len(x), learning_rate=1e-6, rank=RANK)
    found, x, y = prepared(make().eval(), (x, y), config, IBVIConfig, 0, "cpu")
    terms = SampledTerms(found, config.objective(), seed=0)
    for event in training(found, found.start(0), x, y, terms, config.descent(), seed=0):
        if isinstance(event, Epoch):
            yield event.objective


STEPS = {"plain": plain_steps, "ibvi": ibvi_steps}


def batch_of(name: str, size: int) -> tuple[Tensor, Tensor]:
    stream = torch.Generator().manual_seed(0)
    return torch.randn(size, *MODELS[name][1], generator=stream), torch.randint(10, (size,), generator=stream)


def times(name: str, size: int, repeats: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Seconds of `repeats` steps of each kind, alternating, after two that are not counted. Short steps are counted five at a time."""
    x, y = batch_of(name, size)
    runs = {kind: make(MODELS[name][0], x, y) for kind, make in STEPS.items()}
    for run in runs.values():
        next(run), next(run)
    many = 5 if name == "lenet" else 1
    found: dict[str, list[float]] = {kind: [] for kind in runs}
    for _ in range(repeats):
        for kind, run in runs.items():
            began = clock()
            for _ in range(many):
                next(run)
            found[kind].append((clock() - began) / many)
    return found


def peak_bytes(name: str, size: int, kind: str) -> int:
    """Largest total that torch's allocator held, from before the network to the end of its second step."""
    x, y = batch_of(name, size)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        run = STEPS[kind](MODELS[name][0], x, y)
        next(run), next(run)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    return max(int(event["args"]["Total Allocated"]) for event in events if event.get("name") == "[memory]")


def peak_in_a_process(name: str, size: int, kind: str) -> int:
    command = [sys.executable, __file__, "--models", name, "--batch", str(size), "--peak", kind]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def measure(name: str, size: int, repeats: int, clock: Callable[[], float]) -> dict[str, Any]:
    found = times(name, size, repeats, clock)
    ratios = sorted(b / a for a, b in zip(found["plain"], found["ibvi"], strict=True))
    memory = {kind: peak_in_a_process(name, size, kind) for kind in STEPS}
    return {
        "model": name,
        "batch": size,
        "plain_ms": 1e3 * statistics.median(found["plain"]),
        "ibvi_ms": 1e3 * statistics.median(found["ibvi"]),
        "time_ratio": statistics.median(ratios),
        "time_ratio_range": (ratios[0], ratios[-1]),
        "plain_mib": memory["plain"] / 2**20,
        "ibvi_mib": memory["ibvi"] / 2**20,
        "memory_ratio": memory["ibvi"] / memory["plain"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="lenet,resnet")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peak", choices=tuple(STEPS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.peak:
        print(peak_bytes(options.models, options.batch, options.peak))
        return
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    rows = [measure(name, options.batch, options.repeats, clock) for name in options.models.split(",")]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(
        f"{'model':8} {'plain ms':>9} {'IBVI ms':>9} {'ratio':>7} {'range':>13} {'plain MiB':>10} {'IBVI MiB':>9} {'ratio':>7}"
    )
    for row in rows:
        low, high = row["time_ratio_range"]
        print(
            f"{row['model']:8} {row['plain_ms']:9.1f} {row['ibvi_ms']:9.1f} {row['time_ratio']:7.3f} {low:6.2f}-{high:<6.2f} "
            f"{row['plain_mib']:10.1f} {row['ibvi_mib']:9.1f} {row['memory_ratio']:7.3f}"
        )


if __name__ == "__main__":
    main()
