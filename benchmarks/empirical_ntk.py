"""The empirical tangent kernel of a trained-size network, side by side in one run: python benchmarks/empirical_ntk.py [--repeats R] [--routes structured|all] [--json].

784-512-512-1 (ReLU), 200 inputs. For float32 and float64, on one core and on two, a process of its own that holds neural-tangents and torch to
exactly those cores (affinity, and one thread per core) and calls in turn: ours by layers' outer products (all its checks included), ours by its
Jacobian, a plain torch.func Jacobian contraction, and neural-tangents' structured and Jacobian routes on the same weights (jitted, warm,
`vmap_axes=0`). Medians and least times over the repeats, and medians of processor time, which a busy machine disturbs less; the largest
difference of the two kernels relative to the largest entry.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

POINTS, FEATURES, WIDTH = 200, 784, 512
DTYPES, THREADS = ("float32", "float64"), (1, 2)


def held_to(threads: int) -> None:
    """This process on so many cores, with one thread each; before torch and jax start theirs."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)
    if threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"


def contraction(model: Any, x: Any) -> Any:
    """The Jacobian contraction of the torch.func tutorial, parameter by parameter."""
    import torch

    parameters = {name: value.detach() for name, value in model.named_parameters()}

    def one(chosen: dict[str, Any], point: Any) -> Any:
        return torch.func.functional_call(model, chosen, (point[None],)).squeeze(0)

    jacobian = torch.func.vmap(torch.func.jacrev(one), (None, 0))(parameters, x)
    return sum(j.flatten(2)[:, 0] @ j.flatten(2)[:, 0].T for j in jacobian.values())


def routes(dtype: str) -> dict[str, Callable[[], Any]]:
    import torch
    from torch import nn

    from nonvacuous.numerics.empirical_ntk import empirical_ntk
    from nonvacuous.numerics.kernels.neural_tangents import neural_tangents

    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(FEATURES, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1)
    )
    model, x = model.to(getattr(torch, dtype)), torch.randn(POINTS, FEATURES, dtype=getattr(torch, dtype))
    theirs = neural_tangents()
    import jax
    from neural_tangents import stax

    jax.config.update("jax_enable_x64", dtype == "float64")
    dense = [stax.Dense(n, parameterization="standard", b_std=0.1) for n in (WIDTH, WIDTH, 1)]
    _, apply, _ = stax.serial(dense[0], stax.Relu(), dense[1], stax.Relu(), dense[2])
    weights = [
        () if not hasattr(layer, "weight") else tuple(
            jax.numpy.asarray(value.detach().numpy()) for value in (layer.weight.T, layer.bias[None])
        )
        for layer in model
    ]  # fmt: skip
    points = jax.numpy.asarray(x.numpy())
    kinds = theirs.NtkImplementation
    compiled = {
        name: jax.jit(theirs.empirical_ntk_fn(apply, implementation=kind, vmap_axes=0))
        for name, kind in (("structured", kinds.STRUCTURED_DERIVATIVES), ("Jacobian", kinds.JACOBIAN_CONTRACTION))
    }

    def call(name: str) -> Callable[[], Any]:
        return lambda: jax.block_until_ready(compiled[name](points, None, weights))

    return {
        "ours, structured": lambda: empirical_ntk(model, x, method="structured").mean_over_outputs,
        "neural-tangents, structured": call("structured"),
        "ours, Jacobian": lambda: empirical_ntk(model, x, method="jacobian").mean_over_outputs,
        "torch.func Jacobian contraction": lambda: contraction(model, x),
        "neural-tangents, Jacobian": call("Jacobian"),
    }


def measure(dtype: str, threads: int, repeats: int, every: bool) -> dict[str, Any]:
    """Milliseconds of each route, called in turn so that a busy machine slows all of them."""
    held_to(threads)
    import numpy as np
    import torch

    torch.set_num_threads(threads)
    found = routes(dtype)
    chosen = [name for name in found if every or "structured" in name]
    seconds: dict[str, list[float]] = {name: [] for name in chosen}
    processor: dict[str, list[float]] = {name: [] for name in chosen}
    first = {name: np.asarray(found[name](), dtype=np.float64).reshape(POINTS, POINTS) for name in chosen}
    for repeat in range(repeats):
        for name in chosen:
            if "acobian" in name and repeat >= 3:
                continue
            begin, used = time.perf_counter(), time.process_time()
            found[name]()
            seconds[name].append(time.perf_counter() - begin)
            processor[name].append(time.process_time() - used)
    one, other = first["ours, structured"], first["neural-tangents, structured"]
    return {
        "milliseconds": {
            name: {
                "median": 1e3 * float(np.median(s)),
                "least": 1e3 * min(s),
                "processor": 1e3 * float(np.median(processor[name])),
            }
            for name, s in seconds.items()
        },
        "difference": float(np.abs(one - other).max() / np.abs(other).max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=31)
    parser.add_argument("--routes", choices=("structured", "all"), default="structured")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.add_argument("--measure", nargs=2, metavar=("DTYPE", "THREADS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        dtype, threads = options.measure
        print(json.dumps(measure(dtype, int(threads), options.repeats, options.routes == "all")))
        return
    found: dict[str, Any] = {}
    for dtype in DTYPES:
        for threads in THREADS:
            command = [sys.executable, __file__, "--measure", dtype, str(threads)]
            command += ["--repeats", str(options.repeats), "--routes", options.routes]
            run = subprocess.run(command, check=True, capture_output=True, text=True)
            found[f"{dtype}, {threads} thread{'s' if threads > 1 else ''}"] = json.loads(run.stdout)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for setting, part in found.items():
        times = part["milliseconds"]
        print(f"{setting}; kernels differ by {part['difference']:.1e}")
        for name, both in times.items():
            print("  " + name + ": " + ", ".join(f"{kind} {value:.1f} ms" for kind, value in both.items()))
        ours, theirs = times["ours, structured"], times["neural-tangents, structured"]
        print(
            "  structured, ours over neural-tangents: "
            + ", ".join(f"{kind} {ours[kind] / theirs[kind]:.2f}" for kind in ours)
        )


if __name__ == "__main__":
    main()
