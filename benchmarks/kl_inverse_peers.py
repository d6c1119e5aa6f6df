"""How often do published kl inverses return an upper bound below the true one? python benchmarks/kl_inverse_peers.py [--json] [--size N].

The methods are re-stated from their descriptions, one value at a time, on the same random and hard inputs as ours. A failure is a
returned number below the exact inverse by more than the rounding of the comparison (decided by ball arithmetic at 60 digits), a NaN or
an exception. Ours is judged by the same rule, without any slack.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from flint import arb, ctx
from kl_inverse import hard_inputs

from nonvacuous.numerics.certified import kl_upper
from nonvacuous.theory.balls import kl_upper_ball


def kl(q: float, p: float) -> float:
    return (q * math.log(q / p) if q > 0 else 0.0) + ((1 - q) * math.log((1 - q) / (1 - p)) if q < 1 else 0.0)


def clipped_kl(q: float, p: float, eps: float) -> float:
    return kl(min(max(q, eps), 1 - eps), min(max(p, eps), 1 - eps))


def last_midpoint(q: float, c: float) -> float:
    """Bisection on [q, 1 - 1e-10] until the bracket is 1e-5 of its upper end; the last midpoint, 0 if there was none (PBB)."""
    low, high, found = q, 1 - 1e-10, 0.0
    while (high - low) / high >= 1e-5:
        found = (low + high) / 2
        if kl(q, found) > c:
            high = found
        else:
            low = found
    return found


def five_newton_steps(q: float, c: float) -> float:
    """Newton from Pinsker's bound, five steps; 1 where Pinsker says so (Dziugaite and Roy 2017)."""
    p = q + math.sqrt(c / 2)
    if p >= 1:
        return 1.0
    for _ in range(5):
        p -= (kl(q, p) - c) / ((1 - q) / (1 - p) - (q / p if q > 0 else 0.0))
    return p


def clipped_newton(q: float, c: float) -> float:
    """Fifteen Newton steps with both arguments of kl clipped to [1e-6, 1 - 1e-6]."""
    p = q + math.sqrt(c / 2)
    for _ in range(15):
        p = 1 - 1e-6 if p >= 1 else p
        p -= (clipped_kl(q, p, 1e-6) - c) / ((1 - q) / (1 - p) - q / p)
    return min(p, 1.0)


def lower_end(q: float, c: float) -> float:
    """Sixty bisections of [q, 1], arguments clipped at 1e-12, lower end returned."""
    low, high = q, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if clipped_kl(q, middle, 1e-12) > c:
            high = middle
        else:
            low = middle
    return low


def upper_end(q: float, c: float) -> float:
    """Bisection to 1e-9, upper end returned: the careful version."""
    low, high = q, 1.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        if kl(q, middle) > c:
            high = middle
        else:
            low = middle
    return high


PEERS: dict[str, Callable[[float, float], float]] = {
    "bisection, last midpoint, to 1e-5": last_midpoint,
    "five Newton steps from Pinsker": five_newton_steps,
    "fifteen clipped Newton steps": clipped_newton,
    "sixty bisections, lower end": lower_end,
    "bisection to 1e-9, upper end": upper_end,
}


def realistic_inputs(size: int) -> tuple[Any, Any]:
    """Risks and complexities of a network: q in [0, 0.3] (a tenth of them 0), c in [1e-5, 0.3]."""
    rng = np.random.default_rng(3)
    return np.where(rng.random(size) < 0.1, 0.0, rng.uniform(0, 0.3, size)), 10 ** rng.uniform(-5, -0.5, size)


def count(q: Any, c: Any) -> dict[str, Any]:
    ours = kl_upper(q, c)
    names = [*PEERS, "nonvacuous"]
    below, broken = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    worst = dict.fromkeys(names, 0.0)
    begin = time.perf_counter()
    with ctx.workprec(240):
        for i in range(len(q)):
            exact = kl_upper_ball(float(q[i]), float(c[i]), digits=60).p
            for name in names:
                try:
                    value = float(ours[i]) if name == "nonvacuous" else PEERS[name](float(q[i]), float(c[i]))
                except (ValueError, ZeroDivisionError, OverflowError):
                    value = math.nan
                if not math.isfinite(value):
                    broken[name] += 1
                elif arb(value) < exact:
                    below[name] += 1
                    worst[name] = max(worst[name], float((exact - arb(value)) / exact))
    seconds = time.perf_counter() - begin
    rows = {n: {"below": below[n], "nan_or_error": broken[n], "largest_relative_shortfall": worst[n]} for n in names}
    return {"inputs": len(q), "seconds": seconds, "methods": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.add_argument("--size", type=int, default=100_000, help="inputs of each of the two kinds")
    options = parser.parse_args()
    q, _, c = hard_inputs(options.size)
    report = {"realistic": count(*realistic_inputs(options.size)), "hard": count(q, c)}
    if options.json:
        print(json.dumps(report, indent=2))
        return
    for kind, found in report.items():
        print(f"{kind}: {found['inputs']:,} inputs, {found['seconds']:.0f} s")
        for name, row in found["methods"].items():
            print(
                f"  {name:40s} below the exact bound {row['below']:9,d}   NaN or error {row['nan_or_error']:8,d}   "
                f"largest shortfall {row['largest_relative_shortfall']:.1e}"
            )


if __name__ == "__main__":
    main()
