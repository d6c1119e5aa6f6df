"""Speed and soundness of the float64 kl inverse, on one core: python benchmarks/kl_inverse.py [--json] [--quick].

Side by side in one run: `kl_upper` on arrays against a bisection to 1e-9 per value in plain Python (`math` only), and the
count of returned values below the exact one on hard inputs, against ball arithmetic at 60 digits.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse  # noqa: E402 (the environment comes first)
import json  # noqa: E402 (the environment comes first)
import math  # noqa: E402 (the environment comes first)
import statistics  # noqa: E402 (the environment comes first)
import time  # noqa: E402 (the environment comes first)
from collections.abc import Callable  # noqa: E402 (the environment comes first)
from typing import Any  # noqa: E402 (the environment comes first)

import numpy as np  # noqa: E402 (the environment comes first)
from flint import arb, ctx  # noqa: E402 (the environment comes first)

from nonvacuous.numerics.certified import kl_upper, kl_upper_parts  # noqa: E402 (the environment comes first)
from nonvacuous.theory.balls import kl_upper_ball  # noqa: E402 (the environment comes first)

TOLERANCE = 1e-9


def bisection(q: float, c: float) -> float:
    """The upper end of the last bracket: a fair peer, sound up to rounding of its logarithms."""
    low, high = q, 1.0
    while high - low > TOLERANCE:
        p = 0.5 * (low + high)
        kl = (q * math.log(q / p) if q > 0 else 0.0) + (1 - q) * math.log((1 - q) / (1 - p))
        if kl > c:
            high = p
        else:
            low = p
    return high


def cost(action: Callable[..., Any], *arguments: Any) -> tuple[float, float]:
    """Seconds of processor time and of wall time; on a shared machine only the first says what one core can do."""
    processor, wall = time.process_time(), time.perf_counter()
    action(*arguments)
    return time.process_time() - processor, time.perf_counter() - wall


def bisect_all(pairs: list[tuple[float, float]]) -> list[float]:
    return [bisection(q, c) for q, c in pairs]


def speed(size: int, peer_size: int, repeats: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    workloads = {
        "risks of a network: q in [0, 0.3], c in [0, 0.1]": (rng.uniform(0, 0.3, size), rng.uniform(0, 0.1, size)),
        "uniform q, c over [1e-6, 10]": (rng.random(size), 10 ** rng.uniform(-6, 1, size)),
        "q over [1e-16, 1], c over [1e-25, 300]": (
            10 ** rng.uniform(-16, 0, size),
            10 ** rng.uniform(-25, 2.477, size),
        ),
    }
    rows = []
    for name, (q, c) in workloads.items():
        few = list(zip(q[:peer_size].tolist(), c[:peer_size].tolist(), strict=True))
        kl_upper(q[:1000], c[:1000])
        ours, peer = [], []
        for _ in range(repeats):  # alternating, so that a slow spell of the machine hits both
            ours.append(cost(kl_upper, q, c))
            peer.append(cost(bisect_all, few))
        (cpu, wall), (peer_cpu, peer_wall) = np.median(ours, axis=0) / size, np.median(peer, axis=0) / peer_size
        rows.append(
            {
                "workload": name,
                "kl_upper_per_cpu_second": 1 / cpu,
                "bisection_per_cpu_second": 1 / peer_cpu,
                "ratio": peer_cpu / cpu,
                "kl_upper_per_wall_second": 1 / wall,
                "bisection_per_wall_second": 1 / peer_wall,
            }
        )
    return rows


def torch_with_gradient(size: int, repeats: int) -> dict[str, float]:
    """`kl_upper` on torch tensors, value and both derivatives, against the NumPy function on the same numbers."""
    import torch

    from nonvacuous.numerics.certify.objectives import kl_upper as differentiable

    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    q, c = rng.uniform(0, 0.3, size), rng.uniform(0, 0.1, size)

    def with_gradient() -> None:
        risk, level = (torch.tensor(value, requires_grad=True) for value in (q, c))
        differentiable(risk, level).sum().backward()

    with_gradient()
    ours, theirs = [], []
    for _ in range(repeats):
        ours.append(cost(with_gradient)[0])
        theirs.append(cost(kl_upper, q, c)[0])
    slow, fast = float(np.median(ours)), float(np.median(theirs))
    return {"torch_per_cpu_second": size / slow, "kl_upper_per_cpu_second": size / fast, "times_slower": slow / fast}


def scalar_microseconds(repeats: int) -> float:
    def calls() -> None:
        for _ in range(200):
            kl_upper(0.05, 0.03)

    return 1e6 / 200 * statistics.median(cost(calls)[0] for _ in range(repeats))


def hard_inputs(size: int) -> tuple[Any, Any, Any]:
    """(q, 1-q, c): both ends of [0, 1] down to 1e-300, 1 - 1e-16, c in [1e-25, 300], half of it placed by v = -ln((1-p)/(1-q))."""
    rng = np.random.default_rng(2)
    small = np.select(
        [rng.random(size) < 0.3, rng.random(size) < 0.3, rng.random(size) < 0.3],
        [
            10 ** rng.uniform(-300, 0, size),
            10 ** rng.uniform(-17, 0, size),
            rng.choice([0.0, 1e-300, 1e-16, 2.0**-53], size),
        ],
        rng.random(size),
    )
    flip = rng.random(size) < 0.5
    q, qc = np.where(flip, 1 - small, small), np.where(flip, small, 1 - small)
    c, v = 10 ** rng.uniform(-25, math.log10(300), size), 10 ** rng.uniform(-6, math.log10(300), size)
    with np.errstate(all="ignore"):
        aimed = qc * v - q * np.log1p(-qc * np.expm1(-v) / q)
    return q, qc, np.where((rng.random(size) < 0.5) & (aimed > 1e-25) & (aimed < 300), aimed, c)


def soundness(size: int) -> dict[str, Any]:
    q, qc, c = hard_inputs(size)
    parts = kl_upper_parts(q, c, q_complement=qc)
    signs = {"p": 1, "complement": -1, "gap": 1, "log_complement": -1}
    unsafe = dict.fromkeys(signs, 0)
    widest_gap = 0.0
    begin = time.perf_counter()
    with ctx.workprec(240):
        for i in range(size):
            exact = kl_upper_ball(float(q[i]), float(c[i]), q_complement=float(qc[i]), digits=60)
            for name, sign in signs.items():
                value = float(getattr(parts, name)[i])
                if math.isfinite(value):
                    unsafe[name] += bool((arb(value) - getattr(exact, name)) * sign < 0)
                else:
                    unsafe[name] += int(sign * value < 0)
            if exact.gap > 1e-300:
                widest_gap = max(widest_gap, float((arb(float(parts.gap[i])) - exact.gap) / exact.gap))
    return {
        "inputs": size,
        "digits": 60,
        "on_the_unsafe_side": unsafe,
        "widest_relative_gap_in_ulps": widest_gap * 2.0**52,
        "seconds": time.perf_counter() - begin,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    options = parser.parse_args()
    share = 10 if options.quick else 1
    report: dict[str, Any] = {
        "speed": speed(1_000_000 // share, 20_000 // share, repeats=5),
        "torch_with_gradient": torch_with_gradient(1_000_000 // share, repeats=5),
        "scalar_call_microseconds": scalar_microseconds(repeats=7),
        "soundness": soundness(100_000 // share),
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    print(
        f"{'values per second of one core, medians':50s} {'kl_upper':>12s} {'bisection':>12s} {'ratio':>7s} {'by the wall':>12s}"
    )
    for row in report["speed"]:
        rates = f"{row['kl_upper_per_cpu_second']:12,.0f} {row['bisection_per_cpu_second']:12,.0f} {row['ratio']:7.1f}"
        print(f"{row['workload']:50s} {rates} {row['kl_upper_per_wall_second']:12,.0f}")
    found = report["torch_with_gradient"]
    print(
        f"torch, value and gradient: {found['torch_per_cpu_second']:,.0f} per second, {found['times_slower']:.1f} times slower"
    )
    print(f"one scalar call: {report['scalar_call_microseconds']:.0f} microseconds")
    found = report["soundness"]
    print(f"hard inputs against balls at 60 digits: {found}")


if __name__ == "__main__":
    main()
