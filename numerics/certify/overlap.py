"""Did the prior see the examples of the bound? Shared indices of one data set, or equal rows of two sets of tensors."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...theory.errors import AssumptionViolated
from ..methods.data import gather

LOOK_ALIKES = "Split once, and give each example to one side; if they are different examples that look alike, pass n_prior= in place of prior_data=."


def require_disjoint(prior_data: Any, bound_data: Any, *, advice: str = LOOK_ALIKES) -> int:
    """The number of examples in `prior_data`, if none of them is in `bound_data`; both as `certify` takes them.

    Loaders over subsets of one data set are compared by index, everything else by content (input and label). Raises
    `AssumptionViolated` for a shared example, `InvalidInput`.
    """
    ours, theirs = _indices(prior_data), _indices(bound_data)
    if ours is not None and theirs is not None and ours[0] is theirs[0]:
        shared = len(ours[1] & theirs[1])
        if shared:
            raise AssumptionViolated(
                f"{shared} indices of the data set are in the prior's part and in the bound's.",
                "Split once, and give each example to one side.",
            )
        return len(ours[1])
    first, second = gather(prior_data), gather(bound_data)
    if shared := _equal_rows(first, second):
        raise AssumptionViolated(
            f"{shared} examples of the bound equal an example that the prior was learned from.",
            advice,
        )
    return len(first[0])


def refuse_repeated_examples(data: Any) -> None:
    """Refuses loaders and data sets that would count an example more than once, as far as samplers and indices tell."""
    dataset: Any = getattr(data, "dataset", None)
    batches: Any = getattr(data, "batch_sampler", None)
    sampler: Any
    size = len(dataset) if hasattr(dataset, "__len__") else None
    for sampler in (getattr(data, "sampler", None), getattr(batches, "sampler", None)):
        longer = size is not None and hasattr(sampler, "__len__") and len(sampler) > size
        if getattr(sampler, "replacement", False) or longer:
            raise _repeats(f"loader's {type(sampler).__name__}", "use a sequential sampler.")
    parts = getattr(dataset, "datasets", None)
    if parts is not None and len({id(part) for part in parts}) < len(parts):
        raise _repeats(type(dataset).__name__)
    if size is None:
        return
    order = getattr(getattr(data, "sampler", None), "indices", getattr(data, "sampler", None))
    if isinstance(batches, list | tuple):
        order = [index for batch in batches for index in batch]
    drawn = [int(i) for i in order] if isinstance(order, list | tuple | range | Tensor | np.ndarray) else range(size)
    if len({_place(dataset, index) for index in drawn}) < len(drawn):
        raise _repeats(type(dataset).__name__, "look at the indices of its sampler and its subsets.")


def _repeats(what: str, advice: str = "give each part once.") -> AssumptionViolated:
    return AssumptionViolated(f"The {what} repeats examples.", f"A certificate needs every example once: {advice}")


def _place(dataset: Any, index: int) -> tuple[int, int]:
    """Which data set at the bottom of subsets and concatenations an example lies in, and where."""
    while True:
        ends = getattr(dataset, "cumulative_sizes", None)
        index += len(dataset) if index < 0 else 0
        if getattr(dataset, "indices", None) is not None and getattr(dataset, "dataset", None) is not None:
            dataset, index = dataset.dataset, int(dataset.indices[index])
        elif ends is not None and getattr(dataset, "datasets", None) is not None:
            part = bisect_right(ends, index)
            dataset, index = dataset.datasets[part], index - (ends[part - 1] if part else 0)
        else:
            return id(dataset), index


def _indices(data: Any) -> tuple[Any, set[int]] | None:
    """(data set, indices) of a loader over a subset or with a subset sampler, or of a subset itself."""
    dataset = getattr(data, "dataset", None)
    sampler = getattr(data, "sampler", None)
    chosen = getattr(sampler, "indices", None)
    if chosen is not None and dataset is not None:
        return _resolve(dataset, [int(i) for i in chosen])
    if getattr(data, "indices", None) is not None and dataset is not None:
        return _resolve(dataset, [int(i) for i in data.indices])
    if getattr(dataset, "indices", None) is not None:
        return _indices(dataset)
    return None


def _resolve(dataset: Any, indices: list[int]) -> tuple[Any, set[int]]:
    """Subsets of subsets are followed to the data set at the bottom."""
    while getattr(dataset, "indices", None) is not None and getattr(dataset, "dataset", None) is not None:
        indices = [int(dataset.indices[i]) for i in indices]
        dataset = dataset.dataset
    size = len(dataset) if any(i < 0 for i in indices) else 0
    return dataset, {i + size if i < 0 else i for i in indices}  # -1 is the last one under another name


def _equal_rows(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> int:
    """How many rows of `second` occur in `first`."""
    if first[0].shape[1:] != second[0].shape[1:]:
        return 0
    known = set(_rows(first))
    return sum(row in known for row in _rows(second))


def _rows(data: tuple[Tensor, Tensor]) -> list[bytes]:
    x, y = (part.detach().cpu() for part in data)
    # adding 0 makes -0.0 and 0.0 the same bytes
    flat = (x.reshape(len(x), -1).to(torch.float64) + 0.0).numpy()
    labels = y.reshape(len(y), -1).to(torch.float64).numpy()
    return [row.tobytes() + label.tobytes() for row, label in zip(flat, labels, strict=True)]
