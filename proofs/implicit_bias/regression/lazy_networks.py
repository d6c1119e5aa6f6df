"""IBVI against a deep ensemble from the same prior on a real network, where both stay near the linearisation, and where they do not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import chi2, f, norm

from ....numerics.claims import Agreement, Comparison, Enclosures, Inequality
from ....numerics.intervals import ALPHA
from ....numerics.store import Rows
from ...result import ByBudget, Check, Control, Run

DRAWS = 600  # of the trained law


@dataclass(frozen=True, eq=False)
class LazySetting:
    """Inputs (N, d), test inputs (S, d), the targets' distance from the network's first outputs (N,), width, and the prior factor's scale."""

    train: Float[np.ndarray, "train inputs"]
    test: Float[np.ndarray, "test inputs"]
    shifts: Float[np.ndarray, " train"]
    width: int
    scale: float


def train(
    s: LazySetting,
    run: Run,
    *,
    width: int | None = None,
    scale: float | None = None,
    far: float = 1.0,
    both: bool = False,
) -> dict[str, Any]:
    """Outputs at the test inputs: of `members` networks before and after descent from draws of the prior, and of draws of IBVI's law.

    One hidden tanh layer in the neural tangent parametrisation under a frozen readout: not linear in what is trained. With an uncertain readout
    (`both`) the layers' factors have noise of their own, and in the linear limit the law is projected layer by layer, which no ensemble does. `width`, `scale` and
    `far` (times the shifts) are those of other wrong variants.
    """
    import torch
    from torch import nn

    from ....numerics.methods import ibvi
    from ....numerics.methods.data import generator
    from ....numerics.variational.family import Law
    from ....numerics.variational.losses import loss

    device, units = torch.device(run.device), s.width if width is None else width
    x, z = (torch.from_numpy(points).to(device) for points in (s.train, s.test))
    stream = generator(run.seed, "lazy network", device)
    net = nn.Sequential(nn.Linear(x.shape[1], units), nn.Tanh(), nn.Linear(units, 1)).double().to(device).eval()
    with torch.no_grad():
        for name, value in net.named_parameters():
            size = 1.0 if name.endswith("bias") else value.shape[1] ** -0.5
            value.requires_grad_(both or name.startswith("0"))
            value.copy_(size * torch.randn(value.shape, generator=stream, dtype=value.dtype, device=device))
        y = net(x) + far * torch.from_numpy(s.shifts).to(device)[:, None]
    options: dict[str, Any] = {
        "parametrisation": "ntp", "covariance_rate": 1.0, "schedule": "constant", "momentum": 0.0, "reduction": "sum", "layers": "all",
        "rank": 2, "start": "module", "samples": 4, "antithetic": True, "covariance_scale": s.scale if scale is None else scale,
    }  # fmt: skip
    prior = ibvi.prior(net, (x, y), ibvi.IBVIConfig("gaussian", **options), seed=run.seed, device=device)
    found, (rates, _) = prior.family, prior.family.rates()

    def outputs(means: Any, points: torch.Tensor) -> torch.Tensor:
        return found.call(found.at(Law(means, {}), None), points)

    def objective(means: Any) -> torch.Tensor:
        return loss("gaussian", outputs(means, x), y).sum()

    # the tangent kernel's largest eigenvalue sets the step
    jacobian = torch.func.jacrev(lambda means: outputs(means, x)[:, 0])(prior.law.means)
    rows = torch.cat([part.flatten(1) for part in jacobian.values()], 1)
    values = torch.linalg.eigvalsh(rows @ rows.T)
    step = 0.4 / float(values[-1])
    steps = math.ceil(math.log(1e-4) / math.log(1 - step * float(values[0])))
    draws = torch.randn(run.block["members"], found.noise_size, generator=stream, dtype=x.dtype, device=device)
    stored = {name: value / found.scalings[name].multiplier for name, value in torch.func.vmap(lambda noise: found.at(prior.law, noise))(draws).items()}  # fmt: skip
    before = torch.func.vmap(outputs, in_dims=(0, None))(stored, z)[..., 0]
    slope = torch.func.vmap(torch.func.grad(objective))
    for _ in range(steps):
        stored = {name: stored[name] - step * rates[name] * part for name, part in slope(stored).items()}
    after = torch.func.vmap(outputs, in_dims=(0, None))(stored, z)[..., 0]
    config = ibvi.IBVIConfig("gaussian", **options, learning_rate=step, epochs=steps)
    trained = ibvi.fit(net, (x, y), config, seed=run.seed, device=device)
    law = ibvi.sample(trained, z, DRAWS, 0)[..., 0]
    return {
        name: value.detach().cpu().numpy().T for name, value in (("before", before), ("after", after), ("law", law))
    }


