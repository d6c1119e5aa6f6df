"""A certificate for a torch model: the true Gibbs risk of a Gaussian posterior over its parameters."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any, Literal

import torch

from ...theory.errors import InvalidInput
from ...theory.statement import Answer
from ...theory.statements.pac_bayes.common import BOUNDED_LOSS
from ...theory.validation import finite, log_inverse_delta, sample_size
from ..bounds import Certificate, gibbs_monte_carlo, seeger_kl, seeger_kl_split
from ..bounds.from_losses import MONTE_CARLO_SHARE
from ..confidence import split_delta
from ..methods.data import generator
from ..methods.network import FrozenNetwork
from .gaussian import MeanFieldGaussian, constants, kl_divergence
from .losses import Loss
from .measure import DRAWS, Parts, measure_risk
from .monte_carlo import MEMORY_MB, Drawn, labelled_data
from .overlap import require_disjoint


def certify(
    posterior: MeanFieldGaussian,
    *,
    prior: MeanFieldGaussian,
    data: Any,
    delta: float,
    seed: int,
    n_prior: int = 0,
    prior_data: Any = None,
    draws: int = DRAWS,
    parts: Parts = None,
    monte_carlo_share: float = MONTE_CARLO_SHARE,
    loss: Literal["zero_one", "cross_entropy"] = "zero_one",
    pmin: float | None = None,
    device: str | torch.device = "cpu",
    memory_mb: float = MEMORY_MB,
    vectorize: bool = True,
    progress: Callable[[Drawn], None] | None = None,
) -> Certificate:
    """Bound the true risk of predicting with a fresh draw from `posterior` for every example, with probability 1 - delta.

    Parameters
    ----------
    posterior: Gaussian over the module's parameters; it carries the module. It may depend on all the data.
    prior: Gaussian over the same parameters, chosen without looking at `data`.
    data: the examples of the bound, none of which the prior saw: (inputs (n, ...), labels (n,)) or an iterable of such batches. n is
        the number of examples in it, each weighs 1/n.
    delta: total failure probability. `monte_carlo_share` of it pays for the posterior draws (pb.gibbs_mc), the rest for the sample
        (pb.kl; pb.data_prior where the prior was learned).
    seed: of the posterior draws. Certifying several posteriors, or several seeds, and quoting the best is a union over them.
    n_prior: how many further examples the prior was learned from. They do not count for the bound.
    prior_data: those examples themselves, as `data`, in place of `n_prior`; refused if one of them is among the examples of the bound.
    draws, parts: the examples are cut into `parts`, and for each part `draws` predictors are drawn and evaluated on it; "examples" draws
        for every single example, which needs a module of linear layers. The more parts, the less the draws cost (pb.gibbs_mc). None
        chooses "examples" where it can, else `default_parts(n)`.
    loss, pmin: "zero_one" (a tie counts as an error) or the "cross_entropy" clamped and rescaled at `pmin`.
    memory_mb, vectorize, progress: working memory; see `draw_risks`; called with `Drawn` events.

    Everything is checked before the first draw. Raises `InvalidInput`, `AssumptionViolated`, `NumericalFailure`. Sources: those of the
    statements named; Perez-Ortiz et al. 2021 for their use together, here with one-sided draws and Maurer's exact constant.
    """
    log_inverse_delta(delta)
    if isinstance(monte_carlo_share, bool) or not isinstance(monte_carlo_share, float) or not 0 < monte_carlo_share < 1:
        raise InvalidInput(f"monte_carlo_share is {monte_carlo_share!r}.", "It must lie strictly between 0 and 1.")
    count, learned = sample_size("draws", draws), float(finite("n_prior", n_prior, ndim=0))
    if learned != int(learned) or learned < 0:
        raise InvalidInput(f"n_prior is {n_prior!r}.", "It must be a whole number of at least 0.")
    if prior_data is not None:
        if learned:
            raise InvalidInput("n_prior and prior_data are both given.", "Give one of them.")
        learned = float(require_disjoint(prior_data, data))
    measured = Loss(loss, pmin)
    generator(seed, "validation", torch.device("cpu"))
    divergence = kl_divergence(posterior, prior)
    placed = on_device(posterior, device)
    x, y = labelled_data(data, placed.network)
    risks = measure_risk(
        placed, x, y, measured,
        draws=count, seed=seed, parts=parts, memory_mb=memory_mb, vectorize=vectorize, progress=progress,
    )  # fmt: skip
    shares = split_delta(delta, monte_carlo_share)
    estimate = gibbs_monte_carlo(
        risk=risks.mean_upward, draws=count, delta=shares[0], examples=len(x), largest_part=risks.largest_part
    ).confirm(BOUNDED_LOSS.name)
    if learned:
        total = len(x) + int(learned)
        bound = seeger_kl_split(risk=estimate, kl=divergence, n=total, n_prior=int(learned), delta=shares[1])
    else:
        bound = seeger_kl(risk=estimate, kl=divergence, n=len(x), delta=shares[1])
    answers = dict(bound.answers)
    if constants(placed.network):
        answers["constants of the model before data"] = Answer.CANNOT_BE_CHECKED
    facts: dict[str, float | int | str] = {"loss": str(measured), "parameters": posterior.parameters, "seed": int(seed)}
    return replace(bound, quantity=f"true Gibbs risk ({measured})", answers=answers, inputs={**bound.inputs, **facts})


def on_device(gaussian: MeanFieldGaussian, device: str | torch.device) -> MeanFieldGaussian:
    """A copy on another device, or the Gaussian itself where it is there already. Raises `InvalidInput`."""
    network = gaussian.network
    try:
        target = torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise InvalidInput(f"The device {device!r} cannot be used: {error}", "Choose another device.") from error
    if target.type == "meta":
        raise InvalidInput("Tensors on the device 'meta' hold no numbers.", "Choose another device.")
    if target == network.device:
        return gaussian
    there = FrozenNetwork(
        deepcopy(network.module).to(target),
        {name: value.to(target) for name, value in network.random.items()},
        {name: value.to(target) for name, value in network.fixed.items()},
    )
    return MeanFieldGaussian(there, {name: value.to(target) for name, value in gaussian.log_scales.items()})
