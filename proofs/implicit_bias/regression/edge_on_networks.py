"""The edge of stability on a real network: many replicates of IBVI's own step on a last layer, from one start, below and above the edge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ....numerics.claims import Comparison
from ....numerics.implicit_bias.stability import SampledDescent, largest_stable_mode_step
from ....numerics.store import Rows
from ...result import Run
from ..feature_networks import FeatureNetwork, module, random_network
from .stability_evidence import StabilityPrediction, StabilitySetting, compare_moments


@dataclass(frozen=True, eq=False)
class EdgeSetting:
    """A network with frozen features, targets (N,), how it is sampled, the step as a fraction of the edge, and the times to look at."""

    network: FeatureNetwork
    targets: Float[np.ndarray, " examples"]
    descent: SampledDescent
    fraction: float
    times: tuple[int, ...]

    @property
    def step(self) -> float:
        """For the sum over the examples; 1 is the fraction at which the second moment of the largest mode neither grows nor falls."""
        return (
            self.fraction * largest_stable_mode_step(self.descent) / float(np.linalg.norm(self.network.design, 2)) ** 2
        )


Predict = Callable[[StabilitySetting], StabilityPrediction]


def random_setting(seed: int, descent: SampledDescent, fraction: float, times: tuple[int, ...]) -> EdgeSetting:
    """Two examples, so two modes."""
    return EdgeSetting(random_network(seed, examples=2), np.random.default_rng(seed).normal(size=2), descent, fraction, times)  # fmt: skip


def train(s: EdgeSetting, run: Run, *, faster: float = 1.0) -> dict[str, Any]:
    """Replicates of sampled descent: the family, the loss and the rates of `nv.methods.ibvi`, fresh noise in every step of each.

    Returns the start's coordinates in the modes and the second moments of mean and factor (averaged over its columns) at the times.
    """
    import torch

    from ....numerics.methods.data import generator
    from ....numerics.variational.family import Law, family
    from ....numerics.variational.losses import loss
    from ....numerics.variational.low_rank import LowRank

    device, d = torch.device(run.device), s.descent
    x, y = torch.from_numpy(s.network.inputs).to(device), torch.from_numpy(s.targets[:, None]).to(device)
    options: dict[str, Any] = {"parametrisation": "sp", "rate": d.covariance_rate, "device": device}
    found = family(module(s.network), x, LowRank(d.rank), **options)
    start, stream = found.start(run.seed), generator(run.seed, "edge of stability", device)
    rates, many, (layer,) = found.rates(), run.block["replicates"], found.layers
    free = d.samples // 2 if d.estimator == "antithetic" else d.samples

    def objective(means: Any, factors: Any, z: torch.Tensor) -> torch.Tensor:
        return loss("gaussian", found.call(found.at(Law(means, factors), z), x), y).sum()

    slope: Any = torch.func.vmap(torch.func.grad(objective, argnums=(0, 1)))
    law = [{name: value.expand(many, *value.shape) for name, value in part.items()} for part in (start.means, start.factors)]  # fmt: skip
    speed = [{name: torch.zeros_like(value) for name, value in part.items()} for part in law]
    left, values, right = np.linalg.svd(s.network.design, full_matrices=False)
    kept, off = [], right.T @ (left.T @ s.targets / values)

    def modes() -> tuple[np.ndarray, np.ndarray]:
        mean = torch.cat([law[0][name].reshape(many, -1) for name in layer.tensors], 1).cpu().numpy()
        factor = torch.cat([law[1][name].reshape(many, -1, d.rank) for name in layer.tensors], 1).cpu().numpy()
        return (mean - off) @ right.T, np.einsum("mp,kpr->kmr", right, factor)

    first_mean, first_factor = modes()
    for t in range(1, max(s.times) + 1):
        total: list[dict[str, torch.Tensor]] = []
        for _ in range(free):
            z = torch.randn(many, found.noise_size, generator=stream, dtype=x.dtype, device=device)
            for noise in (z, -z) if d.estimator == "antithetic" else (z,):
                total = [{name: part.get(name, 0) + g / d.samples for name, g in gradient.items()} for part, gradient in zip(total or [{}, {}], slope(*law, noise), strict=True)]  # fmt: skip
        for values_of, speeds, gradient, rate in zip(law, speed, total, rates, strict=True):
            for name in values_of:
                speeds[name] = d.momentum * speeds[name] + gradient[name]
                values_of[name] = values_of[name] - faster * s.step * rate[name] * speeds[name]
        if t in s.times:
            mean, factor = modes()
            kept.append(np.stack([(mean**2).mean(axis=0), (factor**2).mean(axis=(0, 2))], axis=1).ravel())
    begin = np.column_stack([first_mean[0][:, None], first_factor[0]]).ravel()
    return {"moments": np.array(kept), "start": np.tile(begin, (len(kept), 1))}


def linear(s: EdgeSetting, rows: Rows) -> StabilitySetting:
    """The theorem's setting: mode steps of this design and the start that the family drew."""
    d, steps = s.descent, s.step * np.linalg.svd(s.network.design, compute_uv=False) ** 2
    start = rows["start"][0].reshape(len(steps), 1 + d.rank)
    return StabilitySetting(d.rank, d.samples, d.momentum, d.covariance_rate, d.estimator, steps, start, s.times)


def compare(s: EdgeSetting, predict: Predict, rows: Rows) -> Comparison:
    """Sample moments against T^t, to the standard errors that the exact fourth moments give."""
    setting = linear(s, rows)
    return compare_moments(setting, predict(setting), rows)
