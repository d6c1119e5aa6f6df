"""Layers of fully connected architectures in the NTK parametrisation: frozen dataclasses, told apart in JSON by their `kind`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from .activations import Activation, Scaled, resolve
from .errors import AssumptionViolated, InvalidInput


def _number(name: str, value: Any, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or math.isinf(value):
        raise InvalidInput(f"{name} is {value!r}.", f"Pass a finite number from {low:g} to {high:g}.")


@dataclass(frozen=True)
class Dense:
    """sw/sqrt(fan in) W h + sb b with W, b ~ N(0, 1)."""

    weight_scale: float
    bias_scale: float = 0.0
    kind: Literal["dense"] = "dense"

    def __post_init__(self) -> None:
        _number("weight_scale", self.weight_scale, 0, math.inf)
        _number("bias_scale", self.bias_scale, 0, math.inf)
        if self.weight_scale == 0:
            raise InvalidInput("weight_scale is 0.", "Such a layer ignores its input; remove it.")


@dataclass(frozen=True)
class Activate:
    """phi, entrywise; it needs Gaussian pre-activations."""

    activation: Activation
    kind: Literal["activate"] = "activate"

    def __post_init__(self) -> None:
        resolve(self.activation.base if isinstance(self.activation, Scaled) else self.activation)


@dataclass(frozen=True)
class LayerNorm:
    """(z - mean)/sqrt(variance + epsilon) over the units of a layer; it needs Gaussian pre-activations."""

    epsilon: float = 0.0
    kind: Literal["layer_norm"] = "layer_norm"

    def __post_init__(self) -> None:
        _number("epsilon", self.epsilon, 0, math.inf)


@dataclass(frozen=True)
class Dropout:
    """Entrywise masks Bernoulli(keep_rate)/keep_rate, drawn anew for every input: training mode."""

    keep_rate: float
    kind: Literal["dropout"] = "dropout"

    def __post_init__(self) -> None:
        _number("keep_rate", self.keep_rate, 0, 1)
        if self.keep_rate == 0:
            raise InvalidInput("keep_rate is 0.", "It is the probability that a unit is kept.")


BranchLayer = Dense | Activate | LayerNorm | Dropout


@dataclass(frozen=True)
class Residual:
    """h + F(h). The branch F ends in a Dense layer of its own, whose fresh weights make the two terms independent."""

    branch: tuple[BranchLayer, ...]
    kind: Literal["residual"] = "residual"

    def __post_init__(self) -> None:
        if not self.branch or not all(
            isinstance(layer, Dense | Activate | LayerNorm | Dropout) for layer in self.branch
        ):
            raise InvalidInput(f"The branch is {self.branch!r}.", "Pass Dense, Activate, LayerNorm and Dropout layers.")
        if not isinstance(self.branch[-1], Dense):
            raise AssumptionViolated(
                "The branch of a Residual does not end in a Dense layer.",
                "K' = K + K_F and T' = T + T_F need fresh last weights: without them h and F(h) are correlated.",
            )


Layer = Dense | Activate | LayerNorm | Dropout | Residual


def check_order(layers: Any) -> None:
    """Raises InvalidInput or AssumptionViolated unless the layers make a network whose limit has a closed form here."""
    if not isinstance(layers, tuple | list) or len(layers) < 1:
        raise InvalidInput(f"layers is {layers!r}.", "Pass a tuple of layers that ends in Dense.")
    _check_chain(layers, state="input")
    if not isinstance(layers[-1], Dense):
        raise InvalidInput("The last layer is not Dense.", "End the network in a Dense readout.")


def _check_chain(layers: Any, state: str) -> None:
    for layer in layers:
        if isinstance(layer, Residual):
            if state != "gaussian":
                raise InvalidInput(
                    f"A Residual follows the {state}.", "Put it after a Dense layer or another Residual."
                )
            _check_chain(layer.branch, "gaussian")
        elif isinstance(layer, Dense):
            state = "gaussian"
        elif isinstance(layer, Activate | LayerNorm):
            if state != "gaussian":
                raise AssumptionViolated(
                    f"{type(layer).__name__} follows the {state}, which is not Gaussian.",
                    "Put a Dense layer in between: closed forms need Gaussian pre-activations of mean 0.",
                )
            state = "features" if isinstance(layer, Activate) else "gaussian"
        elif isinstance(layer, Dropout):
            if state == "input":
                raise InvalidInput("Dropout follows the input.", "Put it after an activation or a Dense layer.")
            state = "features"
        elif "batchnorm" in type(layer).__name__.lower() or "batchnorm" in str(layer).lower().replace("_", ""):
            raise AssumptionViolated(
                "Batch normalisation has no closed-form kernel here.",
                "It couples the inputs of a batch, so no function of two inputs describes it: use LayerNorm.",
            )
        else:
            raise InvalidInput(f"{layer!r} is no layer.", "Use Dense, Activate, LayerNorm, Dropout or Residual.")
