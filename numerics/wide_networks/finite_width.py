"""How far networks of a finite width are from their limit, on the user's own inputs: paired nonlinear and linearised training."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.validation import finite, sample_size
from ..digests import code_digest, content_digest, source_modules
from ..plain import plain
from ..provenance import environment
from ..randomness import sub_seed
from ..store import Rows, Spec, prepare, read_rows, write_rows
from .finite_width_cells import QUANTITIES, Estimate, FiniteWidthCell, head_penalty, local_slopes, render, slope
from .finite_width_rows import cells_of, measure
from .finite_width_setup import checked_setup, limit_kernels, limits_of, planned_blocks, require_few_steps

Quantity = Literal["rnd", "brnd_shared", "brnd_separate", "ensemble", "gap"]


@dataclass(frozen=True)
class FiniteWidthProgress:
    """After a block of networks: blocks done, of how many, and what was measured; `reused` if it was found in `out`."""

    done: int
    total: int
    quantity: str
    heads: int
    width: int
    reused: bool


@dataclass(frozen=True, eq=False)
class FiniteWidthTable:
    """`print` shows it. `limits` (S,): the variances everything is relative to, by quantity; `seconds`: what measuring took now."""

    cells: tuple[FiniteWidthCell, ...]
    limits: Mapping[str, np.ndarray]
    confidence: float
    seconds: float

    def row(self, quantity: str, heads: int) -> tuple[FiniteWidthCell, ...]:
        """The cells of one quantity and number of heads, by width."""
        return tuple(c for c in self.cells if (c.quantity, c.heads) == (quantity, heads))

    def as_json(self) -> dict[str, Any]:
        """Plain JSON data: cells with half widths of their intervals, slopes and penalties for heads; "nan" and "inf" for a slope that is none."""
        alpha, rows = 1 - self.confidence, []
        keys = dict.fromkeys((c.quantity, c.heads) for c in self.cells)
        for quantity, heads in keys:
            mine = self.row(quantity, heads)
            found = slope(mine, alpha=alpha)
            fewest = self.row(quantity, min(h for q, h in keys if q == quantity))
            rows.append(
                {
                    "quantity": quantity,
                    "heads": heads,
                    "slope": [found.value, found.half_width],
                    "slope_dropped": list(found.dropped),
                    "local_slopes": [[s.value, s.half_width] for s in local_slopes(mine, alpha=alpha)],
                    "cells": [
                        {
                            "width": c.width,
                            "networks": c.networks,
                            **{
                                n: _pair(e, alpha)
                                for n in ("linearised", "correction", "total")
                                if (e := getattr(c, n))
                            },
                            **({"head_penalty": _pair(head_penalty(few, c), alpha)} if few.heads < heads else {}),
                        }
                        for few, c in zip(fewest, mine, strict=True)
                    ],
                }
            )
        limits = {name: value.tolist() for name, value in self.limits.items()}
        data: dict[str, Any] = plain(
            {"confidence": self.confidence, "limits": limits, "rows": rows, "seconds": self.seconds}
        )
        return data

    def __str__(self) -> str:
        return render(self.cells, alpha=1 - self.confidence)


def finite_width_table(
    *,
    train: Any,
    test: Any,
    labels: Any = None,
    activation: str,
    depth: int,
    weight_scale: float | Sequence[float],
    bias_scale: float | Sequence[float],
    parametrisation: str,
    filter_size: tuple[int, int] | None = None,
    padding: str = "circular",
    widths: Sequence[int] = (32, 128, 512),
    heads: Sequence[int] = (1, 4, 16),
    quantities: Sequence[Quantity] = ("rnd",),
    networks: int | Mapping[int, int] = 1000,
    step_fraction: float = 0.75,
    relative_residual: float = 1e-4,
    max_steps: int = 100_000,
    confidence: float = 0.95,
    seed: int = 0,
    device: str = "cpu",
    out: str | Path | None = None,
    progress: Callable[[FiniteWidthProgress], None] | None = None,
) -> FiniteWidthTable:
    """Bias of finite networks against their limit of infinite width, split into linearised and nonlinear parts of the same draws.

    train (N, d), test (S, d), labels (N,); with `filter_size` images (N, height, width, channels), one convolution (depth 1) and the average
    over positions. `quantities`: "rnd" (over 2 Sigma), "brnd_shared" and "brnd_separate" (over the tangent-kernel posterior; one
    direction for all heads, or one for each), each for every number of `heads`; with labels "ensemble" (its variance over Sigma with the
    labels, with zeros, and their difference: the detector of leaving the lazy regime) and "gap" (trained less linearised output over what is
    learned). Everything is averaged over the test inputs and relative to its limit. `networks` for each cell, or by width.
    Training is full-batch descent on half the sum of squares with `step_fraction` of 2/(lmax + lmin), each network's own, to
    `relative_residual` of the start, in at most `max_steps` steps (more are foreseen from the limit, and refused). `parametrisation`: "ntk";
    "standard" trains every layer at one rate, and is still shown relative to the limit of "ntk", which is not its own; "mean_field" is NTK
    training on sqrt(width) times the labels, which never becomes lazy (it needs labels).
    `out`: a folder where blocks of 500 networks are kept: an interrupted call goes on from there, with the same numbers. `progress` is
    called after every block. float64. Source: `iw.rnd_finite_width`. Raises InvalidInput, SingularGram before any training;
    NumericalFailure, StorageError.
    """
    start = time.perf_counter()
    setup = checked_setup(
        train, test, labels, activation, depth, weight_scale, bias_scale, parametrisation, filter_size, padding
    )
    wanted, blocks = planned_blocks(setup, widths, heads, quantities, networks)
    level = float(finite("confidence", confidence, ndim=0))
    if not 0.5 <= level <= 1 - 1e-9:
        raise InvalidInput(f"confidence is {level:g}.", "It must lie in [0.5, 1).")
    if not 0 < float(finite("step_fraction", step_fraction, ndim=0)) <= 1:
        raise InvalidInput(
            f"step_fraction is {step_fraction!r}.", "Steps above 2/(lmax + lmin) slow the stiffest mode."
        )
    if not 0 < float(finite("relative_residual", relative_residual, ndim=0)) < 1:
        raise InvalidInput(f"relative_residual is {relative_residual!r}.", "It must lie strictly between 0 and 1.")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InvalidInput(f"seed is {seed!r}.", "Pass a whole number of at least 0.")
    if progress is not None and not callable(progress):
        raise InvalidInput(f"progress is {progress!r}.", "Pass a function of one event.")
    kernels, most = limit_kernels(setup), sample_size("max_steps", max_steps)
    limits = limits_of(setup, wanted, kernels)
    goals: dict[str, Any] = {"step_fraction": float(step_fraction), "relative_residual": float(relative_residual)}
    require_few_steps(setup, wanted, kernels, **goals, max_steps=most)
    from ..methods.data import place
    from ..training.pooled import Descent

    place(device)
    folder = None if out is None else Path(out)
    if folder is not None:
        prepare(folder)
    descent = Descent(float(relative_residual), float(step_fraction), most)
    code = code_digest(source_modules([measure])) if folder is not None else ""
    identity = content_digest((vars(setup), float(step_fraction), float(relative_residual)))
    rows: dict[tuple[str, int, int], list[Rows]] = {}
    for done, (quantity, k, width, part, count) in enumerate(blocks, start=1):
        block = {"heads": k, "width": width, "part": part, "networks": count}
        own = sub_seed(seed, "finite width", quantity, k, width, part)
        spec = Spec("finite_width_table", quantity, identity, content_digest(block), seed, "float64", str(device), code)
        found = read_rows(folder, spec) if folder is not None else None
        reused = found is not None
        if found is None:
            found = measure(setup, quantity, k, width, count, own, device, descent)
            if folder is not None:
                write_rows(folder, spec, found, {**environment(), "block": block, "seed": own})
        rows.setdefault((quantity, k, width), []).append(found)
        if progress is not None:
            progress(FiniteWidthProgress(done, len(blocks), quantity, k, width, reused))
    cells = tuple(c for key, parts in rows.items() for c in cells_of(*key, parts, limits))
    order = {name: i for i, name in enumerate(QUANTITIES)}
    cells = tuple(sorted(cells, key=lambda c: (order[c.quantity], c.heads, c.width)))
    return FiniteWidthTable(cells, limits, level, time.perf_counter() - start)


def _pair(found: Estimate, alpha: float) -> list[float]:
    return [found.value, found.half_width(alpha)]
