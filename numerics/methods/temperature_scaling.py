"""Temperature scaling of a trained classifier: one number, fitted on held-out labels, divides its logits.

Objective. Minimise over T > 0 the mean negative log likelihood of softmax(f(x)/T) on data that the network was not trained on; binary: of
sigmoid(f(x)/T). The predicted class does not change. The objective is convex in 1/T, and has its minimum at a finite T unless the labels
are fitted ever better by sharper (or flatter) predictions: that is refused. The prediction is a point: its latent variance is 0. It is a
baseline of calibration, not an uncertainty about the function.

Algorithm. Logits once; a grid over ln T, then golden-section search between the neighbours of its best point. Deterministic.

Choices and their origin.
  likelihood = "softmax"   one output for each class; "binary": one output, labels 0 and 1

Theorems: none.
Source: Guo et al. 2017. Written from the equations.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...theory.errors import InvalidInput
from ..variational.losses import check_targets
from ..variational.prediction import probabilities
from ..variational.temperature import fit_temperature
from .data import check_inputs, gather, generator
from .files import read_posterior, write_posterior
from .grammar import Predictive
from .network import FrozenNetwork, freeze, outputs
from .wide_fit import at_least

METHOD = "temperature_scaling"


@dataclass(frozen=True)
class TemperatureScalingConfig:
    """See the module's text. Raises `InvalidInput`."""

    likelihood: Literal["softmax", "binary"] = "softmax"

    def __post_init__(self) -> None:
        if self.likelihood not in ("softmax", "binary"):
            raise InvalidInput(f"likelihood is {self.likelihood!r}.", 'Choose "softmax" or "binary".')


@dataclass(frozen=True, eq=False)
class TemperatureScalingPosterior:
    """The trained network, held still, and its temperature."""

    config: TemperatureScalingConfig
    network: FrozenNetwork
    temperature: float


def fit(
    model: nn.Module, data: Any, config: TemperatureScalingConfig, *, seed: int, device: str | torch.device
) -> TemperatureScalingPosterior:
    """Temperature of a trained `model`, which is copied and left as it is, for held-out `data`: (inputs, labels) or an iterable of such
    batches. `seed` has no effect. Raises `InvalidInput`."""
    if type(config) is not TemperatureScalingConfig:
        raise InvalidInput(f"The configuration is a {type(config).__name__}.", "Pass a TemperatureScalingConfig.")
    generator(seed, "predict", torch.device("cpu"))
    x, y = gather(data)
    network = freeze(model, device)
    x, y = x.to(network.device), y.to(network.device)
    check_inputs(x, network.dtype, network.device)
    logits = outputs(network, x)
    check_targets(config.likelihood, y, logits)
    return TemperatureScalingPosterior(config, network, fit_temperature(config.likelihood, logits[None], y))


def predict(posterior: TemperatureScalingPosterior, x: Tensor) -> Predictive:
    """Logits over the temperature, no variance, and their probabilities (binary: of label 1). Raises `InvalidInput`."""
    logits = _logits(posterior, x)
    variance = torch.zeros(*logits.shape, logits.shape[1], dtype=logits.dtype, device=logits.device)
    return Predictive(logits, variance, probs=probabilities(posterior.config.likelihood, logits[None]))


def sample(
    posterior: TemperatureScalingPosterior, x: Tensor, count: int, seed: int
) -> Float[Tensor, "count inputs outputs"]:
    """The same logits `count` times: there is one function. Raises `InvalidInput`."""
    wanted = at_least(1, "count", count)
    generator(seed, "sample", torch.device("cpu"))
    return _logits(posterior, x).expand(wanted, -1, -1).clone()


def save(posterior: TemperatureScalingPosterior, path: str | Path) -> None:
    """Write everything but the architecture to one safetensors file. Raises `StorageError`."""
    facts = {
        "method": METHOD,
        "config": json.dumps(asdict(posterior.config)),
        "temperature": repr(posterior.temperature),
    }
    write_posterior(path, posterior.network, {}, facts)


def load(path: str | Path, model: nn.Module, *, device: str | torch.device = "cpu") -> TemperatureScalingPosterior:
    """Read what `save` wrote. `model` supplies the architecture only. Raises `InvalidInput`, `StorageError`."""
    network, _, facts = read_posterior(path, model, METHOD, device)
    try:
        config, temperature = TemperatureScalingConfig(**json.loads(facts["config"])), float(facts["temperature"])
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{path} holds no complete posterior ({error}).", "Save it again.") from error
    if not 0 < temperature < float("inf"):
        raise InvalidInput(f"{path}: the temperature is {temperature!r}.", "Fit it again.")
    return TemperatureScalingPosterior(config, network, temperature)


def _logits(posterior: TemperatureScalingPosterior, x: Tensor) -> Float[Tensor, "inputs outputs"]:
    check_inputs(x, posterior.network.dtype, posterior.network.device)
    return outputs(posterior.network, x) / posterior.temperature
