"""Large Gram matrices of fully connected networks, tile by tile: symmetric ones once, in memory that is known before the first tile."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...theory.activations import ABRelu, Activation, Numerical, resolve
from ...theory.errors import InvalidInput
from .fully_connected import (
    FullyConnectedKernels,
    checked_architecture,
    checked_scales,
    kernels_from_state,
    require_norms,
)
from .gram_memory import STRIP, TILE, GramPlan, Which, available_bytes, gram_plan, require_memory
from .input_tiles import input_tile
from .pairs import Matrix, squared_norms
from .rectified_tile import half_versines, rectified_norms, rectified_tile, slopes
from .torch_gram import (
    TorchKernels,
    checked_device,
    checked_inputs,
    free_bytes,
    load,
    rectifier,
    torch_gram,
)

__all__ = ["TILE", "GramPlan", "GramProgress", "fully_connected_gram", "gram_plan"]

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class GramProgress:
    """`done` of `total` tiles are in place."""

    done: int
    total: int


def fully_connected_gram(
    x: Any,
    y: Any = None,
    *,
    depth: int,
    activation: Activation,
    weight_scale: float | Sequence[float],
    bias_scale: float | Sequence[float],
    which: Which = "both",
    threads: int = 1,
    memory_mb: float | None = None,
    out: tuple[Matrix | Tensor | None, Matrix | Tensor | None] | None = None,
    progress: Callable[[GramProgress], None] | None = None,
    device: str | torch.device | None = None,
) -> FullyConnectedKernels | TorchKernels:
    """`fully_connected_kernels` for many inputs: the same values to rounding, by matrix products and tiles.

    Parameters
    ----------
    x (n, d), y (m, d), depth, activation, weight_scale, bias_scale: as there, closed forms only. y = None: half of the tiles.
    which: "nngp" or "ntk" keeps one kernel only (the other is an array without entries).
    threads: tiles at once. NumPy's own threads should then be 1.
    memory_mb: what result and work may take together, in MiB; by default nine tenths of the memory that is free. Predicted before the
        first tile, and refused with advice if it does not fit.
    out: (nngp, ntk) arrays (n, m) of float64 to write into, for example of `numpy.memmap`; None for one that is not wanted.
    progress: called with a `GramProgress` after every tile.
    device: "cpu" or "cuda" computes in torch there and gives `TorchKernels`, as a torch tensor for x or y does, on its own device (rectifiers
        only; no gradients are kept). Then memory is that device's, `out` are tensors on any device, and threads are torch's own.

    Pairs whose cosine is below .95 in size take K(x,y) from a matrix product (relative error about sqrt(d) half-ulps), closer ones
    from exact differences. Raises InvalidInput.
    """
    if device is not None or is_tensor(x) or is_tensor(y):
        given: Any = device if device is not None else (x if is_tensor(x) else y).device
        architecture = {"depth": depth, "weight_scale": weight_scale, "bias_scale": bias_scale}
        return _on_device(x, y, activation, architecture, which, threads, memory_mb, out, progress, given)
    if isinstance(activation, Numerical):
        raise InvalidInput("Tiles need an activation with a closed form.", "Use fully_connected_kernels.")
    left, right, sw, sb = checked_architecture(x, y, depth, activation, weight_scale, bias_scale)
    symmetric = y is None
    plan = gram_plan(len(left), None if symmetric else len(right), features=left.shape[1], which=which, threads=threads)
    if out is None:
        require_memory(plan, memory_mb, available_bytes)
    nngp, ntk = _destination(out, (len(left), len(right)), which)
    with np.errstate(over="ignore"):  # reported below
        a = squared_norms(left, sw[0], sb[0])
        b = a if symmetric else squared_norms(right, sw[0], sb[0])
    require_norms(a, b)
    scales = tuple(zip(sw[1:], sb[1:], strict=True))

    norms, kind = None, resolve(activation)
    if isinstance(kind, ABRelu) and kind.negative * kind.positive >= 0:
        mean, rate = slopes(kind)
        with np.errstate(over="ignore", invalid="ignore"):
            norms = [
                rectified_norms(v, left.shape[1], mean, (sw[0], sb[0]), scales) for v in ((a,) if symmetric else (a, b))
            ]

    def strips(i: slice, j: slice) -> Iterator[tuple[slice, slice, tuple[Matrix, Matrix]]]:
        """Kernels of a tile, strip by strip of rows where rectifiers have passes of their own; no strip beyond a symmetric matrix's diagonal."""
        if norms is None:
            state = input_tile(left[i], right[j], a[i, None], b[None, j], sw[0], sb[0])
            yield i, j, kernels_from_state(state, activation, scales, nngp_only=which == "nngp")
            return
        product = left[i] @ right[j].T
        for start in range(0, len(product), STRIP):
            rows = slice(i.start + start, min(i.stop, i.start + start + STRIP))
            on_diagonal = symmetric and i == j
            columns = slice(j.start, rows.stop) if on_diagonal else j
            one, other = norms[0][rows], norms[-1][columns]
            part = product[start : start + STRIP, : columns.stop - columns.start]
            diagonal = start if on_diagonal else None
            h, opposite = half_versines(part, left[rows], right[columns], one, other, diagonal, (sw[0], sb[0]))
            found = rectified_tile(h, opposite, one, other, rate)
            scale = one.root[:, None] * other.root
            for kernel in found:
                kernel *= scale
            yield rows, columns, found

    def tile(place: tuple[slice, slice]) -> None:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for rows, columns, found in strips(*place):
                for whole, part in zip((nngp, ntk), found, strict=True):
                    if not whole.size:
                        continue
                    # a sum shows what is not finite; a finite one may overflow itself
                    if not math.isfinite(float(part.sum())) and not np.isfinite(part).all():
                        raise InvalidInput(
                            "The kernels overflow float64.", "Bring inputs and scales nearer to 1 (inputs below 1e70)."
                        )
                    whole[rows, columns] = part
                    if symmetric and rows != columns:
                        whole[columns, rows] = part.T

    places = list(_places(len(left), len(right), symmetric))
    if threads == 1:
        for done, place in enumerate(places, start=1):
            tile(place)
            if progress is not None:
                progress(GramProgress(done, len(places)))
    else:
        with ThreadPoolExecutor(threads) as pool:
            for done, _ in enumerate(pool.map(tile, places), start=1):
                if progress is not None:
                    progress(GramProgress(done, len(places)))
    return FullyConnectedKernels(nngp, ntk)


