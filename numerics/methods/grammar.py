"""The grammar that every method speaks: what it is called, where it lives, and what its predictions look like.

A method is a module with a frozen configuration class and five functions:

    fit(model, data, config, *, seed, device) -> posterior
    predict(posterior, x) -> Predictive
    sample(posterior, x, count, seed) -> draws of the function at x, shape (count, inputs, outputs)
    save(posterior, path)                      one safetensors file; nothing is pickled
    load(path, model, *, device) -> posterior  `model` supplies the architecture, the file supplies every number

The record below names the module without importing it, so that methods can be listed where their framework is absent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from jaxtyping import Float

from ...theory.errors import MissingExtra

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Method:
    """One entry of `METHODS`.

    `module` is relative to `nonvacuous.numerics.methods`, `config` the name of its configuration class, `theorems` the
    keys of the statements about it, `extra` the optional dependency group that it needs.
    """

    name: str
    title: str
    module: str
    config: str
    theorems: tuple[str, ...]
    extra: str


@dataclass(frozen=True)
class Implementation:
    """The functions behind a `Method`, resolved: importing them imports the framework."""

    config: type
    fit: Callable[..., Any]
    predict: Callable[..., Predictive]
    sample: Callable[..., Tensor]
    save: Callable[..., None]
    load: Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Predictive:
    """What a method believes about the outputs at a batch of inputs.

    mean: centre of the latent outputs (for a classifier the logits).
    variance: latent covariance over the outputs of each input. Latent: observation noise is not in it.
    samples: latent draws, coherent across the inputs of the batch, if the method was asked for any.
    probs: class probabilities, if the likelihood is categorical.
    noise_variance: what a Gaussian likelihood adds to each diagonal entry to predict a new observation.
    """

    mean: Float[Tensor, "inputs outputs"]
    variance: Float[Tensor, "inputs outputs outputs"]
    samples: Float[Tensor, "draws inputs outputs"] | None = None
    probs: Float[Tensor, "inputs outputs"] | None = None
    noise_variance: float | None = None


def method_module(method: Method) -> ModuleType:
    """The module of `method`, with its configuration, the functions of the grammar, and what it offers beyond them. Raises `MissingExtra` when
    the framework that it needs is absent."""
    try:
        return import_module(f"{__package__}.{method.module}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("nonvacuous"):
            raise
        raise MissingExtra(
            f"The method '{method.name}' needs '{error.name}', which is not installed.",
            f"pip install 'nonvacuous[{method.extra}]'",
        ) from error


def implementation(method: Method) -> Implementation:
    """The configuration and the functions of the grammar, under the same names for every method. Raises `MissingExtra`."""
    module = method_module(method)
    functions = {name: getattr(module, name) for name in ("fit", "predict", "sample", "save", "load")}
    return Implementation(config=getattr(module, method.config), **functions)
