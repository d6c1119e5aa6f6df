"""What a method accepts as data, and the checks that come before any expensive work."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...theory.errors import InvalidInput
from ..randomness import sub_seed


def gather(data: Any) -> tuple[Tensor, Tensor]:
    """Inputs and targets as two tensors, from a pair of tensors or from an iterable of such pairs (a DataLoader)."""
    if isinstance(data, (tuple, list)) and len(data) == 2 and all(isinstance(part, Tensor) for part in data):
        x, y = data
    else:
        if not isinstance(data, Iterable):
            raise InvalidInput(
                f"The data is a {type(data).__name__}.", "Pass (inputs, targets) or a loader of such pairs."
            )
        batches = list(data)
        for batch in batches:
            pair = isinstance(batch, (tuple, list)) and len(batch) == 2
            if not pair or not all(isinstance(part, Tensor) for part in batch):
                raise InvalidInput("A batch of the data is not a pair of tensors.", "Yield (inputs, targets).")
        if not batches:
            raise InvalidInput("The data is empty.", "Give at least one example.")
        try:
            x, y = (torch.cat([batch[part] for batch in batches]) for part in (0, 1))
        except RuntimeError as error:
            raise InvalidInput(
                f"The batches do not fit together: {error}", "All need the same shape but for the first axis."
            ) from error
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise InvalidInput(
            f"Inputs have shape {tuple(x.shape)}, targets {tuple(y.shape)}.",
            "The first axes must be the same examples.",
        )
    if len(x) == 0:
        raise InvalidInput("The data is empty.", "Give at least one example.")
    return x, y


def place(device: str | torch.device) -> torch.device:
    """The device of that name, if tensors can be made on it. Raises `InvalidInput`."""
    if not isinstance(device, (str, torch.device)):
        raise InvalidInput(f"The device is {device!r}.", 'Name it, for example "cpu".')
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise InvalidInput(f"The device {device!r} cannot be used: {error}", "Choose another device.") from error


def check_inputs(x: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    """`x` if it is a finite batch of the given dtype (integer inputs pass, for embeddings) on the given device."""
    if not isinstance(x, Tensor):
        raise InvalidInput(f"The inputs are a {type(x).__name__}.", "Pass a torch.Tensor.")
    if x.ndim == 0 or len(x) == 0:
        raise InvalidInput(f"The inputs have shape {tuple(x.shape)}.", "Give at least one input along the first axis.")
    if x.layout != torch.strided:
        raise InvalidInput(f"The inputs have the layout {x.layout}.", "Pass a dense tensor: x.to_dense().")
    if x.is_complex() or (x.is_floating_point() and x.dtype != dtype):
        raise InvalidInput(
            f"The inputs are {x.dtype}, the model's parameters {dtype}.",
            "Convert one of them; nothing is converted silently.",
        )
    if x.device != device:
        raise InvalidInput(f"The inputs are on {x.device}, the posterior on {device}.", "Move one of them.")
    if x.is_floating_point() and not all_finite(x):
        raise InvalidInput("The inputs contain NaN or infinity.", "Remove or impute those examples first.")
    return x


def all_finite(value: Tensor) -> bool:
    """Whether every entry is finite, in one pass without a copy: a NaN is both the least and the greatest of its tensor."""
    return value.numel() == 0 or all(math.isfinite(float(end)) for end in torch.aminmax(value.detach()))


def check_regression_targets(y: Tensor, examples: int, width: int) -> None:
    """Real targets of shape (examples, outputs)."""
    if tuple(y.shape) != (examples, width):
        raise InvalidInput(
            f"The targets have shape {tuple(y.shape)}, the model's outputs {(examples, width)}.",
            "They must be the same.",
        )
    if not y.is_floating_point() or not torch.isfinite(y).all():
        raise InvalidInput("The targets are not finite real numbers.", "A Gaussian likelihood needs float targets.")


def check_class_targets(y: Tensor, examples: int, width: int) -> None:
    """Class labels 0..width-1 of shape (examples,)."""
    if tuple(y.shape) != (examples,) or y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        raise InvalidInput(
            f"The targets have shape {tuple(y.shape)} and dtype {y.dtype}.", f"Pass {examples} integer class labels."
        )
    if width < 2:
        raise InvalidInput("A softmax over one output is constant.", "Use a model with one output per class.")
    if int(y.min()) < 0 or int(y.max()) >= width:
        raise InvalidInput(f"A class label lies outside 0..{width - 1}.", "The model has one output per class.")


def generator(seed: int, purpose: str, device: torch.device) -> torch.Generator:
    """A random stream that belongs to (`seed`, `purpose`) alone: streams of different purposes never overlap."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InvalidInput(f"The seed is {seed!r}.", "Pass a whole number of at least 0.")
    return torch.Generator(device).manual_seed(sub_seed(int(seed), purpose))
