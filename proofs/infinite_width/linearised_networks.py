"""Experiment: finite torch networks and their linearisation, trained side by side by the same descent. It sees no prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...numerics.randomness import sub_seed
from ..result import Run
from .settings import EnsembleSetting


def side_by_side(
    setting: EnsembleSetting,
    run: Run,
    *,
    readout_power: float = 0.0,
    label_power: float = 0.0,
    steps: int = 250,
    fraction: float = 0.5,
) -> Mapping[str, Any]:
    """Full-batch descent of networks and of their linearisations from the same parameters, `steps` steps.

    The step is `fraction` of 2/(lmax + lmin) of the member's own kernel. The readout is scaled by width^-readout_power: 0 in
    the NTK parametrisation, 1/2 in the mean-field one, where features move at every width. Labels are
    multiplied by width^label_power. For each member: `gap` is the largest mean square
    over the test points of f_k - f_lin,k in any step, `kernel` that of |T_k - T_0|_F^2/|T_0|_F^2 on X in every fiftieth step.
    """
    import torch

    from ...numerics.networks.fully_connected import Parameters, forward, fully_connected, initialise, pullback
    from ...numerics.networks.tangent_kernel import empirical_ntk

    width = run.block["width"]
    scales = {
        name: (*values[:-1], values[-1] * width**-readout_power)
        for name, values in (("weight_scale", setting.weight_scale), ("bias_scale", setting.bias_scale))
    }
    network = fully_connected(
        inputs=setting.train.shape[1], width=width, parametrisation="ntk", **(setting.architecture | scales)
    )
    points = torch.from_numpy(np.concatenate([setting.test, setting.train])).to(run.device)
    tests, members = len(setting.test), run.block["members"]
    parameters = initialise(network, members, seed=sub_seed(run.seed, "member"), device=run.device)
    labels = torch.from_numpy(setting.labels * width**label_power).to(run.device)
    start = empirical_ntk(network, parameters, points)[:, :, 0, :, 0]
    on_train = start[:, tests:, tests:]
    eigenvalues = torch.linalg.eigvalsh(on_train)
    eta = fraction * 2 / (eigenvalues[:, -1] + eigenvalues[:, 0])
    linear = forward(network, parameters, points).output[:, :, 0]
    size = (on_train**2).sum(dim=(1, 2))
    gap, kernel = torch.zeros_like(eta), torch.zeros_like(eta)
    for step in range(1, steps + 1):
        trace = forward(network, parameters, points[tests:])
        gradient = pullback(network, parameters, trace, trace.output - labels[:, None])
        parameters = Parameters(
            *(
                tuple(t - eta[:, None, None] * g for t, g in zip(values, slopes, strict=True))
                for values, slopes in (
                    (parameters.weights, gradient.weights),
                    (parameters.biases, gradient.biases),
                )
            )
        )
        residual = linear[:, tests:] - labels
        linear = linear - eta[:, None] * torch.einsum("rij,rj->ri", start[:, :, tests:], residual)
        trained = forward(network, parameters, points[:tests]).output[:, :, 0]
        gap = torch.maximum(gap, ((trained - linear[:, :tests]) ** 2).mean(dim=1))
        if step % 50 == 0:
            moved = empirical_ntk(network, parameters, points[tests:])[:, :, 0, :, 0] - on_train
            kernel = torch.maximum(kernel, (moved**2).sum(dim=(1, 2)) / size)
    return {"gap": gap.cpu().numpy(), "kernel": kernel.cpu().numpy()}
