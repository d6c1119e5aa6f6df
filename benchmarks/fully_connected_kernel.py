"""The ReLU tangent kernel against neural-tangents, side by side in one run: python benchmarks/fully_connected_kernel.py [N ...] [--threads T]
[--repeats R] [--tiled N] [--json].

Three hidden layers, N x 784 normal inputs, float64. Both compute NNGP and NTK; neural-tangents is jitted and warm. Times: one process held to T cores
(one thread each) that calls both in turn, medians and medians of processor time. Peak memory is that of a process that does nothing else, beyond
its memory just before the first kernel. Errors are relative, of the NTK, against 50-digit arithmetic at inputs 1e-1 to 1e-9 apart.
--tiled: the NTK alone of N x 784 (20000: 3 GB of result, about half a minute), its time and its peak memory beyond the result.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # ours takes threads over tiles instead

import argparse  # noqa: E402 (the environment comes first)
import json  # noqa: E402 (the environment comes first)
import resource  # noqa: E402 (the environment comes first)
import subprocess  # noqa: E402 (the environment comes first)
import sys  # noqa: E402 (the environment comes first)
import time  # noqa: E402 (the environment comes first)
from typing import Any  # noqa: E402 (the environment comes first)

import numpy as np  # noqa: E402 (the environment comes first)

SW, SB, FEATURES = 1.4, 0.1, 784
ARCHITECTURE = {"depth": 3, "activation": "relu", "weight_scale": SW, "bias_scale": SB}


def inputs(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, FEATURES))


def ours(n: int, threads: int) -> Any:
    from nonvacuous.numerics.kernels.gram import fully_connected_gram

    x = inputs(n)
    return lambda: fully_connected_gram(x, **ARCHITECTURE, threads=threads)


def theirs(n: int, threads: int) -> Any:
    from nonvacuous.numerics.kernels.neural_tangents import double_precision, neural_tangents

    neural_tangents()
    import jax
    from neural_tangents import stax

    layers = [part for _ in range(3) for part in (stax.Dense(1, W_std=SW, b_std=SB), stax.Relu())]
    _, _, kernel_fn = stax.serial(*layers, stax.Dense(1, W_std=SW, b_std=SB))

    def both(z: Any) -> Any:
        found = kernel_fn(z, None, ("nngp", "ntk"))
        return found.nngp, found.ntk

    with double_precision():
        function, x = jax.jit(both), jax.numpy.asarray(inputs(n))

    def run() -> Any:
        with double_precision():
            return jax.block_until_ready(function(x))

    return run


def hold(threads: int) -> None:
    """This process on so many cores; before jax starts its threads."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    if threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"


def times(n: int, threads: int, repeats: int) -> dict[str, dict[str, float]]:
    """In this process: median milliseconds of warm runs, both in turn."""
    hold(threads)
    runs = {"ours": ours(n, threads), "neural-tangents": theirs(n, threads)}
    found: dict[str, list[tuple[float, float]]] = {who: [] for who in runs}
    for run in runs.values():
        run()
    for _ in range(repeats):
        for who, run in runs.items():
            begin, used = time.perf_counter(), time.process_time()
            run()
            found[who].append((time.perf_counter() - begin, time.process_time() - used))
    return {
        who: {
            "median": 1e3 * float(np.median([wall for wall, _ in pairs])),
            "least": 1e3 * min(wall for wall, _ in pairs),
            "processor": 1e3 * float(np.median([used for _, used in pairs])),
        }
        for who, pairs in found.items()
    }


