"""Experiments on what finite width does: paired nonlinear and linearised training of the same draws. They see no prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...result import Run
from ..finite_networks import columns, paired_columns, problem_of
from ..settings import EnsembleSetting

TOLERANCE = 1e-4  # of the residual: squared errors move by 2e-4 of themselves, below every standard error here

if TYPE_CHECKING:
    from ....numerics.training.pooled import Descent
    from .image_setting import ImageSetting


def distil_heads(
    setting: EnsembleSetting, run: Run, *, parametrisation: str = "ntk", tolerance: float = TOLERANCE
) -> Mapping[str, Any]:
    """Squared errors u - g of predictors with `heads` outputs, trained on frozen targets, averaged over the heads of each pair.

    Per pair and test point s: `linearised_s` is that of the exactly linearised training, averaged over what its tangent kernel does not
    depend on; `correction_s` is that of nonlinear descent less that of the linearisation, for the same draw.
    """
    from ....numerics.training.paired import distillation

    problem = problem_of(setting, run, run.block["heads"], parametrisation)
    return paired_columns(distillation(problem, **_draws(run), descent=_descent(tolerance)))


def distil_convolutions(setting: ImageSetting, run: Run) -> Mapping[str, Any]:
    """`distil_heads` for one convolution of `width` channels, averaged over positions."""
    import torch

    from ....numerics.training import pooled
    from ....numerics.training.paired import distillation

    problem = pooled.problem_of(
        *(torch.from_numpy(images).to(run.device) for images in (setting.test, setting.train)),
        width=run.block["width"],
        outputs=run.block["heads"],
        parametrisation="ntk",
        filter_size=setting.filter_size,
        depth=1,
        activation=setting.activation,
        weight_scale=setting.weight_scale,
        bias_scale=setting.bias_scale,
    )
    return paired_columns(distillation(problem, **_draws(run), descent=_descent(TOLERANCE)))


def bayesian_heads(
    setting: EnsembleSetting, run: Run, *, zeroed: bool = True, train: bool = False
) -> Mapping[str, Any]:
    """Squared errors of predictors trained on their own tangent targets, columns as in `distil_heads`; `directions` is an entry of the block.

    Without `train` there is no `correction_s`.
    """
    from ....numerics.training.paired import bayesian_distillation

    found = bayesian_distillation(
        problem_of(setting, run, run.block["heads"]),
        **_draws(run),
        directions=run.block["directions"],
        descent=_descent(TOLERANCE) if train else None,
        zeroed=zeroed,
    )
    return paired_columns(found)


def labelled_ensembles(setting: EnsembleSetting, run: Run, *, label_power: float = 0.0) -> Mapping[str, Any]:
    """Ensembles trained on the labels and on zeros from the same starts: how much nonlinear descent changes their variance.

    A row is one group of `group` members; `labels_s` and `zeros_s` are the variance over its members after nonlinear descent less that of their
    exact linearisations, at test point s. Labels are multiplied by (width/32)^label_power: with 1/2 the training is that of the mean-field
    parametrisation on the labels themselves, where nothing becomes lazy.
    """
    import torch

    from ....numerics.training.paired import ensemble_variances

    y = torch.from_numpy(setting.labels * (run.block["width"] / 32) ** label_power).to(run.device)
    _, correction = ensemble_variances(
        problem_of(setting, run, 1),
        torch.stack([y, torch.zeros_like(y)]),
        group=run.block["group"],
        **_draws(run),
        descent=_descent(TOLERANCE),
    )
    return columns(labels=correction[:, 0], zeros=correction[:, 1])


def label_gaps(setting: EnsembleSetting, run: Run, *, label_power: float = 0.0) -> Mapping[str, Any]:
    """Mean square over the test points of what nonlinear descent on the labels changes against its linearisation, over that of what the
    linearisation learns, both means over the members of the row's group. `label_power` as in `labelled_ensembles`."""
    import torch

    from ....numerics.training.paired import gaps

    y = torch.from_numpy(setting.labels * (run.block["width"] / 32) ** label_power).to(run.device)
    gap, size = gaps(problem_of(setting, run, 1), y, **_draws(run), descent=_descent(TOLERANCE))
    group = run.block["group"]
    gap, size = (value.unflatten(0, (-1, group)).mean(dim=1) for value in (gap, size))
    return {"gap": (gap / size).cpu().numpy()}


def half_steps(setting: EnsembleSetting, run: Run, *, other_parametrisation: bool = False) -> Mapping[str, Any]:
    """What half the step changes in distilled predictors (root mean square over test points, mean over a group of draws), over what half of
    that changes again for the same draws; the step is 1/`inverse_step` of the fastest. A row is a group.

    `other_parametrisation`: the halved step follows the gradient in the standard parametrisation, both times.
    """
    fraction, group = 1 / run.block["inverse_step"], run.block["group"]
    change, next_change = (
        _two_descents(setting, run, (f, f / 2), 1e-6, other_parametrisation).reshape(-1, group).mean(1)
        for f in (fraction, fraction / 2)
    )
    return {"ratio": change / next_change}


def long_and_short_steps(setting: EnsembleSetting, run: Run) -> Mapping[str, Any]:
    """Squares of the root mean square over the test points between three quarters and a tenth of the fastest step."""
    return {"gap": _two_descents(setting, run, (0.75, 0.1), 1e-6, False) ** 2}


def _two_descents(
    setting: EnsembleSetting, run: Run, fractions: tuple[float, float], tolerance: float, other: bool
) -> np.ndarray:
    from ....numerics.training.paired import step_differences

    first, second = (_descent(tolerance, fraction) for fraction in fractions)
    found = step_differences(
        problem_of(setting, run, run.block.get("heads", 1)),
        **_draws(run),
        descents=(first, second),
        other_parametrisation=other,
    )
    return np.asarray(found.cpu().numpy())


def _descent(tolerance: float, fraction: float = 0.75) -> Descent:
    from ....numerics.training.pooled import Descent

    return Descent(tolerance, fraction)


def _draws(run: Run) -> dict[str, Any]:
    return {"members": run.block["members"], "seed": run.seed, "device": run.device}
