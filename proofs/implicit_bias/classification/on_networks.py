"""Entropy against log time on a real network: IBVI trains a last layer on labels, and grows certain as the limit law says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison
from ....numerics.implicit_bias.classification import ClassificationLimit, classification_limit, predictive_probability
from ....numerics.implicit_bias.gaussian_law import GaussianLaw
from ....numerics.store import Rows
from ...result import ByBudget, Check, Control, Run
from ..feature_networks import FeatureNetwork, law_in, module, random_network
from ..separable_problems import SeparatorFloats
from .evidence import ClassificationSetting, factor_bound, mean_bound, separator

SPREAD = 0.5  # of the factor, times the parametrisation's: variances at the data below 2


@dataclass(frozen=True, eq=False)
class LabelledNetwork:
    """A network with frozen features, labels -1 and 1 (N,), columns of the factor, steps of full-batch descent and the times to look at."""

    network: FeatureNetwork
    labels: Float[np.ndarray, " examples"]
    rank: int
    times: tuple[int, ...]

    @property
    def design(self) -> Float[np.ndarray, "examples weights"]:
        """The labels absorbed."""
        return self.labels[:, None] * self.network.design

    @property
    def step(self) -> float:
        """A quarter of what the smoothness of the logistic loss allows."""
        return 2 / float(np.linalg.norm(self.network.design, 2)) ** 2


Rule = Callable[[ClassificationSetting], ClassificationLimit]


def random_setting(seed: int, *, examples: int, times: tuple[int, ...]) -> LabelledNetwork:
    """Drawn again until every example supports the margin: the support vectors then span the rows."""
    while True:
        network = random_network(seed, examples=examples, units=30, tests=3)
        labels = np.where(np.random.default_rng(seed).random(examples) < 0.5, -1.0, 1.0)
        found = SeparatorFloats.of(labels[:, None] * network.design)
        if found is not None and len(found.support) == examples and found.spectrum[0] > 0.8:
            return LabelledNetwork(network, labels, 2, times)
        seed += 1000


def train(s: LabelledNetwork, run: Run, *, faster: float = 1.0) -> dict[str, Any]:
    """Mean and factor along IBVI's descent on the logistic loss, its expectation over the last layer by quadrature."""
    import torch

    from ....numerics.methods import ibvi
    from ....numerics.methods.variational_fit import prepared
    from ....numerics.variational.objective import SampledTerms
    from ....numerics.variational.training import Epoch, training

    config = ibvi.IBVIConfig(
        "binary", parametrisation="sp", covariance_rate=1.0, schedule="constant", momentum=0.0, reduction="sum", rank=s.rank,
        covariance_scale=SPREAD, expectation="quadrature", learning_rate=faster * s.step, epochs=s.times[-1], batch_size=len(s.labels),
    )  # fmt: skip
    data = torch.from_numpy(s.network.inputs), torch.from_numpy((s.labels > 0).astype(np.int64))
    found, x, y = prepared(module(s.network), data, config, ibvi.IBVIConfig, run.seed, run.device)
    law = found.start(run.seed, scale=config.covariance_scale)
    (layer,) = found.layers
    kept = {*np.unique(np.geomspace(1, s.times[-1], 60).astype(int)).tolist(), *s.times}

    def state() -> tuple[np.ndarray, np.ndarray]:
        mean = torch.cat([law.means[name].detach().reshape(-1) for name in layer.tensors]).cpu().numpy().copy()
        return mean, found.covariance.matrix(layer, law.factors).detach().cpu().numpy().reshape(-1).copy()

    prior, times, states = state(), [], []
    terms = SampledTerms(found, config.objective(), seed=run.seed)
    for event in training(found, law, x, y, terms, config.descent(), seed=run.seed):
        if isinstance(event, Epoch) and event.epoch in kept:
            times.append(float(event.epoch))
            states.append(state())
    columns = {"mean": np.stack([mean for mean, _ in states]), "factor": np.stack([factor for _, factor in states])}
    first = {f"prior_{name}": np.tile(value, (len(times), 1)) for name, value in zip(("mean", "factor"), prior, strict=True)}  # fmt: skip
    return columns | first | {"time": np.array(times), "log_time": np.log(s.step * np.array(times))}


