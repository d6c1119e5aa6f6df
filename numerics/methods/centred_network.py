"""One centred network f - f_0 trained on the targets: in the limit of infinite width it is the ensemble's mean, without any variance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...theory.errors import InvalidInput
from .data import check_inputs
from .descent import descend
from .network import FrozenNetwork, freeze, outputs
from .normal_parametrisation import NormalModule, Normals
from .wide_fit import Loaded, WideConfig


def fit_centred(module: NormalModule, x: Tensor, y: Tensor, config: WideConfig, seed: int) -> tuple[Normals, Normals]:
    """Start and end of the training, by ridge to the start with the declared noise. Raises `NumericalFailure`."""
    start = module.draw(1, seed, "centred network of the mean")
    found = descend(
        module, start, x, y[None],
        penalty=float(config.noise_variance), tolerance=config.tolerance, max_steps=config.max_steps,
        momentum=config.momentum, centred=True,
    )  # fmt: skip
    return start, found.normals


def predict_centred(
    module: NormalModule, start: Normals, trained: Normals, x: Tensor
) -> Float[Tensor, "inputs outputs"]:
    """f - f_0 at x. Raises `InvalidInput`."""
    check_inputs(x, module.network.dtype, module.network.device)
    outputs(module.network, x[:1])  # refuses shapes that the model cannot take
    with torch.no_grad():
        return module.population(trained, x)[0] - module.population(start, x)[0]


def mean_network(
    path: str | Path, model: nn.Module, found: Loaded, device: str | torch.device
) -> tuple[NormalModule, Normals, Normals]:
    """The centred network of a file whose module has other outputs. Raises `InvalidInput`."""
    groups: list[Normals] = []
    for group in ("mean start", "mean"):
        normals = {name: found.extra.get(f"{group}/{name}") for name in found.module.factors}
        if any(value is None for value in normals.values()):
            raise InvalidInput(f"{path} lacks the network of the mean.", "Save it again.")
        groups.append({name: value for name, value in normals.items() if value is not None})
    network = freeze(model, device)
    stored: dict[str, Any] = found.module.network.random
    random = {
        name: value if name.rpartition(".")[0] == found.module.readout or name not in stored else stored[name]
        for name, value in network.random.items()
    }
    for name, value in groups[0].items():
        if name not in random or tuple(random[name].shape) != tuple(value.shape[1:]):
            raise InvalidInput(f"The model's tensor {name!r} is not that of {path}.", "Pass the same architecture.")
    module = NormalModule(
        FrozenNetwork(network.module, random, found.module.network.fixed),
        found.module.factors,
        found.module.readout,
        found.module.held,
    )
    return module, groups[0], groups[1]
