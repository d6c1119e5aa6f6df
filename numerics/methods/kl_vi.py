"""Variational inference with a KL divergence to the prior: a mean-field Gaussian over the weights, trained on the evidence lower bound.

Objective. q = N(mean, S S^T) over the weights of the chosen layers (by default all, diagonal), points elsewhere (norms, other layers);
minimise E_q [mean negative log likelihood] + kl_weight KL(q || p) / N, with p independent, mean 0, and prior_scale times the
parametrisation's standard deviations. In a linear model the diagonal family takes the exact posterior's mean, and variances that are too
small: those of used features fall to 0 with the weight of the divergence, in the null space too (ib.kl_compare). It is the baseline of
implicit-bias variational inference, which has no divergence.

Algorithm. Reparametrised draws, one for a batch, SGD with momentum at the learning rates of the parametrisation; the divergence in closed
form, for diagonal, full and full-rank Kronecker covariances. A low-rank law has an infinite divergence to any nonsingular prior and is
refused. The divergence's -ln s is steep near 0, where a constant step with momentum can bounce for ever; the schedule brings it to rest.

Choices and their origin.
  likelihood             no default; "gaussian" needs a noise_variance larger than 0
  noise_variance = 0.0   of a Gaussian likelihood: it enters the objective
  epochs = 200, batch_size = 128, momentum = 0.9, learning_rate = 0.01, schedule = "cosine"   as in `ibvi`
  covariance = "diagonal"   mean field, the usual choice (Blundell et al. 2015); "full" and "kronecker" at full rank
  rank = None            for a Kronecker covariance None, all columns: any less is singular
  layers = "auto", covariance_rate = None, start = "draw", samples = 1, antithetic = False, expectation = "sampled"   as in `ibvi`
  parametrisation = "sp"   the standard scales, which make the prior's
  covariance_scale = 0.1   standard deviations at the start over the prior's, independent whatever the covariance: small, so that training
                         begins with a clear signal
  prior_scale = 1.0      the prior's standard deviations over the parametrisation's
  kl_weight = 1.0        the evidence lower bound; below 1 a cold posterior
  test_samples = 32, link = "mc"   as in `ibvi`

Theorems: ib.kl_compare (the linear model), ib.gauss_identities (the gradients).
Source: Blundell et al. 2015. Written from the equations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...theory.errors import InvalidInput
from ..variational.divergence import independent_start, kl_divergence, table_prior
from ..variational.family import Law
from ..variational.objective import SampledTerms
from ..variational.training import Epoch, Trained, training
from . import variational_fit
from .grammar import Predictive
from .variational_fit import VariationalConfig, VariationalPosterior, load_law, prepared, save_law

METHOD = "kl_vi"


@dataclass(frozen=True)
class KLVIConfig(VariationalConfig):
    """See the module's text for each choice. Raises `InvalidInput`, `AssumptionViolated`."""

    covariance: Literal["low_rank", "full", "kronecker", "diagonal"] = "diagonal"
    rank: int | None = None
    parametrisation: Literal["sp", "ntp", "mup"] = "sp"
    covariance_scale: float = 0.1
    prior_scale: float = 1.0
    kl_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("prior_scale", "kl_weight"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise InvalidInput(f"{name} is {value!r}.", "It must be a finite number larger than 0.")
        if self.likelihood == "gaussian" and not self.noise_variance > 0:
            raise InvalidInput(
                "noise_variance is 0.", "The evidence lower bound needs a likelihood: say how noisy targets are."
            )


@dataclass(frozen=True, eq=False)
class KLVIPosterior(VariationalPosterior):
    """What `fit` found."""


def fit(
    model: nn.Module,
    data: Any,
    config: KLVIConfig,
    *,
    seed: int,
    device: str | torch.device,
    progress: Callable[[Epoch], None] | None = None,
    checkpoint: str | Path | None = None,
) -> KLVIPosterior:
    """Train mean and factor. Data, `model` and `checkpoint` as in `ibvi.fit`. Raises `InvalidInput`, `AssumptionViolated` (an infinite
    divergence among others), `NumericalFailure`, `StorageError`."""
    found, x, y = prepared(model, data, config, KLVIConfig, seed, device)
    sampled = SampledTerms(found, config.objective(), seed=seed)
    prior = table_prior(found, config.prior_scale)
    start = independent_start(found, found.start(seed, means=config.start), prior, config.covariance_scale)
    likelihood = 1 / config.noise_variance if config.likelihood == "gaussian" else 1.0

    def terms(law: Law, batch: Tensor, targets: Tensor, stream: torch.Generator) -> Iterator[Tensor]:
        for term in sampled(law, batch, targets, stream):
            yield likelihood * term
        yield config.kl_weight / len(x) * kl_divergence(found, law, prior)

    for event in training(
        found, start, x, y, terms, config.descent(), seed=seed, settings=config, checkpoint=checkpoint
    ):
        if isinstance(event, Trained):
            return KLVIPosterior(config, found, event.law, seed, history=event.history)
        if progress is not None:
            progress(event)
    raise AssertionError("a training ends with Trained")


def divergence(posterior: KLVIPosterior) -> float:
    """KL(q || p) in nats, of the trained law to its prior."""
    assert isinstance(posterior.config, KLVIConfig)
    with torch.no_grad():
        prior = table_prior(posterior.family, posterior.config.prior_scale)
        return float(kl_divergence(posterior.family, posterior.law, prior))


def predict(posterior: KLVIPosterior, x: Tensor) -> Predictive:
    """Mean and covariance over `test_samples` draws, which are the samples; class probabilities by averaging (binary: of label 1). Raises
    `InvalidInput`."""
    return variational_fit.predict(posterior, x)


def sample(posterior: KLVIPosterior, x: Tensor, count: int, seed: int) -> Float[Tensor, "count inputs outputs"]:
    """Outputs of `count` drawn networks. A draw is one function: its seed gives it at any other inputs. Raises `InvalidInput`."""
    return variational_fit.sample(posterior, x, count, seed)


def calibrate(posterior: KLVIPosterior, data: Any) -> KLVIPosterior:
    """The posterior with the temperature that suits held-out (inputs, labels) best. Raises `InvalidInput`."""
    return variational_fit.calibrate(posterior, data)


def save(posterior: KLVIPosterior, path: str | Path) -> None:
    """Write everything but the architecture to one safetensors file. Raises `StorageError`."""
    save_law(posterior, path, METHOD)


def load(path: str | Path, model: nn.Module, *, device: str | torch.device = "cpu") -> KLVIPosterior:
    """Read what `save` wrote. `model` supplies the architecture only. Raises `InvalidInput`, `StorageError`."""
    return KLVIPosterior(*load_law(path, model, METHOD, KLVIConfig, device))
