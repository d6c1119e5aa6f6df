"""The ReLU tangent kernel against neural-tangents, side by side in one run: python benchmarks/fully_connected_kernel.py [N ...] [--threads T] [--json].

Three hidden layers, N x 784 normal inputs, float64. Both compute NNGP and NTK; neural-tangents is jitted and warm. Peak memory is that of a
process that does nothing else, beyond its memory just before the first kernel. Errors are relative, of the NTK, against 50-digit arithmetic at
inputs 1e-1 to 1e-9 apart.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import argparse  # noqa: E402
import json  # noqa: E402
import resource  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402

SW, SB, FEATURES, REPEATS = 1.4, 0.1, 784, 5
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


def measure(who: str, n: int, threads: int) -> dict[str, float]:
    """In this process: median time of warm runs, and peak memory of the first."""
    run = (ours if who == "ours" else theirs)(n, threads)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    run()
    first = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    seconds = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return {"seconds": float(np.median(seconds)), "first": first, "peak_mib": peak / 1024}


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[500, 2000])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.add_argument("--measure", nargs=2, metavar=("WHO", "N"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure[0], int(options.measure[1]), options.threads)))
        return
    rows = []
    for n in options.sizes:
        row: dict[str, Any] = {"n": n}
        for who in ("ours", "neural-tangents"):
            command = [sys.executable, __file__, "--measure", who, str(n), "--threads", str(options.threads)]
            row[who] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        rows.append(row)
    found = {"sizes": rows, "relative error": errors()}
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for row in rows:
        a, b = row["ours"], row["neural-tangents"]
        print(
            f"{row['n']} x {FEATURES}: ours {a['seconds']:.3f} s, {a['peak_mib']:.0f} MiB; neural-tangents {b['seconds']:.3f} s, "
            f"{b['peak_mib']:.0f} MiB; time ratio {a['seconds'] / b['seconds']:.2f}, memory ratio {a['peak_mib'] / b['peak_mib']:.2f}"
        )
    print(
        "largest relative error: " + ", ".join(f"{name} {value:.1e}" for name, value in found["relative error"].items())
    )


if __name__ == "__main__":
    main()
