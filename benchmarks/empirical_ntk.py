"""The empirical tangent kernel of a trained-size network, side by side in one run: python benchmarks/empirical_ntk.py [--json].

784-512-512-1 (ReLU), 200 inputs, float32, one thread: ours by layers' outer products, ours by its Jacobian, a plain torch.func Jacobian contraction, and
neural-tangents' structured route and Jacobian route on a network of the same shape (jitted, warm, `vmap_axes=0`).
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import argparse  # noqa: E402
import json  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

from nonvacuous.numerics.empirical_ntk import empirical_ntk  # noqa: E402
from nonvacuous.numerics.kernels.neural_tangents import neural_tangents  # noqa: E402

POINTS, FEATURES, WIDTH = 200, 784, 512


def plain_jacobian(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The contraction of the torch.func tutorial, parameter by parameter."""
    parameters = {name: value.detach() for name, value in model.named_parameters()}

    def one(chosen: dict[str, torch.Tensor], point: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(model, chosen, (point[None],)).squeeze(0)

    jacobian = torch.func.vmap(torch.func.jacrev(one), (None, 0))(parameters, x)
    return sum(j.flatten(2)[:, 0] @ j.flatten(2)[:, 0].T for j in jacobian.values())


def median(function: Callable[[], Any], repeats: int) -> float:
    function()
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(FEATURES, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1)
    )
    x = torch.randn(POINTS, FEATURES)
    found = {
        "ours, structured": median(lambda: empirical_ntk(model, x, method="structured"), 7),
        "ours, Jacobian": median(lambda: empirical_ntk(model, x, method="jacobian"), 3),
        "torch.func Jacobian contraction": median(lambda: plain_jacobian(model, x), 3),
    }
    theirs = neural_tangents()
    import jax
    from neural_tangents import stax

    dense = [stax.Dense(n, parameterization="standard", b_std=0.1) for n in (WIDTH, WIDTH, 1)]
    init, apply, _ = stax.serial(dense[0], stax.Relu(), dense[1], stax.Relu(), dense[2])
    _, parameters = init(jax.random.key(0), (-1, FEATURES))
    points = jax.numpy.asarray(x.numpy())
    routes = theirs.NtkImplementation
    for name, route in (("structured", routes.STRUCTURED_DERIVATIVES), ("Jacobian", routes.JACOBIAN_CONTRACTION)):
        kernel = jax.jit(theirs.empirical_ntk_fn(apply, implementation=route, vmap_axes=0))
        found[f"neural-tangents, {name}"] = median(
            lambda kernel=kernel: jax.block_until_ready(kernel(points, None, parameters)),
            7 if name == "structured" else 3,
        )
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for name, seconds in found.items():
        print(f"{name}: {1000 * seconds:.1f} ms")
    print(
        f"structured, ours over neural-tangents: {found['ours, structured'] / found['neural-tangents, structured']:.2f}"
    )
    print(f"Jacobian, ours over torch.func: {found['ours, Jacobian'] / found['torch.func Jacobian contraction']:.2f}")


if __name__ == "__main__":
    main()