def entropy(p: np.ndarray) -> np.ndarray:
    """Of a coin, in nats."""
    q = np.clip(p, 1e-300, 1 - 1e-16)
    return np.asarray(-q * np.log(q) - (1 - q) * np.log1p(-q))


def sigmoid_mean(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """E sigma(mean + deviation z) by 180 Gauss-Hermite nodes: another rule than the shipped one."""
    z, weight = np.polynomial.hermite_e.hermegauss(180)
    return np.asarray((1 / (1 + np.exp(-(mean[:, None] + deviation[:, None] * z)))) @ weight / weight.sum())


def compare(s: LabelledNetwork, rule: Rule, rows: Rows) -> Comparison:
    """Mean, deviation and entropy at the test inputs at each of the times. What the state of the mean and the path of the variances prove bounds
    the first two; sigma is 1/4-Lipschitz in both, and an entropy lies between those of the ends of the probability's interval."""
    linear = ClassificationSetting(s.design, *law_in(rows, "prior"), s.step, tuple(map(float, s.times)))
    found, limit, x = separator(s.design), rule(linear), s.network.features(s.network.tests)
    long, parts = np.linalg.norm(x, axis=1), []
    for time in s.times:
        at = int(np.argmin(np.abs(rows["time"] - time)))
        mean, factor = rows["mean"][at], rows["factor"][at].reshape(linear.prior_factor.shape)
        near = mean_bound(linear, found, mean, rows["log_time"][at], time)
        left = factor_bound(linear, {name: rows[name][: at + 1] for name in ("log_time", "mean", "factor")}, logistic=True)  # fmt: skip
        law = limit.at(time)
        expected = np.array([predictive_probability(law, row) for row in x])
        centre, deviation = x @ mean, np.linalg.norm(x @ factor, axis=1)
        ends = np.clip(expected + np.outer([-1, 0, 1], (near + left) * long / 4 + 1e-9), 0, 1)
        uncertainty = np.abs(entropy(ends) - entropy(expected)).max(axis=0)
        half = (ends[0] < 0.5) & (ends[2] > 0.5)
        uncertainty = np.where(half, np.maximum(uncertainty, np.log(2) - entropy(expected)), uncertainty)
        parts += [
            (centre, x @ law.mean, near * long, 1 + np.abs(centre)),
            (deviation, np.linalg.norm(x @ law.factor, axis=1), left * long, np.ones_like(long)),
            (entropy(sigmoid_mean(centre, deviation)), entropy(expected), uncertainty, np.full_like(long, np.log(2))),
        ]
    return Comparison(*(np.concatenate([part[k] for part in parts]) for k in range(4)))


def limit(s: ClassificationSetting) -> ClassificationLimit:
    return classification_limit(s.design, GaussianLaw(s.prior_mean, s.prior_factor), step=s.step)


def ruled(change: Callable[[ClassificationSetting, ClassificationLimit], ClassificationLimit]) -> dict[str, Any]:
    return {"predict": lambda setting: lambda s: change(s, limit(s))}


CHECKS = (
    Check(
        "entropy against log time of the shipped method on a network with frozen features",
        Agreement("convergence", relative=0.1),
        settings=ByBudget(
            quick=lambda: (random_setting(0, examples=2, times=(100, 300)),),
            standard=lambda: tuple(random_setting(seed, examples=2, times=(300, 1000, 3000)) for seed in range(3)),
        ),
        experiment=train,
        compare=compare,
        predict=lambda s: limit,
        controls=(
            Control("certainty that stops growing", ruled(lambda s, p: replace(p, direction=0 * p.direction, offset=p.at(s.times[0]).mean))),
            Control("whole prior deviation", ruled(lambda s, p: replace(p, factor=s.prior_factor))),
            Control("deviation that vanishes", ruled(lambda s, p: replace(p, factor=0 * p.factor))),
            Control("step forgotten", ruled(lambda s, p: replace(p, offset=p.offset - p.direction * np.log(s.step)))),
        ),
    ),
)  # fmt: skip
