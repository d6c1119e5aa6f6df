"""Finite networks of one setup, measured: rows of paired trainings, and the cells of the table that they make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..store import Rows
from .finite_width_cells import FiniteWidthCell, estimate
from .finite_width_setup import GROUP, Setup

if TYPE_CHECKING:
    from ..training.pooled import Descent, Problem


def measure(
    setup: Setup, quantity: str, heads: int, width: int, count: int, seed: int, device: str, descent: Descent
) -> Rows:
    """Rows of one block: `linearised_s` and `correction_s`, for labels `labels_s` and `zeros_s` with their linearised part, or `gap`."""
    import torch

    from ..training import paired

    problem = _problem(setup, width, heads, device)
    draws: dict[str, Any] = {"members": count, "seed": seed, "device": device, "descent": descent}
    if quantity in ("ensemble", "gap"):
        assert setup.labels is not None
        scale = width**0.5 if setup.parametrisation == "mean_field" else 1.0
        y = torch.from_numpy(setup.labels * scale).to(device)
        if quantity == "gap":
            gap, size = (v.unflatten(0, (-1, GROUP)).mean(1) for v in paired.gaps(problem, y, **draws))
            return {"gap": (gap / size).sqrt().cpu().numpy()}
        linearised, correction = paired.ensemble_variances(
            problem, torch.stack([y, torch.zeros_like(y)]), group=GROUP, **draws
        )
        return {
            name: value.cpu().numpy()
            for i, goal in enumerate(("labels", "zeros"))
            for name, value in ((f"{goal}_linearised", linearised[:, i]), (f"{goal}_correction", correction[:, i]))
        }
    if quantity == "rnd":
        found = paired.distillation(problem, **draws)
    else:
        directions: Any = quantity.removeprefix("brnd_")
        found = paired.bayesian_distillation(problem, directions=directions, **draws)
    assert found.correction is not None
    return {"linearised": found.linearised.cpu().numpy(), "correction": found.correction.cpu().numpy()}


def _problem(setup: Setup, width: int, heads: int, device: str) -> Problem:
    import torch

    from ..training.pooled import problem_of

    test, train = (torch.from_numpy(points).to(device) for points in (setup.test, setup.train))
    return problem_of(
        test,
        train,
        width=width,
        outputs=heads,
        parametrisation="ntk" if setup.parametrisation == "mean_field" else setup.parametrisation,
        filter_size=setup.filter_size,
        padding=setup.padding,
        depth=setup.depth,
        activation=setup.activation,
        weight_scale=setup.weight_scale,
        bias_scale=setup.bias_scale,
    )


def cells_of(
    quantity: str, heads: int, width: int, parts: Sequence[Rows], limits: Mapping[str, np.ndarray]
) -> Iterator[FiniteWidthCell]:
    rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if quantity == "gap":
        gap = estimate(rows["gap"])
        yield FiniteWidthCell("gap", heads, width, GROUP * len(rows["gap"]), None, gap, gap)
        return
    if quantity == "ensemble":
        limit, both = limits["ensemble"], {}
        for name, goal in (("ensemble", "labels"), ("ensemble_zeros", "zeros")):
            both[goal] = [(rows[f"{goal}_{part}"] / limit).mean(axis=1) for part in ("linearised", "correction")]
            yield _cell(name, heads, width, GROUP, *both[goal])
        linearised, correction = (both["labels"][i] - both["zeros"][i] for i in range(2))
        yield _cell("label_dependence", heads, width, GROUP, linearised + 1, correction)
        return
    limit = limits[quantity] * (2 if quantity == "rnd" else 1)
    yield _cell(quantity, heads, width, 1, *((rows[n] / limit).mean(axis=1) for n in ("linearised", "correction")))


def _cell(
    quantity: str, heads: int, width: int, group: int, linearised: np.ndarray, correction: np.ndarray
) -> FiniteWidthCell:
    parts = (estimate(values) for values in (linearised - 1, correction, linearised + correction - 1))
    return FiniteWidthCell(quantity, heads, width, group * len(correction), *parts)
