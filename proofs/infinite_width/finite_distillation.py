"""Finite networks whose distillation is linearised and solved exactly: laws of the error without any training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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

    from ...numerics.networks.fully_connected import forward, initialise
    from ...numerics.training.linearised import linearise
    from ...numerics.training.pooled import features, problem_of
    from ...numerics.training.readout_covariance import covariance_of_readout, covariance_of_start, left_over
    from .finite_networks import columns

    test, train = (torch.from_numpy(points).to(run.device) for points in (setting.test, setting.train))
    own, other = (
        problem_of(test, train, width=run.block["width"], outputs=1, parametrisation="ntk", **side.architecture)
        for side in (setting.predictor, setting.target)
    )
    if any(problem.network.depth != 1 for problem in (own, other)):
        raise InvalidInput("The averages are exact for one hidden layer only.", "Use two scales.")
    u, g = (
        initialise(problem.network, run.block["members"], seed=sub_seed(run.seed, name), device=run.device)
        for problem, name in ((own, "predictor"), (other, "target"))
    )
    start, frozen = forward(own.network, u, own.points), forward(other.network, g, other.points)
    covariance = scale**2 * covariance_of_readout(other, features(other, frozen))
    if not centred:
        # a kernel of the readout alone does not depend on the readout: average over all of it, not only over its signs
        covariance = covariance + (
            covariance_of_start(own, u, start) if trained == "all" else covariance_of_readout(own, features(own, start))
        )
    return columns(square=left_over(linearise(own.network, u, train, test, trained=trained).smoother, covariance))


def linearised_heads(setting: Any, run: Run, *, one_target: bool = False) -> Mapping[str, Any]:
    """Squared errors of two heads of one trunk, linearised training, one hidden layer.

    For each pair of networks and test point s, given everything but the target's readout: `first_s` and `second_s` are
    the expected squared errors of the two heads, `within_s` their covariance. `one_target` gives both heads one target.
    """
    import torch

    from ...numerics.networks.fully_connected import forward, initialise
    from ...numerics.training.linearised import linearise
    from ...numerics.training.pooled import features, problem_of, read
    from ...numerics.training.readout_covariance import covariance_of_readout, residual_map
    from .finite_networks import columns

    test, train = (torch.from_numpy(points).to(run.device) for points in (setting.test, setting.train))
    architecture = setting.network.architecture
    problem = problem_of(test, train, width=run.block["width"], outputs=2, parametrisation="ntk", **architecture)
    network, x, tests = problem.network, problem.points, problem.tests
    u, g = (
        initialise(network, run.block["members"], seed=sub_seed(run.seed, name), device=run.device)
        for name in ("predictor", "target")
    )
    residual = residual_map(linearise(network, u, train, test).smoother)  # (R, 2S, 2(S+N)), the head fastest
    start = read(problem, forward(network, u, x)).flatten(1)[:, :, None]
    mean = torch.bmm(residual, start)[:, :, 0].reshape(-1, tests, 2)
    one = covariance_of_readout(problem, features(problem, forward(network, g, x)))
    mixing = torch.ones(2, 2, dtype=x.dtype) if one_target else torch.eye(2, dtype=x.dtype)
    covariance = torch.einsum("rij,ab->riajb", one, mixing.to(x.device)).reshape(len(one), 2 * len(x), 2 * len(x))
    spread = torch.bmm(torch.bmm(residual, covariance), residual.mT).reshape(-1, tests, 2, tests, 2)
    here = torch.stack([spread[:, s, :, s, :] for s in range(tests)], dim=1)  # (R, S, 2, 2)
    first, second = (mean[:, :, i] ** 2 + here[:, :, i, i] for i in range(2))
    cross = here[:, :, 0, 1]
    within = 2 * cross**2 + 4 * mean[:, :, 0] * mean[:, :, 1] * cross
    return columns(first=first, second=second, within=within)
