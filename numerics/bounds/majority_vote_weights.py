"""Weights of a majority vote that minimise the tandem bound, by the alternation of the literature."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import rel_entr, softmax

from ...theory.validation import log_inverse_delta
from ..certified.maurer import log_maurer_xi
from .majority_vote_data import Votes, law_of, require_votes
from .search_options import search_options

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class WeightsFit:
    """Fitted weights, the surrogate there (4 times the lambda bound on L2), its lambda, the largest entry of its gradient in the logits of
    the weights, the number of alternations and whether the gradient reached the tolerance."""

    weights: FloatArray
    objective: float
    lam: float
    gradient: float
    rounds: int
    converged: bool


def fit_vote_weights(
    votes: Votes,
    *,
    delta: float,
    seed: int,
    prior: ArrayLike | None = None,
    restarts: int = 0,
    tolerance: float = 1e-9,
    max_rounds: int = 200,
) -> WeightsFit:
    """Minimise L2h/(1 - lam/2) + (2 KL(rho||prior) + ln(xi(n)/delta))/(n lam (1 - lam/2)) over weights rho and lam in (0, 2) in turn.

    For fixed rho the best lam is explicit, 2/(sqrt(2 n L2h/c + 1) + 1), c = 2 K + ln(xi(n)/delta), and the value is then an upper bound on
    UP(L2h, c/n); for fixed lam the weights are found by L-BFGS in their logits. It starts at the prior and `restarts` more times at
    random weights drawn from `seed` (voters with examples of their own make the problem non-convex). For training only: certify the
    result with `certify_votes`. Raises `InvalidInput`. Source: Masegosa et al. 2020; Thiemann et al. 2017 for the alternation.
    """
    require_votes(votes)
    entropy, again, rounds, tolerance = search_options(seed, restarts, max_rounds, tolerance)
    pi, n = law_of("prior", prior, votes.voters), votes.n_pairs
    constant = float(log_maurer_xi(n)) + log_inverse_delta(delta)
    tandem = votes.both_wrong / votes.shared
    used = pi > 0  # weight where the prior has none would cost an infinite divergence
    rng, fits = np.random.default_rng(entropy), []
    for trial in range(again + 1):
        start = pi[used] if trial == 0 else rng.dirichlet(np.ones(int(used.sum())))
        fits.append(_alternate(start, pi[used], tandem[np.ix_(used, used)], n, constant, tolerance, rounds))
    best = min(fits, key=lambda fit: fit.objective)
    weights = np.zeros(votes.voters)
    weights[used] = best.weights
    return WeightsFit(weights, best.objective, best.lam, best.gradient, best.rounds, best.converged)


def _alternate(
    rho: FloatArray, pi: FloatArray, tandem: FloatArray, n: int, constant: float, tolerance: float, rounds: int
) -> WeightsFit:
    logits = np.log(np.maximum(rho, 1e-300))
    value, gradient, lam, done = math.inf, math.inf, 1.0, 0
    for done in range(1, rounds + 1):  # noqa: B007
        rho = softmax(logits)
        lam = best_lambda(float(rho @ tandem @ rho), 2 * float(rel_entr(rho, pi).sum()) + constant, n)
        before, slope = surrogate(logits, pi, tandem, n, constant, lam)
        gradient = float(np.abs(slope).max())
        if gradient <= tolerance or before >= value * (1 - 1e-15):
            value = min(value, before)
            break
        value = before
        options = {"gtol": tolerance / 2, "ftol": 0.0, "maxiter": 1000}
        arguments = (pi, tandem, n, constant, lam)
        logits = minimize(surrogate, logits, args=arguments, jac=True, method="L-BFGS-B", options=options).x
        logits = logits - logits.max()
    return WeightsFit(softmax(logits), 4 * value, lam, gradient, done, gradient <= tolerance)


def best_lambda(tandem: float, complexity: float, n: int) -> float:
    """The lambda that minimises tandem/(1 - lambda/2) + complexity/(n lambda (1 - lambda/2))."""
    return 2 / (math.sqrt(2 * n * tandem / complexity + 1) + 1)


def surrogate(
    logits: FloatArray, pi: FloatArray, tandem: FloatArray, n: int, constant: float, lam: float
) -> tuple[float, FloatArray]:
    """The bound for fixed lambda, and its gradient in the logits of the weights."""
    rho = softmax(logits)
    joint = tandem @ rho
    scale = 1 - lam / 2
    value = (float(rho @ joint) + (2 * float(rel_entr(rho, pi).sum()) + constant) / (n * lam)) / scale
    ratio = np.log(np.maximum(rho, 1e-300)) - np.log(pi)
    by_weight = (2 * joint + 2 * (ratio + 1) / (n * lam)) / scale
    return value, rho * (by_weight - rho @ by_weight)
