"""Large Gram matrices of fully connected networks, tile by tile: symmetric ones once, in memory that is known before the first tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...theory.activations import Activation, Numerical
from ...theory.errors import InvalidInput
from ...theory.validation import sample_size
from .arrays import Matrix, empty, free_bytes, is_tensor, mirrored, require_finite
from .fully_connected import FullyConnectedKernels, TorchKernels, checked_architecture, kernels_found
from .gram_memory import GramPlan, Which, available_bytes, gram_plan, paying_threads, require_memory, tile_side
from .rectified_tile import is_rectifier
from .tile_kernels import gram_tiles

__all__ = ["GramPlan", "GramProgress", "fully_connected_gram", "gram_plan"]

if TYPE_CHECKING:
    from torch import Tensor

    from .arrays import Device


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
    device: Device | None = None,
) -> FullyConnectedKernels | TorchKernels:
    """`fully_connected_kernels` for many inputs: the same values to rounding, by matrix products and tiles.

    Parameters
    ----------
    x (n, d), y (m, d), depth, activation, weight_scale, bias_scale: as there, closed forms only. y = None: half of the tiles.
    which: "nngp" or "ntk" keeps one kernel only (the other is an array without entries).
    threads: tiles at once, at most; small matrices take fewer (`gram_memory.paying_threads`). NumPy's own threads should then be 1.
    memory_mb: what result and work may take together, in MiB; by default nine tenths of the memory that is free. Predicted before the
        first tile, and refused with advice if it does not fit.
    out: (nngp, ntk) arrays (n, m) of float64 to write into, for example of `numpy.memmap`; None for one that is not wanted. They have their
        memory: the limit is for the work then.
    progress: called with a `GramProgress` after every tile.
    device: as there. Memory is that device's then, `out` are tensors on any device, and threads are torch's own.

    Pairs whose cosine is below .95 in size take K(x,y) from a matrix product (relative error about sqrt(d) half-ulps), closer ones
    from exact differences. Raises as `fully_connected_kernels` does.
    """
    if isinstance(activation, Numerical):
        raise InvalidInput("Tiles need an activation with a closed form.", "Use fully_connected_kernels.")
    left, right, sw, sb = checked_architecture(x, y, depth, activation, weight_scale, bias_scale, device)
    place: Any = left.device if is_tensor(left) else None
    if place is not None and threads != 1:
        raise InvalidInput(f"threads is {threads!r} with a device.", "Torch has its own: torch.set_num_threads.")
    shape, symmetric, kind = (len(left), len(right)), y is None, None if place is None else place.type
    columns, features = None if symmetric else shape[1], left.shape[1]
    threads = paying_threads(
        sample_size("threads", threads),
        shape[0] * shape[1] // (2 if symmetric else 1),
        features=features,
        depth=len(sw) - 1,
        rectified=is_rectifier(activation),
    )
    plan = gram_plan(shape[0], columns, features=features, which=which, threads=threads, device=kind)
    if out is not None:
        plan = replace(plan, result_bytes=0)
    require_memory(plan, memory_mb, lambda: free_bytes(place, available_bytes))
    kernels = _destination(out, shape, which, left)
    tiles = gram_tiles(left, None if symmetric else right, activation, sw, sb, nngp_only=which == "nngp")

    def tile(part: tuple[slice, slice]) -> None:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for rows, columns, found in tiles.strips(*part):
                for whole, kernel in zip(kernels, found, strict=True):
                    if whole is None:
                        continue
                    require_finite(kernel)
                    if not symmetric:
                        whole[rows, columns] = kernel
                    elif rows == columns:
                        whole[rows, columns] = mirrored(kernel)
                    else:
                        whole[rows, columns], whole[columns, rows] = kernel, kernel.T

    places = list(_places(*shape, symmetric, tile_side(kind)))
    with ThreadPoolExecutor(threads) as pool:
        for done, _ in enumerate(pool.map(tile, places) if threads > 1 else map(tile, places), start=1):
            if progress is not None:
                progress(GramProgress(done, len(places)))
    nngp, ntk = (empty(left, 0, 0) if kernel is None else kernel for kernel in kernels)
    return kernels_found(nngp, ntk)


def _places(n: int, m: int, symmetric: bool, side: int) -> Iterator[tuple[slice, slice]]:
    """Tiles row by row; for a symmetric matrix those on and below the diagonal."""
    for i in range(0, n, side):
        for j in range(0, min(m, i + side) if symmetric else m, side):
            yield slice(i, min(n, i + side)), slice(j, min(m, j + side))


def _destination(out: Any, shape: tuple[int, int], which: Which, like: Matrix) -> list[Any]:
    """What of (nngp, ntk) is to be written into, None for the rest; new ones are like the inputs. Raises InvalidInput."""
    wanted = (which != "ntk", which != "nngp")
    if out is None:
        return [empty(like, *shape) if want else None for want in wanted]
    if not isinstance(out, tuple) or len(out) != 2:
        raise InvalidInput(f"out is a {type(out).__name__}.", "Pass (nngp, ntk), with None for one that is not wanted.")
    for name, given, want in zip(("nngp", "ntk"), out, wanted, strict=True):
        fits = is_tensor(given) if is_tensor(like) else isinstance(given, np.ndarray)
        if want and not (fits and tuple(given.shape) == shape and given.dtype == like.dtype):
            raise InvalidInput(
                f"out's {name} is no float64 {'tensor' if is_tensor(like) else 'array'} of shape {shape}.",
                "Allocate it so, or leave out=None.",
            )
    return [given if want else None for given, want in zip(out, wanted, strict=True)]
