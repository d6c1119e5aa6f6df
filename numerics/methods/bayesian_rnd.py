"""Bayesian random network distillation: errors of a predictor that are draws from the posterior of the tangent-kernel Gaussian process.

Objective. The predictor u has `heads` outputs on a shared trunk and starts at w_0. Its target is g(x) = J(x; w_0) psi, the directional derivative of
u at its own start along an independent standard normal psi whose last-layer entries are 0. u minimises
1/2 sum_n |u(x_n) - g(x_n) - xi_n|^2 + noise_variance/2 |w - w_0|^2, with fresh xi ~ N(0, noise_variance) for every head. In the limit of infinite
width the errors u - g of different heads are independent draws from N(0, T_** - T_*X (T_XX + noise_variance)^-1 T_X*), without the factor 2
of plain distillation (iw.brnd_error_law, iw.brnd_noise): added to the mean, posterior functions, jointly correct at all inputs. The mean is
that of one centred network trained on y with the same penalty.

Algorithm. w_0 is kept; the target's values on the data are computed once, by one directional derivative; step and stopping rule as in
`deep_ensemble`. A draw uses one head for each output, and no head is used twice: when they are exhausted, `sample` says so. No matrix is
inverted or factorised.

Choices and their origin.
  weight_std, bias_std   no default: they are the prior
  noise_variance = 0     the observation noise of the posterior, which is the user's to state; 0 interpolates
  heads = 100            so many draws of one output
  directions = "shared"  one psi for all heads: one derivative. "per_head" makes the heads independent given w_0, at `heads` times the cost. At
                         finite width both are biased, in opposite directions (shared: too small, about 2/width for one head and more with
                         more heads; per_head: too large)
  tolerance = 1e-4, max_steps = 20000, momentum = "auto"   as in `deep_ensemble`

Refused: Adam, float32, batch statistics, a readout whose bias is frozen. Theorems: iw.brnd_error_law, iw.brnd_target, iw.brnd_noise,
iw.brnd_sampling. Source: Zanger et al. 2026; the noisy version and its label noise are derived here. Written from the equations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...theory.errors import InvalidInput
from ..wide_networks.heads import heads_interval
from .centred_network import fit_centred, mean_network, predict_centred
from .data import check_inputs, generator
from .descent import DescentProgress, descend
from .grammar import Predictive
from .network import outputs
from .normal_parametrisation import NormalModule, Normals
from .random_network_distillation import draw_heads
from .wide_fit import WideConfig, at_least, identity_covariance, load_normals, module_of, prepared, save_normals

METHOD = "bayesian_rnd"
DIRECTIONS = ("shared", "per_head")


@dataclass(frozen=True)
class BayesianRNDConfig(WideConfig):
    """See the module's text for each choice. Raises `InvalidInput`."""

    heads: int = 100
    directions: Literal["shared", "per_head"] = "shared"

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, "heads", self.heads)
        if self.directions not in DIRECTIONS:
            raise InvalidInput(f"directions is {self.directions!r}.", f"Choose one of {DIRECTIONS}.")


@dataclass(frozen=True, eq=False)
class BayesianRNDPosterior:
    """The widened module with its start, the directions (1 or `heads` of them) and the trained predictor; the network of the mean."""

    config: BayesianRNDConfig
    module: NormalModule
    mean_module: NormalModule
    seed: int
    start: Normals
    directions: Normals
    predictor: Normals
    mean_start: Normals
    mean: Normals


def fit(
    model: nn.Module,
    data: Any,
    config: BayesianRNDConfig,
    *,
    seed: int,
    device: str | torch.device,
    progress: Callable[[DescentProgress], None] | None = None,
) -> BayesianRNDPosterior:
    """Train predictor and mean network. data: (inputs (N, ...), targets (N, C)) or an iterable of such batches; `model` gives the architecture
    and is left as it is. Raises `InvalidInput`, `AssumptionViolated`, `NumericalFailure`."""
    mean_module, x, y = prepared(model, data, config, BayesianRNDConfig, seed, device)
    module = module_of(model, x, config, device, heads=config.heads)
    readout = module.network.module.get_submodule(module.readout)
    if readout.bias is not None and f"{module.readout}.bias".lstrip(".") not in module.factors and config.bias_std > 0:
        raise InvalidInput(
            "The bias of the last layer is frozen.", "Then T - K is not the kernel of the lower layers: unfreeze it."
        )
    start = module.draw(1, seed, "bayesian rnd: predictor")
    directions = module.draw(1 if config.directions == "shared" else config.heads, seed, "bayesian rnd: directions")
    for name in module.readout_tensors:
        directions[name] = torch.zeros_like(directions[name])
    goal = target(module, start, directions, x)
    noise = torch.randn(
        goal.shape, generator=generator(seed, "bayesian rnd: label noise", x.device), dtype=x.dtype, device=x.device
    )
    found = descend(
        module, start, x, (goal + float(config.noise_variance) ** 0.5 * noise)[None],
        penalty=float(config.noise_variance), tolerance=config.tolerance, max_steps=config.max_steps,
        momentum=config.momentum, progress=progress,
    )  # fmt: skip
    mean_start, mean = fit_centred(mean_module, x, y, config, seed)
    return BayesianRNDPosterior(config, module, mean_module, seed, start, directions, found.normals, mean_start, mean)


