"""Random network distillation (RND): the error of a predictor trained on a frozen random network, halved, is the ensemble's variance.

Objective. A target g and a predictor u of the user's architecture, each with `heads` outputs on a shared trunk, are drawn independently. u minimises
1/2 sum_n |u(x_n) - g(x_n)|^2 + noise_variance/2 |w - w_0|^2 by full-batch descent in standard normal coordinates. In the limit of infinite
width the errors u - g of different heads are independent Gaussian processes with covariance 2 Sigma, Sigma that of the deep
ensemble trained the same way (iw.rnd_equals_ensemble): eps^2/2, eps^2 the mean square over heads, estimates the ensemble's variance, with
relative standard error sqrt(2/heads) and the exact law of chi-squared with `heads` degrees of freedom. The targets y are not used
for it. The mean is that of one centred network f - f_0 trained on y: in the limit the ensemble's mean.

Algorithm. Target values are cached; step and stopping rule as in `deep_ensemble`; three networks are trained or stored, whatever the number of
heads. `interval` inverts the chi-squared law. At finite width heads share their trunk: more than about the width of them buy nothing.

Choices and their origin.
  weight_std, bias_std   no default: they are the prior
  heads = 100            a relative standard error of 14 percent
  centred = False        True subtracts the predictor's start, and then no factor 2 is left (the variance of the estimate is the same)
  noise_variance = 0     a ridge to the start; an ensemble with the same ridge is what is measured, which is no posterior
  tolerance = 1e-4, max_steps = 20000, momentum = "auto"   as in `deep_ensemble`

Refused: Adam, float32, batch statistics, a frozen readout. Theorems: iw.rnd_equals_ensemble, iw.lin_cov_inf.
Source: Zanger et al. 2026 (with the factor 2 that their corollary lacks); Burda et al. 2018 for the idea, whose practice (Adam, unequal
architectures, normalised inputs) the theory does not cover. Written from the equations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...theory.errors import InvalidInput
from ..wide_networks.heads import heads_interval
from ..wide_networks.posterior_functions import HeadsExhausted
from .centred_network import fit_centred, mean_network, predict_centred
from .data import check_inputs, generator
from .descent import DescentProgress, descend
from .grammar import Predictive
from .network import outputs
from .normal_parametrisation import NormalModule, Normals
from .wide_fit import WideConfig, at_least, identity_covariance, load_normals, module_of, prepared, save_normals

METHOD = "rnd"


@dataclass(frozen=True)
class RNDConfig(WideConfig):
    """See the module's text for each choice. Raises `InvalidInput`."""

    heads: int = 100
    centred: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, "heads", self.heads)
        if not isinstance(self.centred, bool):
            raise InvalidInput(f"centred is {self.centred!r}.", "It is True or False.")


@dataclass(frozen=True, eq=False)
class RNDPosterior:
    """The widened module with the numbers of target, predictor and the predictor's start; the centred network of the mean; residuals."""

    config: RNDConfig
    module: NormalModule
    mean_module: NormalModule
    seed: int
    target: Normals
    start: Normals
    predictor: Normals
    mean_start: Normals
    mean: Normals


def fit(
    model: nn.Module,
    data: Any,
    config: RNDConfig,
    *,
    seed: int,
    device: str | torch.device,
    progress: Callable[[DescentProgress], None] | None = None,
) -> RNDPosterior:
    """Train predictor and mean network. data: (inputs (N, ...), targets (N, C)) or an iterable of such batches; `model` gives the architecture
    and is left as it is. Raises `InvalidInput`, `AssumptionViolated`, `NumericalFailure`."""
    mean_module, x, y = prepared(model, data, config, RNDConfig, seed, device)
    module = module_of(model, x, config, device, heads=config.heads)
    target, start = (module.draw(1, seed, f"rnd: {role}") for role in ("target", "predictor"))
    with torch.no_grad():
        goal = module.population(target, x)
    found = descend(
        module, start, x, goal,
        penalty=float(config.noise_variance), tolerance=config.tolerance, max_steps=config.max_steps,
        momentum=config.momentum, centred=config.centred,
        progress=progress,
    )  # fmt: skip
    mean_start, mean = fit_centred(mean_module, x, y, config, seed)
    return RNDPosterior(config, module, mean_module, seed, target, start, found.normals, mean_start, mean)