def chi_square(s: LazySetting, rows: Rows, members: str = "after") -> tuple[float, float, float]:
    """The variances' ratio at one test input of each network, as a normal score through its F law: the scores' sum of squares over the networks, its
    quantile at ALPHA, and what a ratio of two in every network would give."""
    scores, degrees = [], (0, 0)
    for network in np.unique(rows["network"]):
        ensemble, drawn = (rows[name][rows["network"] == network][int(network) % len(s.test)] for name in (members, "law"))  # fmt: skip
        degrees = len(ensemble) - 1, len(drawn) - 1
        ratio = np.var(ensemble, ddof=1) / np.var(drawn, ddof=1)
        scores.append(norm.isf(max(min(f.sf(ratio, *degrees), f.cdf(ratio, *degrees)), 1e-300)))
    twice = len(scores) * math.log(2) ** 2 / (2 / degrees[0] + 2 / degrees[1])
    return float(np.sum(np.square(scores))), float(chi2.isf(ALPHA, len(scores))), twice


def compare(s: LazySetting, prediction: Any, rows: Rows, *, members: str = "after") -> Comparison:
    """No more than sampling of members and draws explains."""
    found, allowed, twice = chi_square(s, rows, members)
    return Comparison(np.array([found]), np.array([0.0]), np.array([allowed]), twice)


def compare_gap(s: LazySetting, prediction: Any, rows: Rows) -> Enclosures:
    """More than sampling of members and draws explains."""
    found, allowed, _ = chi_square(s, rows)
    slack = np.array([found / allowed - 1])
    return Enclosures(slack, slack)


def blocks(networks: int) -> tuple[dict[str, int], ...]:
    return tuple({"members": 200, "network": k} for k in range(networks))


INPUTS = np.array([[1.5, 0.0, 1.5], [-0.75, 1.5, -0.75]])
WIDE = LazySetting(INPUTS, np.array([[1.2, 0.3, 1.1], [-0.4, 1.3, -0.8], [0.6, 0.6, 0.2]]), np.array([0.01, -0.01]), 128, 0.01)  # fmt: skip

UNTRAINED = Control("members not trained", {"compare": partial(compare, members="before")})
CLAIM: dict[str, Any] = {"claim": Agreement("Monte Carlo", relative=0.5), "experiment": train, "compare": compare, "predict": lambda s: None}  # fmt: skip

CHECKS = (
    Check(
        "variance of IBVI and of 200-member ensembles from its prior, networks in the lazy regime",
        settings=ByBudget(quick=(WIDE,)),
        plan=ByBudget(quick=blocks(3), standard=blocks(24)),
        controls=(UNTRAINED,),
        **CLAIM,
    ),
    Check(
        "they differ outside it: width 8, a factor as large as the mean, far targets",
        Inequality(),
        settings=ByBudget(quick=(), standard=(WIDE,)),
        experiment=partial(train, width=8, scale=1.0, far=100.0),
        plan=ByBudget(quick=blocks(12)),
        compare=compare_gap,
        predict=lambda s: None,
        controls=(Control("in the lazy regime", {"experiment": train, "plan": ByBudget(quick=blocks(12))}),),
    ),
    Check(
        "they differ too where each of two layers has a factor with noise of its own",
        Inequality(),
        settings=ByBudget(quick=(), standard=(WIDE,)),
        experiment=partial(train, both=True),
        plan=ByBudget(quick=blocks(40)),
        compare=compare_gap,
        predict=lambda s: None,
        controls=(Control("one factor, the readout frozen", {"experiment": train}),),
    ),
)  # fmt: skip
