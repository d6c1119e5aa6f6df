"""Experiments on what finite width does: distillation with several heads on one trunk, and ensembles with and without labels. They see no prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ....numerics.randomness import sub_seed
from ...result import Run
from ..settings import EnsembleSetting

HEADS = (1, 4, 16)

if TYPE_CHECKING:
    from torch import Tensor

    from ....numerics.networks.fully_connected import FullyConnected, Parameters


def distil_heads(setting: EnsembleSetting, run: Run) -> Mapping[str, Any]:
    """Squared errors u - g of predictors with `heads` outputs, trained on frozen targets, averaged over the heads of each pair.

    Per pair and test point s: `linearised_s` is that of the exactly linearised training, averaged over the target's readout (its law given
    the first layer is N(0, K_n), so this is exact at every width for one hidden layer); `correction_s` is that of nonlinear descent less
    that of the linearisation, for the same draw.
    """
    import torch

    from ....numerics.networks.fully_connected import forward, initialise

    heads, members = run.block["heads"], run.block["members"]
    network, x, tests = _network(setting, run, heads)
    u, g = (
        initialise(network, members, seed=sub_seed(run.seed, n), device=run.device) for n in ("predictor", "target")
    )
    frozen = forward(network, g, x)
    linear, trained = _train(network, u, x, tests, frozen.output[:, tests:], run)
    weight, bias = network.deviations[-1]
    features = frozen.features[-1]
    prior = torch.bmm(features, features.mT) * weight**2 + bias**2  # of every head of g, given its first layer
    points = len(x)
    # e = M (u_0 - g): rows (test point, head), columns (point, head)
    residual = torch.cat(
        [torch.eye(tests * heads, dtype=x.dtype, device=x.device).expand(members, -1, -1), -linear.smoother], 2
    ).reshape(members, tests * heads, points, heads)
    initial = torch.cat([linear.initial_test, linear.initial_train], 1)
    own = torch.einsum("rapk,rpk->ra", residual, initial) ** 2
    others = torch.einsum("rapk,rpq,raqk->ra", residual, prior, residual)
    target = frozen.output[:, :tests]
    errors = [(value - target) ** 2 for value in (trained, linear.solution(frozen.output[:, tests:]))]
    return _columns(
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
    network, x, tests = _network(setting, run, 1)
    start = initialise(network, members, seed=sub_seed(run.seed, "member"), device=run.device)
    labels = torch.from_numpy(setting.labels).to(run.device)[None, :, None].expand(members, -1, 1)
    found = {}
    for name, goal in (("labels", labels), ("zeros", torch.zeros_like(labels))):
        linear, trained = _train(network, start, x, tests, goal, run)
        variances = [value[:, :, 0].reshape(-1, group, tests).var(dim=1) for value in (trained, linear.solution(goal))]
        found[name] = variances[0] - variances[1]
    return _columns(**found)


def _network(setting: EnsembleSetting, run: Run, outputs: int) -> tuple[FullyConnected, Tensor, int]:
    import torch

    from ....numerics.networks.fully_connected import fully_connected

    network = fully_connected(
        inputs=setting.train.shape[1],
        width=run.block["width"],
        outputs=outputs,
        parametrisation="ntk",
        **setting.architecture,
    )
    points = np.concatenate([setting.test, setting.train])
    return network, torch.from_numpy(points).to(run.device), len(setting.test)


def _train(
    network: FullyConnected, parameters: Parameters, x: Tensor, tests: int, goal: Tensor, run: Run
) -> tuple[Any, Tensor]:
    """The linearisation, and the output at the test points after full-batch descent to 1e-4 of the residual."""
    from ....numerics.networks.fully_connected import forward
    from ....numerics.training.choose import train
    from ....numerics.training.linearised import linearise
    from ....numerics.training.step_size import step_rule

    tolerance = run.block.get("tolerance", 1e-4)
    linear = linearise(network, parameters, x[tests:], x[:tests])
    rule = step_rule(linear.ntk_train, relative_residual=tolerance, damping=0.75, slack=20)
    found = train(
        network, parameters, x[tests:], goal,
        step_size_sum_loss=rule.step_size_sum_loss, relative_residual=tolerance, max_steps=rule.max_steps,
    )  # fmt: skip
    return linear, forward(network, found.parameters, x[:tests]).output


def _columns(**tables: Tensor) -> dict[str, np.ndarray]:
    return {f"{name}_{s}": table[:, s].cpu().numpy() for name, table in tables.items() for s in range(table.shape[1])}
