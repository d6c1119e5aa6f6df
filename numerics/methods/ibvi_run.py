"""An IBVI posterior over a module that is linear in what is trained, as a run that theory can be held against.

Tensors are stored in the coordinates of the parametrisation: an effective entry is its multiplier m times the stored one,
so a learning rate r moves it by r m^2 times its gradient. These products are the metric of the training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...theory.errors import AssumptionViolated, InvalidInput
from ..implicit_bias.gaussian_law import GaussianLaw
from ..implicit_bias.linear_modules import affine_design, design_at
from ..implicit_bias.training_choices import Covariance, Training
from ..implicit_bias.training_run import TrainingRun
from ..variational.family import Family, Law
from .data import gather
from .ibvi import IBVIConfig, IBVIPosterior

COVARIANCES: dict[str, Covariance] = {
    "low_rank": "factor",
    "full": "factor",
    "diagonal": "diagonal",
    "kronecker": "kronecker",
}


def posterior_run(posterior: Any, data: Any) -> tuple[np.ndarray, np.ndarray, TrainingRun]:
    """Design, targets and run of a posterior that `ibvi.fit` has just found on data = (inputs, targets).

    Parameters are the trained ones in the order of the module's, flattened. Labels come back as -1 and 1.
    expectation="quadrature" is read as the expected loss: its 20 nodes err by 1e-9 at a variance of 1 of the output. Raises
    `AssumptionViolated` where no theorem describes the training: several trained layers, mini-batches, a schedule, more
    than two classes, several metrics.
    """
    if not isinstance(posterior, IBVIPosterior):
        raise InvalidInput(f"The posterior is a {type(posterior).__name__}.", "Pass what nv.methods.ibvi.fit returned.")
    config, family = posterior.config, posterior.family
    assert isinstance(config, IBVIConfig)
    x, y = gather(data)
    _require_one_step_rule(config, len(x))
    if not posterior.history:
        raise InvalidInput(
            "The posterior comes from a file, which does not hold its start.", "Report it where it was fitted."
        )
    design, offset, unit = _design(family, x)
    _require_one_factor(family)
    step, metric, ratio = _steps(family, config, len(x))
    training = Training(
        step=step,
        loss="squared" if config.likelihood == "gaussian" else "logistic",
        momentum=config.momentum,
        samples=config.samples if config.expectation == "sampled" else None,
        antithetic=config.antithetic and config.expectation == "sampled",
        redraw=not config.common_noise,
        covariance=COVARIANCES[config.covariance],
        covariance_rate=ratio,
        metric=metric,
    )
    start = family.start(posterior.seed, scale=config.covariance_scale, means=config.start)
    laws = {0: _effective(family, start), config.epochs: _effective(family, posterior.law)}
    run = TrainingRun(training, laws, unit_roundoff=unit)
    if config.likelihood == "gaussian":
        return design, y.double().cpu().numpy().reshape(-1) - offset, run
    if offset.any():
        raise AssumptionViolated(
            "The module's output has a part that is not trained.", "ib.class_w2 is about x^T w: train the bias too."
        )
    return design, 2.0 * y.cpu().numpy() - 1, run


def _require_one_step_rule(config: IBVIConfig, examples: int) -> None:
    if config.likelihood == "softmax":
        raise AssumptionViolated(
            "The likelihood has several classes.", "ib.class_w2 is about two: fit with likelihood='binary'."
        )
    if config.batch_size < examples:
        raise AssumptionViolated(
            f"Batches of {config.batch_size} of {examples} examples are drawn without replacement.",
            "ib.ls_sgd and ib.regression_mc are about independent batches: fit with batch_size of all examples.",
        )
    if config.schedule != "constant":
        raise AssumptionViolated(
            f"The schedule is {config.schedule!r}.",
            "ib.regression_w2 and its rates are about a fixed step: fit with schedule='constant'.",
        )
    if config.expectation == "bound":
        raise AssumptionViolated(
            "The objective is an upper bound of the expected loss.",
            "ib.class_logistic is about the expected loss itself: fit with expectation='quadrature'.",
        )


def _require_one_factor(family: Family) -> None:
    """The theorems are about one factor over everything that is trained; rows of a factor that are held at 0 would move."""
    seen = {name for layer in family.variational for name in layer.tensors}
    if len(family.variational) > 1 or seen != set(family.network.random):
        raise AssumptionViolated(
            f"{len(family.variational)} layers have a factor, and {len(set(family.network.random) - seen)} trained tensors have none.",
            "ib.regression_w2 and ib.ensemble_equiv are about one factor over all trained weights: train one layer.",
        )


def _design(family: Family, x: Tensor) -> tuple[np.ndarray, np.ndarray, float]:
    """X and f_0 in float64, and the unit roundoff to be counted with.

    Multipliers and the division by N at most double the roundings of a step. A body that was evaluated in float32 moves the
    design by more: bounds on rounding allow for 2 max(n, p) u ||X||, so they are enlarged by what it moved over that.
    """
    network = family.network
    values = {name: family.multipliers[name] * value.detach() for name, value in network.random.items()}
    design, offset = affine_design(*_function(family, x, values, double=True))
    unit = 2.0 * (2.0**-53 if network.dtype == torch.float64 else 2.0**-24)
    own = design_at(*_function(family, x, values, double=False)).double().cpu().numpy()
    size = 2 * max(design.shape) * unit * float(np.linalg.norm(design, 2))
    return design, offset, unit * max(1.0, float(np.linalg.norm(own - design)) / size) if size else unit


def _function(
    family: Family, x: Tensor, values: dict[str, Tensor], *, double: bool
) -> tuple[Callable[[dict[str, Tensor]], Tensor], dict[str, Tensor]]:
    """Flat outputs as a function of the trained tensors, and these tensors, in float64 or as they are."""
    convert = _double if double else lambda value: value
    fixed = {name: convert(value) for name, value in family.network.fixed.items()}
    inputs = convert(x.to(family.network.device))

    def outputs(parameters: dict[str, Tensor]) -> Tensor:
        found = torch.func.functional_call(family.network.module, {**parameters, **fixed}, (inputs,))
        assert isinstance(found, Tensor)
        return found.reshape(-1)

    return outputs, {name: convert(value) for name, value in values.items()}


def _double(value: Tensor) -> Tensor:
    return value.double() if value.is_floating_point() else value


def _steps(family: Family, config: IBVIConfig, examples: int) -> tuple[float, np.ndarray | None, float]:
    """Step on the summed loss, metric (None for one rate), and the factor's rate relative to the mean's, 1 where no theorem asks."""
    means = {name: scaling.rate * scaling.multiplier**2 for name, scaling in family.scalings.items()}
    ratio = 1.0
    if (
        COVARIANCES[config.covariance] == "factor"
    ):  # its tensors are called as the means are, and all rates divided alike
        found = {
            tensor.scaling.rate * tensor.scaling.multiplier**2 / means[name] for name, tensor in family.tensors.items()
        }
        ratio = max(found)
        if ratio - min(found) > 1e-14 * ratio:
            raise AssumptionViolated(
                "Mean and factor move in metrics that are no multiples of each other.",
                "ib.precond_bayes predicts such a law (`metric_regression_limit`), and this report does not.",
            )
    step = config.learning_rate * (1.0 if config.reduction == "sum" else 1 / examples)
    sizes = np.concatenate([np.full(value.numel(), means[name]) for name, value in family.network.random.items()])
    if np.all(sizes == sizes[0]):
        return step * float(sizes[0]), None, ratio
    return step, sizes, ratio


def _effective(family: Family, law: Law) -> GaussianLaw:
    """The law of what the network sees, over all trained parameters in the module's order."""
    names = list(family.network.random)
    mean = torch.cat([(family.multipliers[name] * law.means[name]).reshape(-1) for name in names])
    blocks = []
    for layer in family.variational:
        parts = family.covariance.matrix(layer, law.factors).split([law.means[name].numel() for name in layer.tensors])
        rows = {name: family.multipliers[name] * part for name, part in zip(layer.tensors, parts, strict=True)}
        width = parts[0].shape[1]
        blocks.append(torch.cat([rows.get(n, parts[0].new_zeros(law.means[n].numel(), width)) for n in names]))
    return GaussianLaw(*(part.detach().double().cpu().numpy() for part in (mean, torch.cat(blocks, dim=1))))