def _on_device(
    x: Any,
    y: Any,
    activation: Activation,
    architecture: dict[str, Any],
    which: Which,
    threads: int,
    memory_mb: float | None,
    out: Any,
    progress: Callable[[GramProgress], None] | None,
    device: Any,
) -> TorchKernels:
    torch = load()
    chosen = checked_device(torch, device)
    if threads != 1:
        raise InvalidInput(f"threads is {threads!r} with a device.", "Torch has its own: torch.set_num_threads.")
    found = rectifier(activation)
    checked_scales(**architecture)
    left = checked_inputs(torch, "x", x)
    right = None if y is None else checked_inputs(torch, "y", y)
    if right is not None and left.shape[1] != right.shape[1]:
        raise InvalidInput(f"x has {left.shape[1]} columns and y has {right.shape[1]}.", "Both need the same features.")
    columns = None if right is None else len(right)
    plan = gram_plan(len(left), columns, features=left.shape[1], which=which, device=chosen.type)
    if out is not None:  # the result has its memory
        plan = replace(plan, result_bytes=0)
    require_memory(plan, memory_mb, lambda: free_bytes(torch, chosen, available_bytes))
    shape = (len(left), len(left) if right is None else len(right))
    wanted = (which != "ntk", which != "nngp")
    if out is None:
        kernels = [torch.empty(shape, dtype=torch.float64, device=chosen) if want else None for want in wanted]
    else:
        kernels = _given(
            out, wanted, lambda v: is_tensor(v) and tuple(v.shape) == shape and v.dtype == torch.float64, shape
        )

    def report(done: int, total: int) -> None:
        if progress is not None:
            progress(GramProgress(done, total))

    torch_gram(
        torch,
        left.to(chosen),
        None if right is None else right.to(chosen),
        activation=found,
        destination=kernels,
        progress=report,
        **architecture,
    )
    none = torch.empty((0, 0), dtype=torch.float64, device=chosen)
    return TorchKernels(*(none if kernel is None else kernel for kernel in kernels))


def is_tensor(value: Any) -> bool:
    """Whether a value is a torch tensor, without importing torch."""
    module = sys.modules.get("torch")
    return module is not None and isinstance(value, module.Tensor)


def _places(n: int, m: int, symmetric: bool) -> Iterator[tuple[slice, slice]]:
    """Tiles row by row; for a symmetric matrix those on and below the diagonal."""
    for i in range(0, n, TILE):
        for j in range(0, min(m, i + TILE) if symmetric else m, TILE):
            yield slice(i, min(n, i + TILE)), slice(j, min(m, j + TILE))


def _destination(out: Any, shape: tuple[int, int], which: Which) -> tuple[Matrix, Matrix]:
    none = np.empty((0, 0))
    wanted = (which != "ntk", which != "nngp")
    if out is None:
        return tuple(np.empty(shape) if want else none for want in wanted)  # type: ignore[return-value]
    found = _given(
        out, wanted, lambda v: isinstance(v, np.ndarray) and v.shape == shape and v.dtype == np.float64, shape
    )
    return tuple(none if given is None else given for given in found)  # type: ignore[return-value]


def _given(out: Any, wanted: tuple[bool, bool], fits: Callable[[Any], bool], shape: tuple[int, int]) -> list[Any]:
    """What of (nngp, ntk) is to be written into, None for the rest. Raises InvalidInput."""
    if not isinstance(out, tuple) or len(out) != 2:
        raise InvalidInput(f"out is a {type(out).__name__}.", "Pass (nngp, ntk), with None for one that is not wanted.")
    for name, given, want in zip(("nngp", "ntk"), out, wanted, strict=True):
        if want and not fits(given):
            raise InvalidInput(
                f"out's {name} is no float64 array of shape {shape}.", "Allocate it so, or leave out=None."
            )
    return [given if want else None for given, want in zip(out, wanted, strict=True)]
