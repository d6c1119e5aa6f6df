"""A certificate from an array of losses alone: rows are posterior draws, columns are examples."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.common import BOUNDED_LOSS
from ...theory.validation import finite, non_negative, sample_size, unit_interval
from ..confidence import split_delta
from .certificate import Certificate
from .issue import scalar
from .monte_carlo import gibbs_monte_carlo
from .seeger import seeger_kl, seeger_kl_split

AXES = ("draws", "examples")
MONTE_CARLO_SHARE = 0.2  # of delta; the PAC-Bayes event depends on its share only through ln(1/delta)/n


def certify_losses(
    losses: Any,
    *,
    kl: float,
    delta: float,
    axes: Sequence[str] = AXES,
    n_prior: int = 0,
    monte_carlo_share: float = MONTE_CARLO_SHARE,
) -> Certificate:
    """Certify the true Gibbs risk of a posterior from the losses of fresh draws on the bound's examples.

    Parameters
    ----------
    losses: array (draws, examples) of losses in [0, 1]; `axes=("examples", "draws")` for the transpose. Row i holds the losses of the
        i-th fresh draw from the posterior on every example that the prior never saw.
    kl: KL(Q||P) in nats.
    delta: total failure probability; `monte_carlo_share` of it pays for the draws, the rest for the PAC-Bayes event.
    n_prior: how many further examples the prior was learned from (recorded; they do not count for the bound).

    The empirical risk is the mean over all entries, rounded up. Raises `InvalidInput`.
    """
    turned = transposed(axes)
    shares = split_delta(delta, monte_carlo_share)  # refuses a delta outside (0, 1) before any work
    divergence = float(non_negative("kl", scalar("kl", kl)))
    learned = sample_size("n_prior + 1", finite("n_prior", n_prior, ndim=0) + 1) - 1
    array = unit_interval("losses", losses)
    if array.ndim != 2 or 0 in array.shape:
        raise InvalidInput(f"losses has shape {array.shape}.", "It needs two axes, draws and examples, both non-empty.")
    if turned:
        array = array.T
    draws, examples = array.shape
    mean = mean_up(array)
    estimate = gibbs_monte_carlo(risk=mean, draws=draws, delta=shares[0]).confirm(BOUNDED_LOSS.name)
    if learned:
        return seeger_kl_split(risk=estimate, kl=divergence, n=examples + learned, n_prior=learned, delta=shares[1])
    return seeger_kl(risk=estimate, kl=divergence, n=examples, delta=shares[1])


def mean_up(losses: NDArray[np.float64]) -> float:
    """The mean of all entries, numbers in [0, 1], rounded up. `fsum` is right to half an ulp, NumPy's sum to a number of them that depends
    on how it splits the array."""
    total = Fraction(math.fsum(itertools.chain.from_iterable(row.tolist() for row in np.atleast_2d(losses))))
    return min(1.0, float_above(total * (1 + Fraction(1, 2**53)) / losses.size))


def float_above(exact: Fraction) -> float:
    """The smallest float that is not below it."""
    nearest = float(exact)
    return nearest if Fraction(nearest) >= exact else math.nextafter(nearest, math.inf)


def transposed(axes: Any) -> bool:
    """Whether the examples come first. Raises `InvalidInput` for anything but the two axes by name."""
    named = tuple(axes) if isinstance(axes, list | tuple) else (axes,)
    if named not in (AXES, AXES[::-1]):
        raise InvalidInput(f"axes is {axes!r}.", f"Say which axis is which: {AXES} or {AXES[::-1]}.")
    return named != AXES
