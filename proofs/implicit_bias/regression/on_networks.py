"""The regression theorems on a real network: IBVI trains a last layer on frozen features, and must end where the theorems say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ....numerics.claims import Comparison, Enclosures
from ....numerics.implicit_bias.sampled_regression import largest_sampled_step, sampled_steps
from ....numerics.intervals import ALPHA
from ....numerics.store import Rows
from ...result import Run
from ..feature_networks import FeatureNetwork, fit, law_in, random_network, rows_of
from . import fixed_noise_evidence, sampled_evidence
from .fixed_noise_evidence import FixedNoisePrediction, FixedNoiseSetting
from .sampled_evidence import SampledPrediction, SampledSetting

RELATIVE = 3e-4  # what training leaves of the start, with probability 1 - ALPHA
PredictFixed = Callable[[FixedNoiseSetting], FixedNoisePrediction]
PredictSampled = Callable[[SampledSetting], SampledPrediction]


@dataclass(frozen=True, eq=False)
class NetworkSetting:
    """A network with frozen features, targets (N,), columns of the factor and draws of a step."""

    network: FeatureNetwork
    targets: Float[np.ndarray, " examples"]
    rank: int
    samples: int

    def __post_init__(self) -> None:
        assert self.training[0] > 0

    @property
    def training(self) -> tuple[float, int]:
        """Step and number of steps of full-batch descent: until, with probability 1 - ALPHA, `RELATIVE` of the start is left."""
        design, options = self.network.design, {"rank": self.rank, "samples": self.samples}
        step = 0.5 * largest_sampled_step(design, **options)
        return step, sampled_steps(design, step=step, tolerance=RELATIVE, delta=ALPHA, **options)

    def linear(self, rows: Rows) -> SampledSetting:
        """The theorem's setting, with the prior that the method drew."""
        step, steps = self.training
        return SampledSetting(self.network.design, self.targets, *law_in(rows, "prior"), step, self.samples, len(self.targets), (steps,))  # fmt: skip


def random_setting(seed: int, *, examples: int, rank: int, samples: int) -> NetworkSetting:
    network = random_network(seed, examples=examples)
    return NetworkSetting(network, np.random.default_rng(seed).normal(size=examples), rank, samples)


def train(s: NetworkSetting, run: Run, **choices: Any) -> dict[str, Any]:
    """The shipped method, one draw of the network after another."""
    step, steps = s.training
    options = {"learning_rate": step, "epochs": steps, "rank": s.rank, "samples": s.samples} | choices
    return rows_of(*fit(s.network, s.targets, seed=run.seed, device=run.device, **options))


def compare(s: NetworkSetting, predict: PredictSampled, rows: Rows) -> Comparison:
    """The Markov bound of ib.regression_mc at ALPHA, as for any other linear model."""
    linear = s.linear(rows)
    state = np.column_stack(law_in(rows, "trained")).reshape(1, -1)
    return sampled_evidence.compare_limit(linear, predict(linear), {"state": state})


# --- the same draws in every step ---------------------------------------------------------------------------------


def train_reused(s: NetworkSetting, run: Run, **choices: Any) -> dict[str, Any]:
    """The shipped method with `common_noise`: at 0.9 of the largest stable step for the draws it is going to reuse, until e^-32 is left."""
    import warnings

    import torch

    from ....numerics.methods.data import generator

    design = s.network.design
    options: dict[str, Any] = {"rank": s.rank, "samples": s.samples, "common_noise": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the draws are reused is the point
        start, _ = fit(s.network, s.targets, seed=run.seed, device=run.device, learning_rate=1e-9, epochs=1, **options)
        stream = generator(run.seed, "common noise", torch.device(run.device))
        draws = torch.stack([start.family.noise(stream) for _ in range(s.samples)]).cpu().numpy()
        step = 0.9 * fixed_noise_evidence.largest_fixed_noise_step(design, draws=draws, rank=s.rank)
        rows = {"draws": draws.reshape(1, -1), "step": np.array([step])}
        steps = fixed_noise_evidence.steps_of(fixed_setting(s, rows_of(start, start) | rows))
        options |= {"learning_rate": step, "epochs": steps} | choices
        found = fit(s.network, s.targets, seed=run.seed, device=run.device, **options)
    return rows_of(*found) | rows


def fixed_setting(s: NetworkSetting, rows: Rows) -> FixedNoiseSetting:
    """The theorem's setting, with the prior and the draws that the method took."""
    draws, step = rows["draws"].reshape(s.samples, s.rank), float(rows["step"][0])
    return FixedNoiseSetting(s.network.design, s.targets, *law_in(rows, "prior"), draws, step)


def compare_reused(s: NetworkSetting, predict: PredictFixed, rows: Rows) -> Comparison:
    """The trained law and its variance summed over the training inputs, to the bound of any other linear model."""
    linear = fixed_setting(s, rows)
    state = np.column_stack(law_in(rows, "trained")).reshape(1, -1)
    return fixed_noise_evidence.compare_limit(linear, predict(linear), {"state": state})


def compare_variance_left(s: NetworkSetting, predict: PredictFixed, rows: Rows) -> Enclosures:
    """The variance left at the training inputs is at least a thousandth of the prior's; training to e^-32 and rounding explain 1e-10 of it."""
    left, first = (float(np.sum((s.network.design @ law_in(rows, name)[1]) ** 2)) for name in ("trained", "prior"))
    slack = np.array([left / first - 1e-3])
    return Enclosures(slack, slack)
