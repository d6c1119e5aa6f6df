"""Mean-field Gaussians over the parameters of any torch module: the posteriors and priors that `certify` compares.

A Gaussian carries its module: a private copy of the network that the parameters belong to, with whatever is not random in it
(frozen parameters, buffers). A draw is a predictor; the user's own module is never touched.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ...theory.errors import AssumptionViolated, InvalidInput
from ..methods.files import read_posterior, write_posterior
from ..methods.network import FrozenNetwork, freeze
from .gaussian_kl import LOG_SCALE_LIMIT, Coordinates, gaussian_kl_upper

METHOD = "mean_field_gaussian"


@dataclass(frozen=True, eq=False)
class MeanFieldGaussian:
    """Independent N(mean, exp(log_scale)^2) for every trainable parameter of a module.

    `network` holds the module, the means (`network.random`) and what is not random (`network.fixed`). `log_scales` has the means'
    names, shapes, dtype and device. A tied parameter appears once, under its first name. Raises `InvalidInput`.
    """

    network: FrozenNetwork
    log_scales: dict[str, Tensor]

    def __post_init__(self) -> None:
        _require_matching("log_scales", self.log_scales, self.network.random)
        for name, value in self.log_scales.items():
            if not torch.isfinite(value).all() or float(value.abs().max()) > LOG_SCALE_LIMIT:
                raise InvalidInput(
                    f"The log-scales of {name!r} leave [-{LOG_SCALE_LIMIT:g}, {LOG_SCALE_LIMIT:g}].",
                    "A scale is a standard deviation, larger than 0; pass its logarithm.",
                )
        for name, value in self.means.items():
            if not torch.isfinite(value).all():
                raise InvalidInput(f"The means of {name!r} are not finite.", "No predictor can be drawn from them.")

    @property
    def means(self) -> dict[str, Tensor]:
        """Mean of every random tensor by name, in the module's order."""
        return self.network.random

    @property
    def parameters(self) -> int:
        """Number of random coordinates."""
        return self.network.size


@dataclass(frozen=True)
class Coverage:
    """What a divergence over the parameters counts, and what it does not.

    random: (name, coordinates) of every random tensor, each once. tied: groups of names that share one tensor. fixed: frozen
    parameters, buffers and plain tensor attributes: constants of the predictor, for which no KL is paid.
    """

    random: tuple[tuple[str, int], ...]
    tied: tuple[tuple[str, ...], ...]
    fixed: tuple[str, ...]


def from_module(
    module: nn.Module, scale: float | Mapping[str, float], *, device: str | torch.device = "cpu"
) -> MeanFieldGaussian:
    """Gaussian centred at a module's current parameters, which is copied and left as it is.

    scale: standard deviation of all parameters, or one for each name of `module.named_parameters()` that requires a gradient.
    Raises `InvalidInput`, also for modules whose outputs depend on the batch or on chance (batch norm or dropout in training mode).
    """
    network = freeze(module, device)
    scales = dict(scale) if isinstance(scale, Mapping) else dict.fromkeys(network.random, scale)
    if list(scales) != list(network.random) and set(scales) != set(network.random):
        raise InvalidInput(
            f"Scales are named {sorted(scales)}, parameters {sorted(network.random)}.", "Give one to each."
        )
    for name, value in scales.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise InvalidInput(f"The scale of {name!r} is {value!r}.", "It must be a finite number larger than 0.")
    return MeanFieldGaussian(
        network, {name: torch.full_like(mean, math.log(scales[name])) for name, mean in network.random.items()}
    )


def moved(
    gaussian: MeanFieldGaussian, means: Mapping[str, Tensor], log_scales: Mapping[str, Tensor]
) -> MeanFieldGaussian:
    """The Gaussian with other means and log-scales over the same module. Raises `InvalidInput`."""
    _require_matching("means", means, gaussian.means)
    _require_matching("log_scales", log_scales, gaussian.means)
    network = gaussian.network
    ordered = {name: means[name].detach().clone() for name in network.random}
    return MeanFieldGaussian(
        FrozenNetwork(network.module, ordered, network.fixed),
        {name: log_scales[name].detach().clone() for name in network.random},
    )


def coverage(gaussian: MeanFieldGaussian) -> Coverage:
    """Account for every tensor of the module: random ones counted once, shared names, constants."""
    network = gaussian.network
    names: dict[int, list[str]] = {}
    for name, value in network.module.named_parameters(remove_duplicate=False):
        names.setdefault(id(value), []).append(name)
    return Coverage(
        random=tuple((name, mean.numel()) for name, mean in network.random.items()),
        tied=tuple(tuple(group) for group in names.values() if len(group) > 1),
        fixed=tuple(constants(network)),
    )


