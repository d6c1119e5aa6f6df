"""What theory says of descent on the squared loss of a linear model: the limit, its law, its rate, and what breaks them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...theory.statement import Answer
from .assessment import Assessment, Claim, Refusal
from .coordinates import Coordinates
from .facts import Fact, clear_rank, interpolating
from .gaussian_law import GaussianLaw
from .kl_regression import row_mixing
from .least_squares import row_space
from .stable_steps import Stability, stability
from .training_choices import Training
from .variational_regression import regression_limit

OTHER_COVARIANCES = {
    "diagonal": "a diagonal factor has no correlated directions to keep: its variance goes to 0 wherever a feature is used",
    "log_diagonal": "logarithms of scales follow another flow (and lose the variance like 1/t)",
    "cholesky": "each column of a Cholesky factor is confined to fewer coordinates, which changes the projector",
    "kronecker": "the product of two trained factors is not a linear function of what is trained",
    "covariance": "descent on Sigma itself leaves the positive semidefinite cone",
}


def assess_regression(
    x: np.ndarray, y: np.ndarray, training: Training, prior: GaussianLaw, frame: Coordinates
) -> Assessment:
    """Facts, claims and refusals for training from `prior` (rank-0 law: a factor of zeros is a point estimate)."""
    rows, start = frame.rows(x), frame.inner(prior)
    space = row_space(rows)
    rank = prior.factor.shape[1] if prior.factor.any() else 0
    # a metric changes no solution, but how clearly float64 sees them
    plain = space if frame.root is None else row_space(x)
    fits, certain = interpolating(x, y, plain), clear_rank(space, rows.shape)
    if plain.singular_values.size != space.singular_values.size:
        why = f"rank {plain.singular_values.size} of the design, {space.singular_values.size} in the coordinates of the metric"
        certain = Fact("clear rank", Answer.CANNOT_BE_CHECKED, why)
    steps = stability(rows, space, rank, training)
    refusals = tuple(_obstacles(training, rank, fits, certain, steps, examples=len(x)))
    facts = (certain, fits, steps.fact)
    if refusals:
        return Assessment(facts, (), refusals, None, None)
    law = frame.outer(regression_limit(rows, y, start))
    claims = [_limit_claim(rank, fits, frame.root is not None)]
    if steps.theorem not in ("ib.regression_w2", "ib.ls_minnorm"):
        claims.append(Claim(steps.theorem, _how(training, rank)))
    bayes, no = _bayes(rows, space.right, start, fits, rank)
    if bayes:
        claims.append(bayes)
    return Assessment(facts, tuple(claims), () if no is None else (no,), law, steps.rate)


def _obstacles(
    training: Training, rank: int, fits: Fact, certain: Fact, steps: Stability, *, examples: int
) -> Iterator[Refusal]:
    limit = "the law that training ends in" if rank else "the limit of training"
    if training.adaptive:
        yield Refusal("ib.ls_precond", limit, f"{training.optimiser} has no metric that is known before the data")
    if training.weight_decay:
        yield Refusal("ib.ls_minnorm", limit, "weight decay also trains the directions that the data leave alone")
    if rank and training.covariance != "factor":
        yield Refusal("ib.param_covariance", limit, OTHER_COVARIANCES[training.covariance])
    if rank and training.samples is not None and not training.redraw:
        few = training.samples < rank + 1
        why = (
            f"{training.samples} reused draws do not reach all {rank + 1} directions of (mean, factor)"
            if few
            else "the limit is reached only if the step suits the draws, which are not given"
        )
        yield Refusal("ib.fixed_noise", limit, why)
    elif not steps.fact.holds and not training.adaptive:
        yield Refusal(steps.theorem, limit, steps.fact.says)
    if training.batch_size is not None and training.batch_size < examples and not fits.holds:
        yield Refusal(
            "ib.ls_sgd",
            limit,
            f"mini-batches with a fixed step have a limit only on data that can be fitted ({fits.says})",
        )
    if not certain.holds:
        yield Refusal("ib.ls_minnorm", limit, certain.says)


def _limit_claim(rank: int, fits: Fact, metric: bool) -> Claim:
    solutions = "solutions" if fits.holds else "least-squares solutions"
    if not rank:
        geometry = "in the metric D^-1" if metric else "in Euclidean distance"
        return Claim(
            "ib.ls_precond" if metric else "ib.ls_minnorm",
            f"training ends at the nearest of all {solutions}, {geometry}",
        )
    if metric:
        return Claim(
            "ib.precond_bayes", f"the law ends nearest to the start in W2 of the metric D^-1, on the {solutions}"
        )
    return Claim(
        "ib.regression_w2", f"of all laws on the {solutions}, training ends in the one nearest to its start in W2"
    )


def _how(training: Training, rank: int) -> str:
    parts = []
    if training.momentum:
        parts.append(f"momentum {training.momentum:g} changes the rate and not the limit")
    if rank and training.samples is not None:
        parts.append("the noise of sampled weights vanishes at the limit, so training reaches it with a fixed step")
    elif training.batch_size is not None:
        parts.append(
            "the noise of mini-batches vanishes on data that are fitted, so training reaches the limit with a fixed step"
        )
    return "; ".join(parts)


def _bayes(
    rows: np.ndarray, right: np.ndarray, start: GaussianLaw, fits: Fact, rank: int
) -> tuple[Claim | None, Refusal | None]:
    """Does the limit equal the noise-free Bayes posterior? In the coordinates of the metric: iff P Sigma_0 Q = 0."""
    if not rank or not right.shape[1]:
        return None, None
    what = "that the limit is the noise-free Bayes posterior of the prior"
    seen = right.T @ start.factor
    if np.linalg.matrix_rank(seen) < right.shape[1]:
        return None, Refusal("ib.kl_compare", what, "the prior has no variance in some direction of the data")
    size, floor = row_mixing(rows, start)
    if size > floor:
        return None, Refusal(
            "ib.kl_compare", what, f"the prior mixes seen and unseen directions, ||P Sigma_0 Q|| = {size:.3g}"
        )
    if not fits.holds:
        return None, Refusal("ib.kl_compare", what, "the data cannot be fitted")
    return Claim(
        "ib.kl_compare",
        "the limit is the noise-free Bayes posterior, since the prior does not mix seen and unseen directions",
    ), None
