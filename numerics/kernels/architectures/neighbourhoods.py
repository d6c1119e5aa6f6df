"""Neighbourhoods of positions: patches of images, and sums over the offsets of a filter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..pairs import Matrix

Groups = tuple[tuple[int, ...], ...]  # for each spatial dimension, the axes of an array that a shift moves together


def offsets(size: int) -> range:
    """Offsets of a filter of this size: -1, 0, 1 for 3; an even one reaches further to the right."""
    return range(-((size - 1) // 2), size // 2 + 1)


def patches(images: Matrix, sizes: Sequence[int], circular: bool) -> Matrix:
    """For each position the values under the filter: (n, *spatial, channels) to (n, *spatial, q, channels); beyond the
    border zeros, or with `circular` the other side."""
    found = images[..., None, :]
    for axis, size in enumerate(sizes, start=1):
        parts = [_moved(found, axis, offset, circular) for offset in offsets(size)]
        found = np.concatenate(parts, axis=-2)
    return found


def _moved(array: Matrix, axis: int, offset: int, circular: bool) -> Matrix:
    """array at i + offset."""
    if circular:
        return np.roll(array, -offset, axis=axis)
    out = np.zeros_like(array)
    for target, source in _slices(array.ndim, (axis,), array.shape, offset, circular=False):
        out[target] = array[source]
    return out


def neighbourhood_sum(array: Any, groups: Groups, sizes: Sequence[int], circular: bool, zeros_like: Any = None) -> Any:
    """sum_o array[..., i + o, ..., j + o, ...]: in each spatial dimension all axes of its group move together.

    Beyond the border terms are 0, unless `circular`. NumPy arrays; torch tensors with `zeros_like` = torch.zeros_like.
    """
    create = np.zeros_like if zeros_like is None else zeros_like
    for axes, size in zip(groups, sizes, strict=True):
        if size == 1:
            continue
        out = create(array)
        for offset in offsets(size):
            for target, source in _slices(array.ndim, axes, array.shape, offset, circular=circular):
                out[target] += array[source]
        array = out
    return array


def _slices(
    ndim: int, axes: tuple[int, ...], shape: Sequence[int], offset: int, *, circular: bool
) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Pairs (target, source) of blocks with source index = target index + offset along the axes, modulo their length."""
    length = shape[axes[0]]
    inside = (slice(max(0, -offset), min(length, length - offset)), slice(max(0, offset), min(length, length + offset)))
    parts = [inside]
    if circular and offset > 0:
        parts.append((slice(length - offset, length), slice(0, offset)))
    elif circular and offset < 0:
        parts.append((slice(0, -offset), slice(length + offset, length)))
    choices: list[tuple[tuple[slice, ...], tuple[slice, ...]]] = [((slice(None),) * ndim, (slice(None),) * ndim)]
    for axis in axes:
        choices = [
            ((*target[:axis], t, *target[axis + 1 :]), (*source[:axis], s, *source[axis + 1 :]))
            for target, source in choices
            for t, s in parts
        ]
    yield from choices