def target(module: NormalModule, start: Normals, directions: Normals, x: Tensor) -> Float[Tensor, "inputs heads"]:
    """The derivative of every head at the start along its direction: one direction for all heads, or one for each."""
    at = {name: value[0] for name, value in start.items()}

    def along(direction: Normals) -> Tensor:
        return torch.func.jvp(lambda w: module.call(w, x), (at,), (direction,))[1]

    with torch.no_grad():
        found = torch.func.vmap(along)(directions)
        return found[0] if len(found) == 1 else found.diagonal(dim1=0, dim2=2)


def errors(posterior: BayesianRNDPosterior, x: Tensor) -> Float[Tensor, "inputs heads"]:
    """u - g of every head at x: in the limit, independent draws of the centred posterior. Raises `InvalidInput`."""
    network = posterior.module.network
    check_inputs(x, network.dtype, network.device)
    outputs(network, x[:1])  # refuses shapes that the model cannot take
    with torch.no_grad():
        trained = posterior.module.population(posterior.predictor, x)[0]
    return trained - target(posterior.module, posterior.start, posterior.directions, x)


def predict(posterior: BayesianRNDPosterior, x: Tensor) -> Predictive:
    """Mean of the centred network, and the posterior variance: the mean square over heads, the same for every output. Raises `InvalidInput`."""
    mean = predict_centred(posterior.mean_module, posterior.mean_start, posterior.mean, x)
    square = errors(posterior, x).square().mean(1)
    return Predictive(
        mean, identity_covariance(square, mean.shape[1]), noise_variance=float(posterior.config.noise_variance)
    )


def interval(posterior: BayesianRNDPosterior, x: Tensor, *, alpha: float) -> tuple[Tensor, Tensor]:
    """Limits (inputs,) of the posterior variance, each input by itself with probability 1 - alpha, as in `rnd`. Raises `InvalidInput`."""
    estimate = errors(posterior, x).square().mean(1)
    limits = heads_interval(estimate.cpu().numpy(), heads=posterior.config.heads, alpha=alpha)
    low, high = (torch.as_tensor(limit, dtype=estimate.dtype, device=estimate.device) for limit in limits)
    return low, high


def sample(posterior: BayesianRNDPosterior, x: Tensor, count: int, seed: int) -> Float[Tensor, "count inputs outputs"]:
    """Posterior functions at x: mean plus the errors of heads that are not used twice, one for each output. Raises `HeadsExhausted`."""
    wanted = at_least(1, "count", count)
    mean = predict_centred(posterior.mean_module, posterior.mean_start, posterior.mean, x)
    chosen = draw_heads(posterior.config.heads, wanted, mean.shape[1], seed).to(x.device)
    return mean + errors(posterior, x)[:, chosen].permute(1, 0, 2)


def save(posterior: BayesianRNDPosterior, path: str | Path) -> None:
    """Write everything but the architecture to one safetensors file. Raises `StorageError`."""
    groups = {"start": posterior.start, "directions": posterior.directions, "predictor": posterior.predictor}
    extra = {f"mean start/{k}": v for k, v in posterior.mean_start.items()} | {
        f"mean/{k}": v for k, v in posterior.mean.items()
    }
    save_normals(path, METHOD, posterior.module, groups, posterior.config, posterior.seed, extra)


def load(path: str | Path, model: nn.Module, *, device: str | torch.device = "cpu") -> BayesianRNDPosterior:
    """Read what `save` wrote. `model` supplies the architecture only. Raises `InvalidInput`, `StorageError`."""
    found = load_normals(path, model, METHOD, BayesianRNDConfig, ("start", "directions", "predictor"), device)
    mean_module, mean_start, mean = mean_network(path, model, found, device)
    return BayesianRNDPosterior(
        found.config, found.module, mean_module, found.seed,
        found.groups["start"], found.groups["directions"], found.groups["predictor"], mean_start, mean,
    )  # fmt: skip
