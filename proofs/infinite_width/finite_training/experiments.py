"""Experiments on what finite width does: distillation with several heads on one trunk, and ensembles with and without labels. They see no prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ....numerics.randomness import sub_seed
from ...result import Run
from ..finite_networks import columns, network_of, readout_covariance, residual_map, train_and_linearise
from ..settings import EnsembleSetting

HEADS = (1, 4, 16)
TOLERANCE = 1e-5  # of the residual, as in `distil`

if TYPE_CHECKING:
    from torch import Tensor

    from ....numerics.networks.fully_connected import FullyConnected


def distil_heads(setting: EnsembleSetting, run: Run) -> Mapping[str, Any]:
    """Squared errors u - g of predictors with `heads` outputs, trained on frozen targets, averaged over the heads of each pair.

    Per pair and test point s: `linearised_s` is that of the exactly linearised training, averaged over the target's readout (its law given
    the first layer is N(0, K_n), so this is exact at every width for one hidden layer); `correction_s` is that of nonlinear descent less
    that of the linearisation, for the same draw.
    """
    import torch

    from ....numerics.networks.fully_connected import forward, initialise

    heads, members = run.block["heads"], run.block["members"]
    network, x, tests = _problem(setting, run, heads)
    u, g = (
        initialise(network, members, seed=sub_seed(run.seed, n), device=run.device) for n in ("predictor", "target")
    )
    frozen = forward(network, g, x)
    linear, trained = train_and_linearise(network, u, x, tests, frozen.output[:, tests:], TOLERANCE, run)
    prior = readout_covariance(network, frozen.features[-1], None)  # of every head of g, given its first layer
    points = len(x)
    # e = M (u_0 - g): rows (test point, head), columns (point, head)
    residual = residual_map(linear.smoother).reshape(members, tests * heads, points, heads)
    initial = torch.cat([linear.initial_test, linear.initial_train], 1)
    own = torch.einsum("rapk,rpk->ra", residual, initial) ** 2
    others = torch.einsum("rapk,rpq,raqk->ra", residual, prior, residual)
    target = frozen.output[:, :tests]
    errors = [(value - target) ** 2 for value in (trained, linear.solution(frozen.output[:, tests:]))]
    return columns(
        linearised=(own + others).reshape(members, tests, heads).mean(2),
        correction=(errors[0] - errors[1]).mean(2),
    )


def heads_side_by_side(setting: EnsembleSetting, run: Run) -> Mapping[str, Any]:
    """`correction_s` of `distil_heads` at one width for each number of heads in turn, as columns `heads_K_s`; a row is one draw for each."""
    found: dict[str, Any] = {}
    for heads in HEADS:
        block = {**run.block, "heads": heads}
        rows = distil_heads(setting, Run(block, sub_seed(run.seed, "heads", heads), run.device, run.dtype))
        found |= {name.replace("correction", f"heads_{heads}"): v for name, v in rows.items() if "correction" in name}
    return found


def labelled_ensembles(setting: EnsembleSetting, run: Run) -> Mapping[str, Any]:
    """Ensembles trained on the labels and on zeros from the same starts: how much nonlinear descent changes their variance.

    A row is one group of `group` members; `labels_s` and `zeros_s` are the variance over its members after nonlinear descent less that of their
    exact linearisations, at test point s.
    """
    import torch

    from ....numerics.networks.fully_connected import initialise

    members, group = run.block["members"], run.block["group"]
    network, x, tests = _problem(setting, run, 1)
    start = initialise(network, members, seed=sub_seed(run.seed, "member"), device=run.device)
    labels = torch.from_numpy(setting.labels).to(run.device)[None, :, None].expand(members, -1, 1)
    found = {}
    for name, goal in (("labels", labels), ("zeros", torch.zeros_like(labels))):
        linear, trained = train_and_linearise(network, start, x, tests, goal, TOLERANCE, run)
        variances = [value[:, :, 0].reshape(-1, group, tests).var(dim=1) for value in (trained, linear.solution(goal))]
        found[name] = variances[0] - variances[1]
    return columns(**found)


def _problem(setting: EnsembleSetting, run: Run, outputs: int) -> tuple[FullyConnected, Tensor, int]:
    """The network with so many heads, all points (test first), and the number of test points; any depth."""
    import torch

    points = np.concatenate([setting.test, setting.train])
    network = network_of(setting, run.block["width"], outputs=outputs)
    return network, torch.from_numpy(points).to(run.device), len(setting.test)
