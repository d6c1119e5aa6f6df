"""Finite networks whose distillation is linearised and solved exactly: laws of the error without any training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...numerics.randomness import sub_seed
from ...theory.errors import InvalidInput
from ..result import Run
from .distillation.setting import DistillationSetting


def linearised_distillation(
    setting: DistillationSetting, run: Run, *, trained: str = "all", centred: bool = False, scale: float = 1.0
) -> Mapping[str, Any]:
    """E (u - c g)^2 at each test point (`square_s`), given the predictor's first layer and the sizes of its readout.

    One hidden layer and one head. The predictor is trained to convergence in its linearisation; the expectation over
    the signs of its readout and over the whole target is exact: a target of one hidden layer has covariance K_g at
    every width (estimated from an independent wide target of the block's width, whose features are averaged).
    """
    import torch

    from ...numerics.networks.fully_connected import forward, fully_connected, initialise
    from ...numerics.training.linearised import linearise
    from .finite_networks import columns, readout_covariance, residual_map

    points = np.concatenate([setting.test, setting.train])
    x, tests = torch.from_numpy(points).to(run.device), len(setting.test)
    networks = []
    for side in (setting.predictor, setting.target):
        architecture = side.architecture
        networks.append(
            fully_connected(inputs=points.shape[1], width=run.block["width"], parametrisation="ntk", **architecture)
        )
    if any(network.depth != 1 for network in networks):
        raise InvalidInput("The averages are exact for one hidden layer only.", "Use two scales.")
    members = run.block["members"]
    u, g = (
        initialise(network, members, seed=sub_seed(run.seed, name), device=run.device)
        for network, name in zip(networks, ("predictor", "target"), strict=True)
    )
    linear = linearise(networks[0], u, x[tests:], x[:tests], trained=trained)
    covariance = scale**2 * readout_covariance(networks[1], forward(networks[1], g, x).features[-1], None)
    if not centred:
        features = forward(networks[0], u, x).features[-1]
        # a kernel of the readout alone does not depend on the readout: average over all of it, not only over its signs
        covariance = covariance + readout_covariance(networks[0], features, u if trained == "all" else None)
    residual = residual_map(linear.smoother)
    return columns(square=torch.einsum("rsi,rij,rsj->rs", residual, covariance, residual))


def linearised_heads(setting: Any, run: Run, *, one_target: bool = False) -> Mapping[str, Any]:
    """Squared errors of two heads of one trunk, linearised training, one hidden layer.

    For each pair of networks and test point s, given everything but the target's readout: `first_s` and `second_s` are
    the expected squared errors of the two heads, `within_s` their covariance. `one_target` gives both heads one target.
    """
    import torch

    from ...numerics.networks.fully_connected import forward, fully_connected, initialise
    from ...numerics.training.linearised import linearise
    from .finite_networks import columns, readout_covariance, residual_map

    points = np.concatenate([setting.test, setting.train])
    x, tests = torch.from_numpy(points).to(run.device), len(setting.test)
    network = fully_connected(
        inputs=points.shape[1],
        width=run.block["width"],
        parametrisation="ntk",
        outputs=2,
        **setting.network.architecture,
    )
    u, g = (
        initialise(network, run.block["members"], seed=sub_seed(run.seed, name), device=run.device)
        for name in ("predictor", "target")
    )
    linear = linearise(network, u, x[tests:], x[:tests])
    residual = residual_map(linear.smoother)  # (R, 2S, 2(S+N)), the head fastest
    start = forward(network, u, x).output.flatten(1)[:, :, None]
    mean = torch.bmm(residual, start)[:, :, 0].reshape(-1, tests, 2)
    one = readout_covariance(network, forward(network, g, x).features[-1], None)
    mixing = torch.ones(2, 2, dtype=x.dtype) if one_target else torch.eye(2, dtype=x.dtype)
    covariance = torch.einsum("rij,ab->riajb", one, mixing.to(x.device)).reshape(len(one), 2 * len(x), 2 * len(x))
    spread = torch.bmm(torch.bmm(residual, covariance), residual.mT).reshape(-1, tests, 2, tests, 2)
    here = torch.stack([spread[:, s, :, s, :] for s in range(tests)], dim=1)  # (R, S, 2, 2)
    first, second = (mean[:, :, i] ** 2 + here[:, :, i, i] for i in range(2))
    cross = here[:, :, 0, 1]
    within = 2 * cross**2 + 4 * mean[:, :, 0] * mean[:, :, 1] * cross
    return columns(first=first, second=second, within=within)
