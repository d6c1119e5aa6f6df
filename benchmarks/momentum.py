"""Steps that heavy ball saves on nearly equal inputs, and what it costs: the distance of the trained network from its linearisation.

python benchmarks/momentum.py [--members 8] [--width 512] [--json]

Populations of networks with one hidden layer on pairs of inputs at a distance `gap`, labels +-1 within each pair (the worst case: they
lie in the slow modes) or from another random network. Steps are counted, so the figures do not depend on the machine.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import torch

from nonvacuous.numerics.networks.fully_connected import forward, fully_connected, initialise
from nonvacuous.numerics.networks.tangent_kernel import empirical_ntk
from nonvacuous.numerics.training.choose import train
from nonvacuous.numerics.training.linearised import linearise
from nonvacuous.numerics.training.step_size import step_rule

TOLERANCE = 1e-3
GAPS = (1.0, 0.3, 0.1)


def measure(gap: float, labels: str, *, members: int, width: int) -> dict[str, Any]:
    network = fully_connected(
        inputs=3, width=width, depth=1, activation="erf", parametrisation="ntk", weight_scale=1.5, bias_scale=0.3
    )
    stream = torch.Generator().manual_seed(1)
    half, shift, tests = (torch.randn(4, 3, dtype=torch.float64, generator=stream) for _ in range(3))
    x = torch.cat([half, half + gap * shift / shift.norm(dim=1, keepdim=True)])
    parameters = initialise(network, members, seed=2)
    if labels == "opposite within each pair":
        y = torch.cat([torch.ones(4), -torch.ones(4)]).double()[None, :, None].expand(members, -1, 1)
    else:
        y = forward(network, initialise(network, members, seed=3), x).output
    kernel = empirical_ntk(network, parameters, x).reshape(members, 8, 8)
    ends = torch.linalg.eigvalsh(kernel)[:, [0, -1]]
    solved = linearise(network, parameters, x, tests)
    size = float((solved.solution(y) - solved.initial_test).square().mean().sqrt())
    row: dict[str, Any] = {"gap": gap, "labels": labels, "condition": float((ends[:, 1] / ends[:, 0]).median())}
    for heavy in (False, True):
        # both rules hold out until the kernel's largest eigenvalue has grown by a quarter
        rule = step_rule(kernel, relative_residual=TOLERANCE, damping=0.8, slack=20, momentum=heavy)
        found = train(
            network, parameters, x, y.contiguous(), step_size_sum_loss=rule.step_size_sum_loss, momentum=rule.momentum,
            relative_residual=TOLERANCE, max_steps=rule.max_steps, ntk_train=kernel,
        )  # fmt: skip
        away = forward(network, found.parameters, tests).output - solved.solution(y)
        name = "heavy_ball" if heavy else "plain"
        row[f"{name}_steps"] = float(found.steps.double().median())
        row[f"{name}_predicted_at_most"] = rule.max_steps // 20
        row[f"{name}_away"] = float(away.square().mean().sqrt()) / size
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--json", action="store_true")
    a = parser.parse_args()
    torch.set_num_threads(1)
    cases = [(gap, labels) for labels in ("opposite within each pair", "another network") for gap in GAPS]
    rows = [measure(gap, labels, members=a.members, width=a.width) for gap, labels in cases]
    if a.json:
        print(json.dumps({"schema_version": 1, **vars(a), "rows": rows}))
        return
    print(f"width {a.width}, {a.members} members, to a relative residual of {TOLERANCE:g}; medians over the members")
    print(
        "labels".ljust(28),
        "   gap  condition   plain (linear bound)  heavy ball (bound)  saved  away from linearisation: plain, heavy ball",
    )
    for row in rows:
        plain = f"{row['plain_steps']:8.0f} ({row['plain_predicted_at_most']})"
        heavy = f"{row['heavy_ball_steps']:8.0f} ({row['heavy_ball_predicted_at_most']})"
        saved = row["plain_steps"] / row["heavy_ball_steps"]
        print(
            f"{row['labels']:28} {row['gap']:6.2f} {row['condition']:10.0f} {plain:>22} {heavy:>19} {saved:6.1f}"
            f"  {row['plain_away']:.3f}, {row['heavy_ball_away']:.3f}"
        )


if __name__ == "__main__":
    main()
