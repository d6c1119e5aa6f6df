"""Recursive PAC-Bayes for torch models (pb.rpb): priors learned on part of the data without giving that part up.

Each posterior is the prior of the next; its certificate adds what the next one errs more than a fraction gamma of it to that
fraction of the certificate before. Source: Wu, Zhang, Cherief-Abdellatif and Seldin 2024.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from ...theory.errors import InvalidInput
from ...theory.statement import Answer
from ...theory.statements.pac_bayes.held_out import ZERO_ONE as ZERO_ONE_LOSS
from ...theory.validation import log_inverse_delta, sample_size
from ..bounds.certificate import Certificate
from ..bounds.from_losses import MONTE_CARLO_SHARE
from ..bounds.recursive import FORMS, RecursiveStep, recursive_pac_bayes
from ..confidence import split_delta
from ..methods.data import generator
from .certify import on_device
from .excess import ZERO_ONE, excess_counts
from .gaussian import MeanFieldGaussian, constants, kl_divergence
from .measure import DRAWS, Parts, chosen_parts, measure_risk
from .monte_carlo import MEMORY_MB, labelled_data
from .overlap import require_disjoint
from .training import Epoch

GAMMA = 0.5


@dataclass(frozen=True)
class Progress:
    """Step `step` of `steps` of a recursion is at `epoch` of its training (None: the step's draws are done)."""

    step: int
    steps: int
    epoch: Epoch | None


def certify_recursive(
    posteriors: Sequence[MeanFieldGaussian],
    *,
    prior: MeanFieldGaussian,
    data: Sequence[Any],
    delta: float,
    seed: int,
    gammas: float | Sequence[float] = GAMMA,
    form: Literal["vector", "split"] = "vector",
    draws: int = DRAWS,
    parts: Parts = None,
    monte_carlo_share: float = MONTE_CARLO_SHARE,
    look_alikes: bool = False,
    device: str | torch.device = "cpu",
    memory_mb: float = MEMORY_MB,
    vectorize: bool = True,
    progress: Callable[[Progress], None] | None = None,
) -> Certificate:
    """Bound the true Gibbs risk (0-1 loss) of the last of T posteriors; with probability 1 - delta the bounds of all of them hold.

    Parameters
    ----------
    posteriors: pi_1, ..., pi_T over one module; pi_t may depend on the parts 1..t of the data.
    prior: pi_0, chosen without looking at any part.
    data: the T parts, each as `certify` takes data. The more the later posteriors matter, the larger should their parts be: each doubles
        the one before in Wu et al.
    gammas: gamma_2, ..., gamma_T in (0, 1], or one number for all; fixed before the data (gamma_t may use parts before t).
    form: see `recursive_pac_bayes`.
    draws, parts: pairs of predictors for each part of the examples, as in `certify`, for the first posterior on all the data; later steps,
        which see fewer examples, draw as many more as leave the number of independent draws the same.
    look_alikes: equal rows in two parts are different examples (else they are refused: a posterior would have seen its own test).
    seed, monte_carlo_share, device, memory_mb, vectorize, progress: as in `certify`.

    Everything is checked before the first draw. Raises `InvalidInput`, `AssumptionViolated`, `NumericalFailure`.
    """
    log_inverse_delta(delta)
    shares = split_delta(delta, monte_carlo_share)
    count = sample_size("draws", draws)
    if form not in FORMS:
        raise InvalidInput(f"form is {form!r}.", f"Choose one of {FORMS}.")
    generator(seed, "validation", torch.device("cpu"))
    chain = _chain(posteriors, prior, data)
    factors = gammas_of(gammas, len(chain) - 1)
    divergences = [kl_divergence(b, a) for a, b in pairwise([prior, *chain])]
    placed = [on_device(gaussian, device) for gaussian in chain]
    suffixes = later_parts(data, placed[0], look_alikes)
    x, y = suffixes[0]
    first = measure_risk(
        placed[0], x, y, ZERO_ONE,
        draws=count, seed=seed, parts=parts, memory_mb=memory_mb, vectorize=vectorize,
    )  # fmt: skip
    pairs = [count * len(x) // first.largest_part]
    steps = []
    if progress is not None:
        progress(Progress(1, len(chain), None))
    for t in range(2, len(chain) + 1):
        inputs, labels = suffixes[t - 1]
        each = _largest(placed[t - 1], inputs, parts, memory_mb)
        found = excess_counts(
            placed[t - 1], placed[t - 2], inputs, labels,
            step=t, draws=math.ceil(pairs[0] * each / len(inputs)), seed=seed, parts=parts, memory_mb=memory_mb, vectorize=vectorize,
        )  # fmt: skip
        pairs.append(found.pairs)
        gamma = factors[t - 2]
        steps.append(RecursiveStep(gamma, found.frequencies(gamma), divergences[t - 1], len(inputs)))
        if progress is not None:
            progress(Progress(t, len(chain), None))
    bound = recursive_pac_bayes(
        risk=first.mean_upward, kl=divergences[0], n=len(x), steps=steps, delta=shares[1], form=form,
        pairs=min(pairs), draws_delta=shares[0],
    ).confirm(ZERO_ONE_LOSS.name)  # fmt: skip
    answers = dict(bound.answers)
    if constants(placed[0].network):
        answers["constants of the model before data"] = Answer.CANNOT_BE_CHECKED
    facts: dict[str, float | int | str] = {"parameters": prior.parameters, "seed": int(seed)}
    return replace(bound, answers=answers, inputs={**bound.inputs, **facts})


def gammas_of(gammas: float | Sequence[float], count: int) -> tuple[float, ...]:
    """One factor in (0, 1] for each of `count` steps. Raises `InvalidInput`."""
    given = (gammas,) * count if isinstance(gammas, (int, float)) else tuple(gammas)
    if len(given) != count or any(
        isinstance(g, bool) or not isinstance(g, (int, float)) or not 0 < g <= 1 for g in given
    ):
        raise InvalidInput(
            f"gammas is {gammas!r} for {count} steps.",
            "Give one number in (0, 1], or one for each step after the first.",
        )
    return tuple(float(g) for g in given)


def later_parts(data: Sequence[Any], gaussian: MeanFieldGaussian, look_alikes: bool) -> list[tuple[Tensor, Tensor]]:
    """Parts t..T together, for each t, on the Gaussian's device. Raises `InvalidInput`, `AssumptionViolated`."""
    sets = [labelled_data(part, gaussian.network) for part in data]
    found = [tuple(torch.cat([part[i] for part in sets[t:]]) for i in (0, 1)) for t in range(len(sets))]
    for t in range(1, len(sets)):
        if not look_alikes:
            require_disjoint(
                sets[t - 1],
                found[t],
                advice="Cut the data once; if they are different examples that look alike, pass look_alikes=True.",
            )
    return [(x, y) for x, y in found]


def _chain(posteriors: Any, prior: Any, data: Any) -> list[MeanFieldGaussian]:
    chain = list(posteriors) if isinstance(posteriors, (list, tuple)) else []
    for gaussian in [prior, *chain]:
        if not isinstance(gaussian, MeanFieldGaussian):
            raise InvalidInput(f"A posterior is a {type(gaussian).__name__}.", "Pass MeanFieldGaussians.")
    if not chain or not isinstance(data, (list, tuple)) or len(data) != len(chain):
        raise InvalidInput(
            "posteriors and data do not belong together.",
            "Give a list of posteriors and one part of the data for each.",
        )
    return chain


def _largest(posterior: MeanFieldGaussian, x: Tensor, parts: Parts, memory_mb: float) -> int:
    """Examples in the largest part."""
    chosen = chosen_parts(posterior, x, parts, memory_mb)
    return 1 if chosen == "examples" else math.ceil(len(x) / chosen)
