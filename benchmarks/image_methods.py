"""The methods of `image_comparison.py`: how each is trained from a split, and the draws of its logits by which it is scored.

Plain network, temperature scaling and last-layer Laplace share one trained network, which is member 0 of the ensemble; with the same seed
and the same parametrisation it starts at the means where IBVI starts, and it sees the same batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ibvi_step import lenet
from image_sets import CLEAN, PHOTOGRAPHS, Split
from torch import Tensor

from nonvacuous.numerics.methods import ibvi, kl_vi, last_layer_laplace, sgd_ensemble, temperature_scaling
from nonvacuous.numerics.metrics import auroc, brier_score, entropy, error_rate, expected_calibration_error, log_loss
from nonvacuous.theory.errors import InvalidInput

METHODS = (
    "plain",
    "temperature scaling",
    "ensemble",
    "IBVI",
    "IBVI + temperature scaling",
    "last-layer Laplace",
    "last-layer Laplace, held-out prior",
    "mean-field KL",
)
FAMILIES = ("network", "IBVI", "mean-field KL")  # what has a parametrisation and a learning rate of its own
SCORES = ("error", "log loss", "Brier", "calibration error")
Fitted = tuple[
    str, Callable[[Tensor], Tensor], dict[str, Any]
]  # method, inputs to logits (draws, N, C), what was found


def descent(plan: Any, candidate: tuple[str, float]) -> dict[str, Any]:
    """What every training has in common."""
    return {
        "likelihood": "softmax",
        "epochs": plan.epochs,
        "batch_size": plan.batch_size,
        "parametrisation": candidate[0],
        "learning_rate": candidate[1],
    }


def trained(
    family: str,
    split: Split,
    plan: Any,
    candidate: tuple[str, float],
    seed: int,
    states: Path,
    tick: Callable[[Any], None],
    members: int = 1,
) -> Any:
    """The posterior of one family; an interrupted training goes on from `states`."""
    options = {"seed": seed, "device": split.train[0].device, "checkpoint": states, "progress": tick}
    net, common = lenet().eval(), descent(plan, candidate)
    if family == "network":
        return sgd_ensemble.fit(net, split.train, sgd_ensemble.SGDEnsembleConfig(members=members, **common), **options)
    if family == "IBVI":
        config = ibvi.IBVIConfig(rank=plan.rank, test_samples=plan.test_samples, **common)
        return ibvi.fit(net, split.train, config, **options)
    return kl_vi.fit(net, split.train, kl_vi.KLVIConfig(test_samples=plan.test_samples, **common), **options)


def draws_of(family: str, posterior: Any) -> Callable[[Tensor], Tensor]:
    """Inputs to the logits that a prediction averages, at temperature 1."""
    module = {"network": sgd_ensemble, "IBVI": ibvi, "mean-field KL": kl_vi}[family]

    known: dict[
        int, tuple[Tensor, Tensor]
    ] = {}  # two methods read the same draws; inputs are kept, so that an id stays theirs

    def draws(x: Tensor) -> Tensor:
        if id(x) not in known:
            found = module.predict(posterior, x).samples
            assert found is not None
            known[id(x)] = x, found
        return known[id(x)][1]

    return draws


def temperature(fit: Callable[[], float]) -> tuple[float, dict[str, Any]]:
    """What `fit` finds, or 1 where it says that no temperature is best, with its words."""
    try:
        value = fit()
    except InvalidInput as error:
        return 1.0, {"temperature": 1.0, "left at 1": str(error)}
    return value, {"temperature": value}


def fitted(
    group: str,
    split: Split,
    plan: Any,
    candidate: tuple[str, float],
    seed: int,
    states: Path,
    tick: Callable[[Any], None],
) -> Iterator[Fitted]:
    """The methods of one group, which share a training."""
    if group == "ensemble":
        whole = trained("network", split, plan, candidate, seed, states, tick, plan.members)
        yield "ensemble", draws_of("network", whole), {"members": plan.members}
        return
    posterior = trained(group, split, plan, candidate, seed, states, tick)
    draws = draws_of(group, posterior)
    if group == "mean-field KL":
        yield "mean-field KL", draws, {"divergence": kl_vi.divergence(posterior)}
        return
    if group == "IBVI":
        yield "IBVI", draws, {"objective": posterior.history[-1].objective}
        heat, found = temperature(lambda: ibvi.calibrate(posterior, split.validation).temperature)
        yield "IBVI + temperature scaling", lambda x: draws(x) / heat, found
        return
    yield "plain", draws, {"objective": posterior.history[0][-1].objective}
    network, device = sgd_ensemble.member(posterior, 0), split.train[0].device
    settings = temperature_scaling.TemperatureScalingConfig()
    options = {"seed": seed, "device": device}
    heat, found = temperature(
        lambda: temperature_scaling.fit(network, split.validation, settings, **options).temperature
    )
    yield "temperature scaling", lambda x: draws(x) / heat, found
    laplace = last_layer_laplace.LastLayerLaplaceConfig(samples=plan.laplace_samples)
    law = last_layer_laplace.fit(network, split.train, laplace, **options)
    found = {
        "prior precision": law.prior_precision,
        "log marginal likelihood": last_layer_laplace.log_marginal_likelihood(law),
    }
    yield "last-layer Laplace", lambda x: last_layer_laplace.sample(law, x, plan.laplace_samples, seed), found
    tuned = replace(laplace, prior_precision="held_out")
    try:
        other = last_layer_laplace.fit(network, split.train, tuned, held_out=split.validation, **options)
    except InvalidInput as error:  # no variance is best
        yield "last-layer Laplace, held-out prior", draws, {"prior precision": None, "without variance": str(error)}
        return
    found = {"prior precision": other.prior_precision}
    sampled = lambda x: last_layer_laplace.sample(other, x, plan.laplace_samples, seed)  # noqa: E731 (a closure like the others)
    yield "last-layer Laplace, held-out prior", sampled, found


GROUPS = {
    "network": ("plain", "temperature scaling", "last-layer Laplace", "last-layer Laplace, held-out prior"),
    "ensemble": ("ensemble",),
    "IBVI": ("IBVI", "IBVI + temperature scaling"),
    "mean-field KL": ("mean-field KL",),
}


def average(draws: Tensor) -> np.ndarray:
    """Probabilities averaged over the draws, in float64 from the logits."""
    return torch.softmax(draws.double(), dim=2).mean(0).cpu().numpy()


def validation_loss(family: str, posterior: Any, split: Split) -> float:
    """What candidates are chosen by."""
    return log_loss(average(draws_of(family, posterior)(split.validation[0])), split.validation[1].cpu().numpy())


def scores(draws: Callable[[Tensor], Tensor], split: Split) -> dict[str, dict[str, float]]:
    """Of every test set: error, log loss, Brier score, calibration error (not of photographs), mean entropy, and how well entropy tells it
    from the clean images."""
    found: dict[str, dict[str, float]] = {}
    known = np.zeros(0)
    for name, x in split.tests.items():
        p = average(draws(x))
        uncertain = entropy(p)
        row = {"entropy": float(uncertain.mean())}
        if name == CLEAN:
            known = uncertain
        else:
            row["AUROC"] = auroc(known, uncertain)
        if name != PHOTOGRAPHS:
            y = split.labels
            values = (error_rate(p, y), log_loss(p, y), brier_score(p, y), expected_calibration_error(p, y))
            row |= dict(zip(SCORES, values, strict=True))
        found[name] = row
    return found
