"""Deep ensemble: members of the user's architecture, drawn independently and trained on the same targets.

Objective. Member m starts at weights drawn from its prior and minimises 1/2 sum_n |f(x_n) - y_n|^2 + noise_variance/2 |w - w_m|^2 by full-batch
gradient descent in standard normal coordinates w (each weight is weight_std/sqrt(fan in), each bias bias_std, times a standard normal
number). In the limit of infinite width its outputs follow N(G y, M K M^T) with G = T_*X (T_XX + noise_variance)^-1 and M = [I, -G]
(iw.lin_cov_inf): K is the covariance at initialisation, T the tangent kernel. Without targets' noise this is not a posterior,
whatever the penalty.

Algorithm. All members at once (torch.func over stacked weights). Step and momentum come from the ends of the spectrum of the member's tangent
kernel on the inputs, by Lanczos; a member is done when its residual (with a penalty its gradient) has fallen to `tolerance` of its start. Mean
and covariance over the members are returned; the variance has relative standard error sqrt(2/(members - 1)).

Choices and their origin.
  weight_std, bias_std   no default: they are the prior (the sigma_w, sigma_b of the theory)
  members = 10           deep ensembles use 5 to 10; a variance within 20 percent takes about 200
  noise_variance = 0     the theory's interpolating ensemble
  tolerance = 1e-4       the residual that is left moves a variance by 1e-4 of itself or so
  max_steps = 20000      reached where inputs are nearly equal and no noise is declared, or the network cannot interpolate: an error, not a
                         warning; `progress` is told beforehand what the linearisation would take
  momentum = "auto"      with noise heavy ball at its best for the data, (2/(sqrt L + sqrt l))^2 and ((sqrt L - sqrt l)/(sqrt L + sqrt l))^2 for
                         L the largest eigenvalue + noise_variance, over 0.8 because finite networks' kernels move, and l = noise_variance: the
                         minimum is unique, and it takes 2 to 6 times fewer steps. Without noise plain descent at 0.8 of 2/L: an interpolating
                         network keeps what its path did, and heavy ball ends further from the limit (`descent.rule` gives
                         the figures). Where heavy ball diverges or gets stuck (kinks), "auto"
                         begins again with plain descent. "spectrum" insists on heavy ball, a number fixes the momentum

Refused: Adam (row-space invariance fails: it is another kernel, so this module trains by itself), float32, batch statistics. Norm layers'
weights are held. Theorems: iw.lin_cov_inf (the law), iw.rnd_equals_ensemble (distillation measures twice its covariance),
iw.momentum, iw.max_lr and iw.row_space_invariance (the training).
Sources: Lakshminarayanan et al. 2017; Lee et al. 2019; Polyak 1964 for heavy ball. Written from the equations.
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
from .data import check_inputs, generator
from .descent import DescentProgress, descend
from .grammar import Predictive
from .network import outputs
from .normal_parametrisation import NormalModule, Normals
from .wide_fit import WideConfig, at_least, load_normals, prepared, save_normals

METHOD = "deep_ensemble"


@dataclass(frozen=True)
class DeepEnsembleConfig(WideConfig):
    """See the module's text for each choice. Raises `InvalidInput`."""

    members: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(2, "members", self.members)


@dataclass(frozen=True, eq=False)
class DeepEnsemblePosterior:
    """`normals` holds every member's trained numbers along the first axis; residual: of each member, relative to its start."""

    config: DeepEnsembleConfig
    module: NormalModule
    seed: int
    normals: Normals
    residual: Float[Tensor, " members"]


def fit(
    model: nn.Module,
    data: Any,
    config: DeepEnsembleConfig,
    *,
    seed: int,
    device: str | torch.device,
    progress: Callable[[DescentProgress], None] | None = None,
) -> DeepEnsemblePosterior:
    """Train the members. data: (inputs (N, ...), targets (N, C)) or an iterable of such batches; `model` gives the architecture and is left as it
    is. Raises `InvalidInput`, `AssumptionViolated`, `NumericalFailure`."""
    module, x, y = prepared(model, data, config, DeepEnsembleConfig, seed, device)
    start = module.draw(config.members, seed, "deep ensemble: members")
    found = descend(
        module, start, x, y.expand(config.members, -1, -1),
        penalty=float(config.noise_variance), tolerance=config.tolerance, max_steps=config.max_steps,
        momentum=config.momentum, progress=progress,
    )  # fmt: skip
    return DeepEnsemblePosterior(config, module, seed, found.normals, found.residual)


def predict(posterior: DeepEnsemblePosterior, x: Tensor) -> Predictive:
    """Mean and covariance (divisor members - 1) over the members, and the members themselves as samples. Raises `InvalidInput`."""
    members = _members(posterior, x)
    mean = members.mean(0)
    centred = members - mean
    variance = torch.einsum("mic,mid->icd", centred, centred) / (len(members) - 1)
    return Predictive(mean, variance, samples=members, noise_variance=float(posterior.config.noise_variance))


def sample(posterior: DeepEnsemblePosterior, x: Tensor, count: int, seed: int) -> Float[Tensor, "count inputs outputs"]:
    """Members in a random order, without repetition. Raises `InvalidInput` where more are asked for than there are."""
    wanted = at_least(1, "count", count)
    order = torch.randperm(posterior.config.members, generator=generator(seed, "sample", torch.device("cpu")))
    if wanted > posterior.config.members:
        raise InvalidInput(f"There are {posterior.config.members} members, not {wanted}.", "Fit more members.")
    return _members(posterior, x)[order[:wanted].to(x.device)]


def save(posterior: DeepEnsemblePosterior, path: str | Path) -> None:
    """Write everything but the architecture to one safetensors file. Raises `StorageError`."""
    save_normals(
        path,
        METHOD,
        posterior.module,
        {"member": posterior.normals},
        posterior.config,
        posterior.seed,
        {"residual": posterior.residual},
    )


def load(path: str | Path, model: nn.Module, *, device: str | torch.device = "cpu") -> DeepEnsemblePosterior:
    """Read what `save` wrote. `model` supplies the architecture only. Raises `InvalidInput`, `StorageError`."""
    found = load_normals(path, model, METHOD, DeepEnsembleConfig, ("member",), device)
    return DeepEnsemblePosterior(
        found.config, found.module, found.seed, found.groups["member"], found.extra["residual"]
    )


def _members(posterior: DeepEnsemblePosterior, x: Tensor) -> Float[Tensor, "members inputs outputs"]:
    network = posterior.module.network
    check_inputs(x, network.dtype, network.device)
    outputs(network, x)  # refuses shapes that the model cannot take
    with torch.no_grad():
        return posterior.module.population(posterior.normals, x)
