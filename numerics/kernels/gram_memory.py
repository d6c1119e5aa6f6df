"""What a Gram matrix by tiles is going to take, known before the first tile: memory, refused where it does not fit, and threads that pay."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ...theory.errors import InvalidInput
from ...theory.validation import sample_size
from .arrays import CARD_BLOCK
from .input_tiles import PAIRS

# rows and columns of a tile: 128 KiB for each array of NumPy's, of which a dozen stay in a core's cache; fewer calls for torch; enough to fill a card
TILES = {None: 128, "cpu": 256, "cuda": 2048}
ARRAYS, BLOCKS = 48, 10  # of a tile's size, and of a block of differences of close pairs, that are held at once at most

# Nanoseconds of one pair on one core (2.4 GHz EPYC, NumPy): for each feature in the product, and for each layer of rectifiers or of others
FEATURE, RECTIFIED_LAYER, LAYER = 0.1, 27.0, 200.0
# Seconds of work for each thread. Threads pass Python's lock on between passes of a few microseconds: on two quiet cores a second one made 0.02 s of
# work (500 x 784, three layers) 1.4 times longer and 0.3 s of it (2000 x 784) no shorter.
THREAD_SECONDS = 0.15

Which = Literal["both", "nngp", "ntk"]


@dataclass(frozen=True)
class GramPlan:
    """What a Gram matrix is going to take: tiles, bytes of the result, and bytes of work beyond it."""

    tiles: int
    result_bytes: int
    working_bytes: int

    def __str__(self) -> str:
        return f"{self.tiles} tiles; {self.result_bytes / 2**20:.0f} MiB for the result and {self.working_bytes / 2**20:.0f} MiB of work"


def gram_plan(
    n: int,
    m: int | None = None,
    *,
    features: int,
    which: Which = "both",
    threads: int = 1,
    device: Literal["cpu", "cuda"] | None = None,
) -> GramPlan:
    """The plan for n inputs against m others, or against themselves (m = None); `device`: the kind of device that torch is to work on. Raises
    InvalidInput."""
    rows, columns = sample_size("n", n), sample_size("n" if m is None else "m", n if m is None else m)
    if which not in ("both", "nngp", "ntk"):
        raise InvalidInput(f"which is {which!r}.", "Choose 'both', 'nngp' or 'ntk'.")
    width, count = sample_size("features", features), sample_size("threads", threads)
    if device not in TILES:
        raise InvalidInput(f"device is {device!r}.", "Choose None (NumPy), 'cpu' or 'cuda'.")
    side = tile_side(device)
    across, down = math.ceil(columns / side), math.ceil(rows / side)
    tiles = down * (down + 1) // 2 if m is None else down * across
    kernels = 2 if which == "both" else 1
    work = ARRAYS * min(side, max(rows, columns)) ** 2 + BLOCKS * max(CARD_BLOCK if device == "cuda" else PAIRS, width)
    inputs = (rows + columns) * ((0 if device is None else width) + 64)  # norms, and copies of the inputs on a device
    return GramPlan(tiles, 8 * rows * columns * kernels, 8 * (count * work + inputs))


def tile_side(device: str | None) -> int:
    """Rows and columns of a tile; None is NumPy."""
    return TILES[device]


def paying_threads(threads: int, pairs: int, *, features: int, depth: int, rectified: bool) -> int:
    """Of so many threads those that have `THREAD_SECONDS` of work, at least one."""
    seconds = 1e-9 * pairs * (FEATURE * features + depth * (RECTIFIED_LAYER if rectified else LAYER))
    return max(1, min(threads, int(seconds / THREAD_SECONDS)))


def require_memory(plan: GramPlan, memory_mb: float | None, available: Callable[[], float]) -> None:
    if memory_mb is None:
        limit = 0.9 * available()
    elif isinstance(memory_mb, bool) or not isinstance(memory_mb, (int, float)) or not 0 < memory_mb < math.inf:
        raise InvalidInput(f"memory_mb is {memory_mb!r}.", "Give MiB, for example 4096.")
    else:
        limit = memory_mb * 2**20
    if plan.result_bytes + plan.working_bytes > limit:
        raise InvalidInput(
            f"The Gram matrix takes {plan}; {limit / 2**20:.0f} MiB are allowed.",
            'Keep one kernel (which="ntk"), pass out= arrays of numpy.memmap (with a device: tensors in the host\'s memory), use fewer '
            "threads, or fewer inputs.",
        )


def available_bytes() -> float:
    """Memory that can be had now; all of it where the system does not say."""
    try:
        with open("/proc/meminfo") as file:
            facts = {line.split(":")[0]: line.split()[1] for line in file}
        return float(facts["MemAvailable"]) * 1024
    except (OSError, KeyError, ValueError, IndexError):
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")) if hasattr(os, "sysconf") else math.inf
