"""How many networks each budget spends on each width. No experiment imports this: a changed plan measures what is new and keeps the rest."""

from __future__ import annotations

from typing import Any

from ...result import ByBudget


def spread(sizes: tuple[tuple[int, int], ...], block: int, **entries: Any) -> tuple[dict[str, Any], ...]:
    """Blocks of at most `block` networks for each (width, networks)."""
    return tuple(
        {"width": n, "members": min(block, total - start), "part": start // block, **entries}
        for n, total in sizes
        for start in range(0, total, block)
    )


# standard: minutes of one core for each number of heads; full: one accelerator
STANDARD = {
    1: ((32, 4000), (128, 4000), (256, 2000), (512, 2000), (1024, 1000), (2048, 800)),
    4: ((32, 4000), (128, 4000), (256, 2000), (512, 2000), (1024, 1000), (2048, 800)),
    16: ((32, 2000), (128, 2000), (512, 1500), (2048, 500)),
}
FULL = {
    1: ((64, 32000), (256, 16000), (512, 8000), (1024, 8000), (2048, 4000), (4096, 4000), (16384, 1000)),
    4: ((64, 16000), (256, 8000), (512, 8000), (1024, 8000), (2048, 4000), (4096, 2000), (16384, 500)),
    16: ((64, 8000), (256, 4000), (1024, 4000), (4096, 2000), (16384, 500)),
}


def ladder_plan(heads: int, quick: tuple[tuple[int, int], ...] = ()) -> ByBudget:
    """One ladder over widths with so many heads."""
    return ByBudget(
        quick=spread(quick, 500, heads=heads),
        standard=spread(STANDARD[heads], 500, heads=heads),
        full=spread(FULL[heads], 500, heads=heads),
    )


def every_heads(standard: tuple[int, ...], full: tuple[int, ...]) -> ByBudget:
    """The blocks of these widths of all ladders."""
    return ByBudget(
        quick=(),
        standard=tuple(b for k in STANDARD for b in ladder_plan(k).of("standard") if b["width"] in standard),
        full=tuple(b for k in FULL for b in ladder_plan(k).of("full") if b["width"] in full),
    )


FOURFOLD = every_heads((32, 128, 512, 2048), (64, 256, 1024, 4096, 16384))  # every number of heads has these