def peak(who: str, n: int, threads: int) -> float:
    """In this process: MiB of the first run, beyond what was held before."""
    hold(threads)
    run = (ours if who == "ours" else theirs)(n, threads)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def tiled(n: int, threads: int) -> dict[str, float]:
    """In this process: seconds of one run, and peak MiB beyond inputs and result."""
    from nonvacuous.numerics.kernels.gram import fully_connected_gram

    hold(threads)
    x = inputs(n)
    fully_connected_gram(x[:300], **ARCHITECTURE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    found = fully_connected_gram(x, **ARCHITECTURE, which="ntk", threads=threads)
    seconds = time.perf_counter() - begin
    rise = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"seconds": seconds, "result_mib": found.ntk.nbytes / 2**20, "beyond_mib": rise - found.ntk.nbytes / 2**20}


def errors() -> dict[str, float]:
    from nonvacuous.numerics.kernels.gram import fully_connected_gram
    from nonvacuous.numerics.kernels.neural_tangents import neural_tangents, neural_tangents_kernels
    from nonvacuous.theory.balls.dual_activations import fully_connected_pair

    neural_tangents()
    from neural_tangents import stax

    layers = [part for _ in range(3) for part in (stax.Dense(1, W_std=SW, b_std=SB), stax.Relu())]
    _, _, kernel_fn = stax.serial(*layers, stax.Dense(1, W_std=SW, b_std=SB))
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1, FEATURES))
    near = np.concatenate([x + 10.0**-k * rng.normal(size=x.shape) for k in range(1, 10)])
    exact = np.array(
        [
            float(
                fully_connected_pair(
                    x[0].tolist(), y.tolist(), activation="relu", weight_scale=(SW,) * 4, bias_scale=(SB,) * 4
                ).ntk.mid()
            )
            for y in near
        ]
    )
    return {
        "ours": float(np.abs(fully_connected_gram(x, near, **ARCHITECTURE).ntk[0] / exact - 1).max()),
        "neural-tangents": float(np.abs(neural_tangents_kernels(kernel_fn, x, near).ntk[0] / exact - 1).max()),
    }


def child(*arguments: object) -> Any:
    """What this file prints as JSON in a process of its own."""
    command = [sys.executable, __file__, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[500, 2000])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--tiled", type=int, metavar="N", help="also the NTK alone of N inputs, for example 20000")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "N"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        what, n = options.measure[0], int(options.measure[1])
        if what == "times":
            print(json.dumps(times(n, options.threads, options.repeats)))
        elif what == "tiled":
            print(json.dumps(tiled(n, options.threads)))
        else:
            print(json.dumps(peak(what, n, options.threads)))
        return
    settings = ("--threads", options.threads, "--repeats", options.repeats)
    found: dict[str, Any] = {"threads": options.threads, "sizes": []}
    for n in options.sizes:
        memory = {who: child("--measure", who, n, *settings) for who in ("ours", "neural-tangents")}
        found["sizes"].append({"n": n, "milliseconds": child("--measure", "times", n, *settings), "peak_mib": memory})
    found["relative error"] = errors()
    if options.tiled:
        found["tiled"] = {"n": options.tiled, **child("--measure", "tiled", options.tiled, *settings)}
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for row in found["sizes"]:
        print(f"{row['n']} x {FEATURES}, {options.threads} threads")
        a, b = (row["milliseconds"][who] for who in ("ours", "neural-tangents"))
        for kind in a:
            print(f"  {kind}: ours {a[kind]:.1f} ms, neural-tangents {b[kind]:.1f} ms, ratio {a[kind] / b[kind]:.2f}")
        a, b = (row["peak_mib"][who] for who in ("ours", "neural-tangents"))
        print(f"  peak memory: ours {a:.0f} MiB, neural-tangents {b:.0f} MiB, ratio {a / b:.2f}")
    print(
        "largest relative error: " + ", ".join(f"{name} {value:.1e}" for name, value in found["relative error"].items())
    )
    if options.tiled:
        part = found["tiled"]
        print(
            f"{part['n']} x {FEATURES}, NTK alone: {part['seconds']:.1f} s, {part['result_mib']:.0f} MiB of result, "
            f"{part['beyond_mib']:.0f} MiB beyond it"
        )


if __name__ == "__main__":
    main()
