"""A certificate for one deterministic network, by writing down how it differs from a network fixed before the data (pb.compression).

Every trainable parameter becomes that of the base plus one of L levels; the levels are written in half precision, the rest is the
enumerative code of `quantised_code_bits`. The decoder is the base, the architecture and L.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...theory.errors import AssumptionViolated, InvalidInput
from ...theory.validation import log_inverse_delta, sample_size
from ..bounds.certificate import Certificate
from ..bounds.compression import compression_bound, quantised_code_bits
from ..methods.network import FrozenNetwork, freeze, outputs
from .gaussian import constants
from .losses import zero_one
from .monte_carlo import labelled_data

FloatArray = NDArray[np.float64]
BATCH = 4096


@dataclass(frozen=True, eq=False)
class Quantised:
    """The network that the certificate is about, its levels, how many parameters sit at each, and the length of its code in bits."""

    module: nn.Module
    certificate: Certificate
    levels: tuple[float, ...]
    level_counts: tuple[int, ...]
    code_bits: int


def certify_quantised(
    module: nn.Module,
    *,
    base: nn.Module,
    data: Any,
    delta: float,
    levels: int = 3,
    choices: int = 1,
    iterations: int = 50,
    device: str | torch.device = "cpu",
) -> Quantised:
    """Quantise `module` around `base` and bound the true 0-1 risk of the result, with probability 1 - delta.

    Parameters
    ----------
    module: a trained classifier; it may have been trained on all the data. It is copied and left as it is.
    base: the same architecture with parameters chosen before `data`: an initialisation, or a network trained on other examples.
    data: the examples of the bound, (inputs, labels) or an iterable of such batches.
    delta: probability that the bound fails.
    levels: number L of levels, one of which is 0 (no change); fixed in advance, or one of `choices` settings that were tried.
    iterations: at most so many rounds of Lloyd's algorithm on the differences, which place the levels.

    The quantised network errs more than the original; the certificate counts its errors. Raises `InvalidInput`, and `AssumptionViolated`
    where something that is not trainable differs from the base: the code does not describe it.
    """
    log_inverse_delta(delta)
    count, rounds = sample_size("levels", levels), sample_size("iterations", iterations)
    trained, start = freeze(module, device), freeze(base, device)
    _require_same(trained, start)
    if count > trained.size:
        raise InvalidInput(f"There are {count} levels for {trained.size} parameters.", "Use fewer levels.")
    x, y = labelled_data(data, trained)
    names = list(trained.random)
    change = torch.cat(
        [(trained.random[name] - start.random[name]).double().cpu().reshape(-1) for name in names]
    ).numpy()
    book = codebook(change, count, rounds)
    index = _nearest(change, book)
    counts = tuple(int(c) for c in np.bincount(index, minlength=len(book)))
    parts = torch.as_tensor(book[index]).split([trained.random[name].numel() for name in names])
    private = deepcopy(start.module)
    with torch.no_grad():
        for name, part in zip(names, parts, strict=True):
            value = start.random[name]
            private.get_parameter(name).copy_(value + part.reshape(value.shape).to(value))
    decoded = freeze(private, device)
    errors = sum(
        int(zero_one(outputs(decoded, inputs), labels).sum())
        for inputs, labels in zip(x.split(BATCH), y.split(BATCH), strict=True)
    )
    certificate = compression_bound(errors=errors, n=len(x), level_counts=counts, choices=choices, delta=delta)
    return Quantised(private, certificate, tuple(map(float, book)), counts, quantised_code_bits(counts))


def codebook(change: FloatArray, levels: int, iterations: int) -> FloatArray:
    """Levels for the numbers in `change`, exact in half precision, 0 among them: Lloyd's algorithm from quantiles of the non-zero ones."""
    moving = change[change != 0]
    if levels == 1 or not moving.size:
        return np.zeros(1) if levels == 1 else np.concatenate([[0.0], np.arange(1.0, levels)])
    book = np.quantile(moving, (np.arange(levels - 1) + 0.5) / (levels - 1))
    for _ in range(iterations):
        index = _nearest(change, np.concatenate([[0.0], book]))
        sums, sizes = np.bincount(index, change, levels)[1:], np.bincount(index, minlength=levels)[1:]
        moved = np.where(sizes > 0, sums / np.maximum(sizes, 1), book)
        if np.array_equal(moved, book):
            break
        book = moved
    limited = np.clip(book, -65504.0, 65504.0).astype(np.float16).astype(np.float64)
    return np.concatenate([[0.0], limited])


def _nearest(values: FloatArray, book: FloatArray) -> NDArray[np.intp]:
    order = np.argsort(book, kind="stable")
    middles = (book[order][1:] + book[order][:-1]) / 2
    return order[np.searchsorted(middles, values)]


def _require_same(trained: FrozenNetwork, start: FrozenNetwork) -> None:
    if repr(trained.module) != repr(start.module) or {n: v.shape for n, v in trained.random.items()} != {
        n: v.shape for n, v in start.random.items()
    }:
        raise InvalidInput("module and base have different architectures.", "The base must be of the same one.")
    ours, theirs = constants(trained), constants(start)
    for name in {**ours, **theirs}:
        if name not in ours or name not in theirs or not torch.equal(ours[name], theirs[name]):
            raise AssumptionViolated(
                f"The fixed tensor {name!r} differs between module and base.",
                "The code describes trainable parameters only: take it from the base, or make it trainable.",
            )