def constants(network: FrozenNetwork) -> dict[str, Tensor]:
    """Every tensor that shapes the predictor without being random, registered with the module or not."""
    loose = {
        f"{prefix}.{name}" if prefix else name: value
        for prefix, part in network.module.named_modules()
        for name, value in vars(part).items()
        if isinstance(value, Tensor)
    }
    return {**network.fixed, **loose}


def kl_divergence(posterior: MeanFieldGaussian, prior: MeanFieldGaussian) -> float:
    """KL(posterior || prior) in nats over all random coordinates, float64, never below the exact value for the stored tensors.

    Raises `InvalidInput` when the two are not Gaussians over the same parameters, `AssumptionViolated` when what is not random differs
    between them: such a choice is in no divergence, and a bound that ignored it would be false.
    """
    for name, value in (("posterior", posterior), ("prior", prior)):
        if not isinstance(value, MeanFieldGaussian):
            raise InvalidInput(f"The {name} is a {type(value).__name__}.", "Pass a MeanFieldGaussian.")
    _require_matching("the prior's means", prior.means, posterior.means, same_device=False)
    if repr(prior.network.module) != repr(posterior.network.module):
        raise InvalidInput("Prior and posterior belong to different modules.", "They must share the architecture.")
    ours, theirs = constants(posterior.network), constants(prior.network)
    for name in {**ours, **theirs}:
        if name not in ours or name not in theirs or not torch.equal(ours[name].cpu(), theirs[name].cpu()):
            raise AssumptionViolated(
                f"The fixed tensor {name!r} differs between prior and posterior.",
                "Make it a trainable parameter, or take it from before the data: the divergence does not pay for it.",
            )
    return gaussian_kl_upper(_coordinates(posterior, prior))


def sample(gaussian: MeanFieldGaussian, generator: torch.Generator, count: int | None = None) -> dict[str, Tensor]:
    """One draw of all random tensors, or `count` draws stacked along a first axis. The k-th draw does not depend on `count`.

    Normal variates are rounded to the module's dtype. `generator` must be on the Gaussian's device. Raises `InvalidInput`.
    """
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise InvalidInput(f"count is {count!r}.", "It must be a whole number of at least 1.")
    network = gaussian.network
    if torch.device(generator.device).type != network.device.type:
        raise InvalidInput(
            f"The generator is on {generator.device}, the Gaussian on {network.device}.", "Move one of them."
        )
    # One call for each draw: a single large call would interleave the stream differently for every count.
    rows = [
        torch.randn(network.size, generator=generator, dtype=network.dtype, device=network.device)
        for _ in range(count or 1)
    ]
    noise = torch.stack(rows) if count is not None else rows[0]
    parts = noise.split([mean.numel() for mean in network.random.values()], dim=-1)
    return {
        name: mean + gaussian.log_scales[name].exp() * part.reshape((*part.shape[:-1], *mean.shape))
        for (name, mean), part in zip(network.random.items(), parts, strict=True)
    }


def save(gaussian: MeanFieldGaussian, path: str | Path) -> None:
    """Write means, log-scales and constants to one safetensors file, atomically. Raises `StorageError`."""
    write_posterior(path, gaussian.network, gaussian.log_scales, {"method": METHOD})


def load(path: str | Path, module: nn.Module, *, device: str | torch.device = "cpu") -> MeanFieldGaussian:
    """Read what `save` wrote; `module` supplies the architecture only. Raises `InvalidInput` or `StorageError`."""
    network, log_scales, _ = read_posterior(path, module, METHOD, device)
    _require_matching(f"{path}: log_scales", log_scales, network.random)
    return MeanFieldGaussian(network, {name: log_scales[name] for name in network.random})


def _coordinates(posterior: MeanFieldGaussian, prior: MeanFieldGaussian) -> Iterator[Coordinates]:
    for name in posterior.means:
        tensors = (posterior.means[name], posterior.log_scales[name], prior.means[name], prior.log_scales[name])
        mean, log_scale, prior_mean, prior_log_scale = (tensor.detach().cpu().double().numpy() for tensor in tensors)
        yield mean, log_scale, prior_mean, prior_log_scale


def _require_matching(
    what: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, same_device: bool = True
) -> None:
    if set(found) != set(expected):
        raise InvalidInput(
            f"{what}: the names {sorted(set(found) ^ set(expected))} do not match.", "Give each parameter once."
        )
    for name, value in found.items():
        other = expected[name]
        same = isinstance(value, Tensor) and value.shape == other.shape and value.dtype == other.dtype
        if not same or (same_device and value.device != other.device):
            got = (
                f"{tuple(value.shape)} {value.dtype} {value.device}"
                if isinstance(value, Tensor)
                else type(value).__name__
            )
            raise InvalidInput(
                f"{what}: {name!r} is {got}, not {tuple(other.shape)} {other.dtype} {other.device}.",
                "Use the same architecture.",
            )
