"""What the wide-network methods share: their settings, checks before the first step, and files."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ...theory.errors import InvalidInput
from .data import check_inputs, check_regression_targets, gather, generator, place
from .descent import AUTO, SPECTRUM, check_momentum, stopping
from .files import read_facts, read_posterior, write_posterior
from .normal_parametrisation import NormalModule, Normals, normal_module, widened


@dataclass(frozen=True)
class WideConfig:
    """Prior scales, noise, momentum and stopping rule, which every method of this family has. Raises `InvalidInput`."""

    weight_std: float
    bias_std: float
    noise_variance: float = 0.0
    tolerance: float = 1e-4
    max_steps: int = 20_000
    momentum: float | Literal["auto", "spectrum"] = "auto"

    def __post_init__(self) -> None:
        for name in ("weight_std", "bias_std", "noise_variance"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise InvalidInput(f"{name} is {value!r}.", "It is a finite number of at least 0.")
        if self.weight_std == 0:
            raise InvalidInput("weight_std is 0.", "Such a network does not see its inputs.")
        stopping(self.tolerance, self.max_steps)
        if self.momentum not in (AUTO, SPECTRUM):
            check_momentum(self.momentum)


def at_least(least: int, name: str, value: Any) -> int:
    """A whole number of at least `least`. Raises `InvalidInput`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidInput(f"{name} is {value!r}.", f"It must be a whole number of at least {least}.")
    return value


def prepared(
    model: nn.Module, data: Any, config: WideConfig, kind: type, seed: int, device: str | torch.device
) -> tuple[NormalModule, Tensor, Tensor]:
    """The module in standard normal coordinates, inputs and targets (N, C) on its device, all checked. Raises `InvalidInput`, `AssumptionViolated`."""
    if type(config) is not kind:
        raise InvalidInput(f"The configuration is a {type(config).__name__}.", f"Pass a {kind.__name__}.")
    generator(seed, "predict", torch.device("cpu"))
    x, y = gather(data)
    module = module_of(model, x, config, device)
    x, y = x.to(module.network.device), y.to(module.network.device)
    check_regression_targets(y, len(x), module.outputs)
    return module, x, y


def module_of(
    model: nn.Module, x: Any, config: WideConfig, device: str | torch.device, heads: int | None = None
) -> NormalModule:
    """The module, after a look at the inputs."""
    where = place(device)
    x = x.to(where) if isinstance(x, Tensor) else x
    check_inputs(x, torch.float64, where)
    return normal_module(model, x, weight_std=config.weight_std, bias_std=config.bias_std, device=device, heads=heads)


def identity_covariance(variance: Tensor, outputs: int) -> Tensor:
    """variance (inputs,) to (inputs, outputs, outputs): in the limit the outputs are independent with one variance."""
    eye = torch.eye(outputs, dtype=variance.dtype, device=variance.device)
    return variance[:, None, None] * eye


@dataclass(frozen=True, eq=False)
class Loaded:
    """What a file holds: the module, the settings, the seed, the numbers by group, and further tensors."""

    module: NormalModule
    config: Any
    seed: int
    groups: dict[str, Normals]
    extra: dict[str, Tensor]


def save_normals(
    path: str | Path,
    method: str,
    module: NormalModule,
    groups: dict[str, Normals],
    config: WideConfig,
    seed: int,
    extra: dict[str, Tensor],
) -> None:
    """Every drawn and trained number of every member, by group. Raises `StorageError`."""
    factors = {f"{group}/{name}": value for group, normals in groups.items() for name, value in normals.items()} | extra
    layout = {"factors": module.factors, "readout": module.readout, "held": module.held, "outputs": module.outputs}
    facts = {"method": method, "config": json.dumps(asdict(config)), "seed": str(seed), "layout": json.dumps(layout)}
    write_posterior(path, module.network, factors, facts)


def load_normals(
    path: str | Path, model: nn.Module, method: str, kind: type, groups: tuple[str, ...], device: str | torch.device
) -> Loaded:
    """What `save_normals` wrote. Raises `InvalidInput`, `StorageError`."""
    facts = read_facts(path, method)
    try:
        config, seed, layout = kind(**json.loads(facts["config"])), int(facts["seed"]), json.loads(facts["layout"])
        readout, width = str(layout["readout"]), int(layout["outputs"])
        given = model.get_submodule(readout) if isinstance(model, nn.Module) else None
        if isinstance(given, nn.Linear) and given.out_features != width:
            model = widened(model, readout, width)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"{path} holds no complete posterior of this model ({error}).", "Save it again.") from error
    network, factors, _ = read_posterior(path, model, method, device)
    if not all(torch.isfinite(value).all() for value in factors.values()):
        raise InvalidInput(f"{path}: a number is not finite.", "Fit it again.")
    found: dict[str, Normals] = {
        group: {name: factors[f"{group}/{name}"] for name in layout["factors"] if f"{group}/{name}" in factors}
        for group in groups
    }
    if any(set(normals) != set(layout["factors"]) for normals in found.values()):
        raise InvalidInput(f"{path} lacks numbers of its members.", "Save it again.")
    module = NormalModule(network, layout["factors"], readout, tuple(layout["held"]))
    extra = {name: value for name, value in factors.items() if name.partition("/")[0] not in groups}
    return Loaded(module, config, seed, found, extra)
