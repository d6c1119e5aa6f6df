"""Outputs whose last, linear layer is integrated: their mean and variance given a draw of everything below."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from ...theory.errors import InvalidInput
from .family import Family, Law
from .layers import Layer


def require_readout(family: Family) -> Layer:
    """The variational linear layer whose output is the module's. Raises `InvalidInput` where there is none."""
    layer = family.readout
    if layer is None:
        raise InvalidInput(
            "The last layer's expectation has no closed form here.",
            "It needs a variational nn.Linear, called once, with a weight of its own, whose output is the model's output; else sample it.",
        )
    return layer


def output_moments(
    family: Family, law: Law, z: Tensor | None, x: Tensor
) -> tuple[Float[Tensor, "batch outputs"], Float[Tensor, "batch outputs"]]:
    """Mean and variance over the last layer of every output, at noise z of the layers below. Raises `InvalidInput`."""
    layer = require_readout(family)
    part = family.network.module.get_submodule(layer.name)
    seen: list[Tensor] = []

    def note(module: Any, inputs: Any) -> None:
        seen.append(inputs[0])

    handle = part.register_forward_pre_hook(note)
    try:
        mean = family.call(family.at(law, z, without=(layer,)), x)
    finally:
        handle.remove()
    return mean, family.covariance.output_variance(layer, law.factors, family.multipliers, seen[-1])
