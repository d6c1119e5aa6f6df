"""Certificates while data keep arriving (pb.kl_anytime): one delta for all looks, and posteriors that change between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from ...theory.errors import AssumptionViolated, InvalidInput
from ...theory.statement import Answer
from ...theory.statements.pac_bayes.common import BOUNDED_LOSS
from ...theory.validation import log_inverse_delta, sample_size
from ..bounds.certificate import Certificate
from ..bounds.from_losses import MONTE_CARLO_SHARE
from ..bounds.monte_carlo import EVENT, gibbs_monte_carlo
from ..bounds.time_uniform import kl_anytime
from ..certified.outward import add_up, log_up
from ..confidence import split_delta
from ..methods.data import generator
from ..randomness import sub_seed
from .certify import on_device
from .gaussian import MeanFieldGaussian, constants, kl_divergence
from .losses import Loss
from .measure import DRAWS, Parts, measure_risk
from .monte_carlo import MEMORY_MB, Drawn, labelled_data


def certify_growing(
    looks: Iterable[tuple[MeanFieldGaussian, Any]],
    *,
    prior: MeanFieldGaussian,
    delta: float,
    seed: int,
    draws: int = DRAWS,
    parts: Parts = None,
    monte_carlo_share: float = MONTE_CARLO_SHARE,
    loss: Literal["zero_one", "cross_entropy"] = "zero_one",
    pmin: float | None = None,
    device: str | torch.device = "cpu",
    memory_mb: float = MEMORY_MB,
    vectorize: bool = True,
    progress: Callable[[Drawn], None] | None = None,
) -> Iterator[Certificate]:
    """One certificate for each look at a growing sample; with probability 1 - delta all of them hold, however many there are.

    Parameters
    ----------
    looks: pairs (posterior, data), taken one at a time: the next one may be trained, or decided on, after the certificates before it
        were read. data are all examples so far in the order of their arrival, as `certify` takes them: each look starts with the
        examples of the look before.
    prior: Gaussian over the same parameters, chosen without looking at any of the examples, and the same at every look.
    delta: of the whole stream. `monte_carlo_share` of it pays for the posterior draws, its k-th look a k(k+1)-th part; the rest pays once for
        the sample, at every n.
    seed: of the posterior draws; every look has streams of its own.
    draws, parts, loss, pmin, device, memory_mb, vectorize, progress: as in `certify`.

    Raises `InvalidInput`, `AssumptionViolated`, `NumericalFailure`; what was yielded before stays valid.
    """
    log_inverse_delta(delta)
    shares = split_delta(delta, monte_carlo_share)
    count = sample_size("draws", draws)
    measured = Loss(loss, pmin)
    generator(seed, "validation", torch.device("cpu"))
    if not isinstance(prior, MeanFieldGaussian):
        raise InvalidInput(f"The prior is a {type(prior).__name__}.", "Pass a MeanFieldGaussian.")
    if not isinstance(looks, Iterable):
        raise InvalidInput(
            f"looks is a {type(looks).__name__}.", "Pass pairs (posterior, data), or a generator of them."
        )
    return _certificates(
        looks, prior, shares, seed, measured, device,
        {"draws": count, "parts": parts, "memory_mb": memory_mb, "vectorize": vectorize, "progress": progress},
    )  # fmt: skip


def _certificates(
    looks: Iterable[tuple[MeanFieldGaussian, Any]],
    prior: MeanFieldGaussian,
    shares: tuple[float, float],
    seed: int,
    measured: Loss,
    device: str | torch.device,
    options: dict[str, Any],
) -> Iterator[Certificate]:
    before: tuple[Tensor, Tensor] | None = None
    level = log_inverse_delta(shares[0])
    for k, look in enumerate(looks, start=1):
        if not isinstance(look, (tuple, list)) or len(look) != 2 or not isinstance(look[0], MeanFieldGaussian):
            raise InvalidInput(f"Look {k} is no pair of a posterior and data.", "Yield (MeanFieldGaussian, data).")
        divergence = kl_divergence(look[0], prior)
        placed = on_device(look[0], device)
        x, y = labelled_data(look[1], placed.network)
        _require_grown(k, before, (x, y))
        before = (x, y)
        risks = measure_risk(placed, x, y, measured, seed=sub_seed(seed, "look", k), **options)
        estimate = gibbs_monte_carlo(
            risk=risks.mean_upward, draws=options["draws"], examples=len(x), largest_part=risks.largest_part,
            log_inv_delta=add_up(level, log_up(float(k * (k + 1)))), event=f"{EVENT}, look {k}",
        ).confirm(BOUNDED_LOSS.name)  # fmt: skip
        bound = kl_anytime(risk=estimate, kl=divergence, n=len(x), delta=shares[1])
        answers = dict(bound.answers)
        if constants(placed.network):
            answers["constants of the model before data"] = Answer.CANNOT_BE_CHECKED
        facts: dict[str, float | int | str] = {
            "loss": str(measured), "parameters": prior.parameters, "seed": int(seed), "look": k,
        }  # fmt: skip
        yield replace(
            bound, quantity=f"true Gibbs risk ({measured})", answers=answers, inputs={**bound.inputs, **facts}
        )


def _require_grown(k: int, before: tuple[Tensor, Tensor] | None, now: tuple[Tensor, Tensor]) -> None:
    """The examples of the look before come first, unchanged: leaving some out, or choosing them, is no stream."""
    if before is None:
        return
    n = len(before[1])
    same = len(now[1]) >= n and torch.equal(now[0][:n], before[0]) and torch.equal(now[1][:n], before[1])
    if not same:
        raise AssumptionViolated(
            f"Look {k} does not start with the {n} examples of the look before.",
            "Pass all examples so far in the order of their arrival (a loader must not shuffle).",
        )
