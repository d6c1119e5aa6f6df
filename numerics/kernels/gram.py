"""Large Gram matrices of fully connected networks, tile by tile: symmetric ones once, in memory that is known before the first tile."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...theory.activations import Activation, Numerical
from ...theory.errors import InvalidInput
from ...theory.validation import sample_size
from .fully_connected import FullyConnectedKernels, checked_architecture, kernels_from_state, require_norms
from .input_tiles import input_tile
from .pairs import Matrix, squared_norms
from .relu_tile import relu_tile

TILE = 128  # rows and columns: an array of a tile is 128 KiB, a dozen of them stay in a core's cache
ARRAYS = 24  # of a tile's size, that one thread holds at most

Which = Literal["both", "nngp", "ntk"]


@dataclass(frozen=True)
class GramPlan:
    """What a Gram matrix is going to take: tiles, bytes of the result, and bytes of work beyond it."""

    tiles: int
    result_bytes: int
    working_bytes: int

    def __str__(self) -> str:
        return f"{self.tiles} tiles; {self.result_bytes / 2**20:.0f} MiB for the result and {self.working_bytes / 2**20:.0f} MiB of work"


@dataclass(frozen=True)
class GramProgress:
    """`done` of `total` tiles are in place."""

    done: int
    total: int


def gram_plan(n: int, m: int | None = None, *, features: int, which: Which = "both", threads: int = 1) -> GramPlan:
    """The plan for n inputs against m others, or against themselves (m = None). Raises InvalidInput."""
    rows, columns = sample_size("n", n), sample_size("n" if m is None else "m", n if m is None else m)
    if which not in ("both", "nngp", "ntk"):
        raise InvalidInput(f"which is {which!r}.", "Choose 'both', 'nngp' or 'ntk'.")
    width, count = sample_size("features", features), sample_size("threads", threads)
    across, down = math.ceil(columns / TILE), math.ceil(rows / TILE)
    tiles = down * (down + 1) // 2 if m is None else down * across
    kernels = 2 if which == "both" else 1
    close = 16 * 2**20 * 6  # differences of close pairs, a block at a time
    working = count * (ARRAYS * 8 * TILE * TILE + 2 * 8 * TILE * width + close)
    return GramPlan(tiles, 8 * rows * columns * kernels, working)


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
    out: tuple[Matrix | None, Matrix | None] | None = None,
    progress: Callable[[GramProgress], None] | None = None,
) -> FullyConnectedKernels:
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

    Pairs whose cosine is below .95 in size take K(x,y) from a matrix product (relative error about sqrt(d) half-ulps), closer ones
    from exact differences. Raises InvalidInput.
    """
    if isinstance(activation, Numerical):
        raise InvalidInput("Tiles need an activation with a closed form.", "Use fully_connected_kernels.")
    left, right, sw, sb = checked_architecture(x, y, depth, activation, weight_scale, bias_scale)
    symmetric = y is None
    plan = gram_plan(len(left), None if symmetric else len(right), features=left.shape[1], which=which, threads=threads)
    if out is None:
        _require_memory(plan, memory_mb)
    nngp, ntk = _destination(out, (len(left), len(right)), which)
    with np.errstate(over="ignore"):  # reported below
        a, b = squared_norms(left, sw[0], sb[0]), squared_norms(right, sw[0], sb[0])
    require_norms(a, b)
    scales = tuple(zip(sw[1:], sb[1:], strict=True))

    def tile(place: tuple[slice, slice]) -> None:
        i, j = place
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            state = input_tile(left[i], right[j], a[i, None], b[None, j], sw[0], sb[0])
            if activation == "relu":
                found = relu_tile(state, scales)
            else:
                found = kernels_from_state(state, activation, scales, nngp_only=which == "nngp")
        for whole, part in zip((nngp, ntk), found, strict=True):
            if whole.size:
                if not np.isfinite(part).all():
                    raise InvalidInput(
                        "The kernels overflow float64.", "Bring inputs and scales nearer to 1 (inputs below 1e70)."
                    )
                whole[i, j] = part
                if symmetric and i != j:
                    whole[j, i] = part.T

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
    if not isinstance(out, tuple) or len(out) != 2:
        raise InvalidInput(f"out is a {type(out).__name__}.", "Pass (nngp, ntk), with None for one that is not wanted.")
    found = []
    for name, given, want in zip(("nngp", "ntk"), out, wanted, strict=True):
        if want and not (isinstance(given, np.ndarray) and given.shape == shape and given.dtype == np.float64):
            raise InvalidInput(
                f"out's {name} is no float64 array of shape {shape}.", "Allocate it so, or leave out=None."
            )
        found.append(given if want else none)
    return found[0], found[1]


def _require_memory(plan: GramPlan, memory_mb: float | None) -> None:
    if memory_mb is None:
        limit = 0.9 * available_bytes()
    elif isinstance(memory_mb, bool) or not isinstance(memory_mb, (int, float)) or not 0 < memory_mb < math.inf:
        raise InvalidInput(f"memory_mb is {memory_mb!r}.", "Give MiB, for example 4096.")
    else:
        limit = memory_mb * 2**20
    if plan.result_bytes + plan.working_bytes > limit:
        raise InvalidInput(
            f"The Gram matrix takes {plan}; {limit / 2**20:.0f} MiB are allowed.",
            'Keep one kernel (which="ntk"), pass out= arrays of numpy.memmap, use fewer threads, or fewer inputs.',
        )


def available_bytes() -> float:
    """Memory that can be had now; all of it where the system does not say."""
    try:
        with open("/proc/meminfo") as file:
            facts = {line.split(":")[0]: line.split()[1] for line in file}
        return float(facts["MemAvailable"]) * 1024
    except (OSError, KeyError, ValueError, IndexError):
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")) if hasattr(os, "sysconf") else math.inf
