"""What a Gram matrix by tiles is going to take, known before the first tile, and refused where it does not fit."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ...theory.errors import InvalidInput
from ...theory.validation import sample_size
from .torch_gram import TILES, working_bytes

TILE = 128  # rows and columns: an array of a tile is 128 KiB, a dozen of them stay in a core's cache
STRIP = 64  # rows of a tile that rectifiers take at once
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
    if device not in (None, *TILES):
        raise InvalidInput(f"device is {device!r}.", "Choose None (NumPy), 'cpu' or 'cuda'.")
    side = TILE if device is None else TILES[device]
    across, down = math.ceil(columns / side), math.ceil(rows / side)
    tiles = down * (down + 1) // 2 if m is None else down * across
    kernels = 2 if which == "both" else 1
    if device is None:
        close = 16 * 2**20 * 6  # differences of close pairs, a block at a time
        working = count * (ARRAYS * 8 * TILE * TILE + 2 * 8 * TILE * width + close)
    else:
        working = working_bytes(device, rows, columns, width)
    return GramPlan(tiles, 8 * rows * columns * kernels, working)


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
