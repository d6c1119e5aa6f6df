"""The kernel of a deep CNN with global average pooling against neural-tangents: python benchmarks/convolution_kernel.py [--images N] [--batch B]
[--workers W] [--json].

Eight 3 x 3 convolutions (ReLU, zero padding), global average pooling and a dense readout; N images of 32 x 32 x 3, float64, NNGP and NTK. Each in a process
of its own, one after the other, held to the same W cores: seconds of the call (neural-tangents' compilation included, as it is paid once per
call of a new shape), and peak memory beyond what was held before it. neural-tangents goes through B images at a time; all 20 in one call were killed
at 24 GiB. The default of 4 images takes it about 10 s; --images 20 is the full size (minutes).
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import argparse  # noqa: E402 (the environment comes first)
import json  # noqa: E402 (the environment comes first)
import resource  # noqa: E402 (the environment comes first)
import subprocess  # noqa: E402 (the environment comes first)
import sys  # noqa: E402 (the environment comes first)
import tempfile  # noqa: E402 (the environment comes first)
import time  # noqa: E402 (the environment comes first)
from collections.abc import Callable  # noqa: E402 (the environment comes first)
from pathlib import Path  # noqa: E402 (the environment comes first)
from typing import Any  # noqa: E402 (the environment comes first)

import numpy as np  # noqa: E402 (the environment comes first)

DEPTH, SW, SB, SHAPE = 8, 1.4, 0.1, (32, 32, 3)
PEOPLE = ("ours", "neural-tangents")


def ours(x: np.ndarray, batch: int, workers: int) -> Callable[[], Any]:
    from nonvacuous.numerics.kernels.architectures.pooling import convolutional_kernels

    return lambda: convolutional_kernels(
        x, depth=DEPTH, filter_size=3, padding="zero", readout="average", activation="relu", weight_scale=SW,
        bias_scale=SB, workers=workers,
    )  # fmt: skip


def theirs(x: np.ndarray, batch: int, workers: int) -> Callable[[], Any]:
    from nonvacuous.numerics.kernels.neural_tangents import neural_tangents, neural_tangents_kernels

    neural_tangents()
    from neural_tangents import stax

    layers = [
        part for _ in range(DEPTH) for part in (stax.Conv(1, (3, 3), padding="SAME", W_std=SW, b_std=SB), stax.Relu())
    ]
    _, _, kernel_fn = stax.serial(*layers, stax.GlobalAvgPool(), stax.Dense(1, W_std=SW, b_std=SB))
    return lambda: neural_tangents_kernels(kernel_fn, x, batch_size=batch)


def measure(who: str, images: int, batch: int, workers: int, folder: str) -> dict[str, float]:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:workers])
    run = (ours if who == "ours" else theirs)(np.random.default_rng(0).normal(size=(images, *SHAPE)), batch, workers)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin, used = time.perf_counter(), time.process_time()
    found = run()
    seconds, processor = time.perf_counter() - begin, time.process_time() - used
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    np.save(Path(folder, f"{who}.npy"), np.stack([found.nngp, found.ntk]))
    return {"seconds": seconds, "processor_seconds": processor, "peak_mib": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--batch", type=int, default=2, help="images at a time in neural-tangents; divides --images")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.add_argument("--measure", nargs=2, metavar=("WHO", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        who, folder = options.measure
        print(json.dumps(measure(who, options.images, options.batch, options.workers, folder)))
        return
    found: dict[str, Any] = {"images": options.images, "batch": options.batch, "workers": options.workers}
    with tempfile.TemporaryDirectory() as folder:
        for who in PEOPLE:
            command = [sys.executable, __file__, "--measure", who, folder, "--images", str(options.images)]
            command += ["--batch", str(options.batch), "--workers", str(options.workers)]
            found[who] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        one, other = (np.load(Path(folder, f"{who}.npy")) for who in PEOPLE)
    apart = ~np.eye(options.images, dtype=bool)  # on the diagonal their angles are rounded to 1e-8
    found["largest difference, different images"] = float((np.abs(one - other) / other.max())[:, apart].max())
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{options.images} images, {options.workers} cores; neural-tangents {options.batch} at a time")
    for who in PEOPLE:
        part = found[who]
        print(
            f"  {who}: {part['seconds']:.1f} s ({part['processor_seconds']:.1f} s of processor time), "
            f"{part['peak_mib']:.0f} MiB at its peak"
        )
    a, b = (found[who] for who in PEOPLE)
    print(
        f"  time ratio {a['seconds'] / b['seconds']:.2f}, memory ratio {a['peak_mib'] / b['peak_mib']:.2f}; kernels of different images differ by "
        f"{found['largest difference, different images']:.1e} of the largest entry"
    )


if __name__ == "__main__":
    main()