def errors(posterior: RNDPosterior, x: Tensor) -> Float[Tensor, "inputs heads"]:
    """u - g of every head at x (for a centred predictor u less its start). Raises `InvalidInput`."""
    network = posterior.module.network
    check_inputs(x, network.dtype, network.device)
    outputs(network, x[:1])  # refuses shapes that the model cannot take
    posterior_call = posterior.module.population
    with torch.no_grad():
        value = posterior_call(posterior.predictor, x)[0] - posterior_call(posterior.target, x)[0]
        return value - posterior_call(posterior.start, x)[0] if posterior.config.centred else value


def factor(config: RNDConfig) -> float:
    """Covariance of the errors over that of the ensemble."""
    return 1.0 if config.centred else 2.0


def predict(posterior: RNDPosterior, x: Tensor) -> Predictive:
    """Mean of the centred network; the ensemble's variance by distillation, the same for every output. Raises `InvalidInput`."""
    square = errors(posterior, x).square().mean(1) / factor(posterior.config)
    mean = predict_centred(posterior.mean_module, posterior.mean_start, posterior.mean, x)
    return Predictive(
        mean, identity_covariance(square, mean.shape[1]), noise_variance=float(posterior.config.noise_variance)
    )


def interval(posterior: RNDPosterior, x: Tensor, *, alpha: float) -> tuple[Tensor, Tensor]:
    """Lower and upper limit (inputs,) of the ensemble's variance, each input by itself with probability 1 - alpha over the draws, in the limit of
    infinite width (`heads_interval`: chi-squared with `heads` degrees of freedom). Raises `InvalidInput`."""
    estimate = errors(posterior, x).square().mean(1) / factor(posterior.config)
    limits = heads_interval(estimate.cpu().numpy(), heads=posterior.config.heads, alpha=alpha)
    low, high = (torch.as_tensor(limit, dtype=estimate.dtype, device=estimate.device) for limit in limits)
    return low, high


def sample(posterior: RNDPosterior, x: Tensor, count: int, seed: int) -> Float[Tensor, "count inputs outputs"]:
    """Mean plus the errors of heads that are not used twice, divided by the square root of the factor: in the limit independent ensemble
    members. Each draw takes one head for each output. Raises `HeadsExhausted`."""
    wanted = at_least(1, "count", count)
    mean = predict_centred(posterior.mean_module, posterior.mean_start, posterior.mean, x)
    chosen = draw_heads(posterior.config.heads, wanted, mean.shape[1], seed).to(x.device)
    drawn = errors(posterior, x)[:, chosen] / factor(posterior.config) ** 0.5
    return mean + drawn.permute(1, 0, 2)


def draw_heads(heads: int, draws: int, outputs: int, seed: int) -> Tensor:
    """Indices (draws, outputs) of heads, none twice. Raises `HeadsExhausted`."""
    order = torch.randperm(heads, generator=generator(seed, "sample", torch.device("cpu")))
    if draws * outputs > heads:
        raise HeadsExhausted(heads, draws * outputs, heads)
    return order[: draws * outputs].reshape(draws, outputs)


def save(posterior: RNDPosterior, path: str | Path) -> None:
    """Write everything but the architecture to one safetensors file. Raises `StorageError`."""
    groups = {"target": posterior.target, "start": posterior.start, "predictor": posterior.predictor}
    extra = {f"mean start/{k}": v for k, v in posterior.mean_start.items()} | {
        f"mean/{k}": v for k, v in posterior.mean.items()
    }
    save_normals(path, METHOD, posterior.module, groups, posterior.config, posterior.seed, extra)


def load(path: str | Path, model: nn.Module, *, device: str | torch.device = "cpu") -> RNDPosterior:
    """Read what `save` wrote. `model` supplies the architecture only. Raises `InvalidInput`, `StorageError`."""
    found = load_normals(path, model, METHOD, RNDConfig, ("target", "start", "predictor"), device)
    mean_module, mean_start, mean = mean_network(path, model, found, device)
    return RNDPosterior(
        found.config, found.module, mean_module, found.seed,
        found.groups["target"], found.groups["start"], found.groups["predictor"], mean_start, mean,
    )  # fmt: skip
