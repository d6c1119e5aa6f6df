"""From a matrix of predictions to majority-vote certificates: counts are integers, so every frequency is exact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.majority_vote import ZERO_ONE
from ...theory.validation import finite, flag, log_inverse_delta, non_negative
from ..certified.divergences import kl_categorical
from .cbound import majority_vote_cbound_joint, majority_vote_chebyshev_cantelli
from .certificate import Certificate
from .jointly import jointly
from .majority_vote import (
    majority_vote_cbound,
    majority_vote_disagreement,
    majority_vote_first_order,
    majority_vote_tandem,
)

BOUNDS = ("first_order", "tandem", "disagreement", "cbound", "cbound_joint", "chebyshev_cantelli")
MU_GRID = tuple(float(x) for x in np.linspace(-0.5, 0.45, 20))  # fixed in advance, and paid for

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Votes:
    """What each voter says about each example.

    predictions: (voters, examples) classes; labels: (examples,) the true ones; valid: (voters, examples), whether that example may judge
    that voter (for example because it was left out when the voter was fitted); all of them when None. Raises `InvalidInput` where a
    voter, or a pair of voters, has no example to be judged on.
    """

    predictions: Any
    labels: Any
    valid: Any = None

    def __post_init__(self) -> None:
        try:
            predictions, labels = np.asarray(self.predictions), np.asarray(self.labels)
            valid = np.ones(predictions.shape, dtype=bool) if self.valid is None else np.asarray(self.valid)
        except ValueError as error:
            raise InvalidInput(f"The votes are no arrays ({error}).", "Rows must be equally long.") from error
        if predictions.ndim != 2 or not predictions.size or labels.shape != predictions.shape[1:]:
            raise InvalidInput(
                f"predictions has shape {predictions.shape} and labels {labels.shape}.",
                "Give predictions as (voters, examples) and one label for each example.",
            )
        for name, array in (("predictions", predictions), ("labels", labels)):
            if array.dtype.kind in "fc" and not np.isfinite(array).all():
                raise InvalidInput(f"{name} are not all finite.", "Pass classes.")
        if valid.shape != predictions.shape or valid.dtype != bool:
            raise InvalidInput(
                f"valid has shape {valid.shape} and type {valid.dtype}.", "Give one boolean for each prediction."
            )
        object.__setattr__(self, "predictions", predictions)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "valid", valid)
        if not self.shared.min():
            i, j = (int(x) for x in np.argwhere(self.shared == 0)[0])
            raise InvalidInput(f"Voters {i} and {j} share no example.", "Use more examples, or fewer voters.")

    @property
    def voters(self) -> int:
        """Number of voters."""
        return int(self.predictions.shape[0])

    @cached_property
    def shared(self) -> IntArray:
        """(voters, voters): on how many examples both are judged."""
        return _count(self.valid, self.valid)

    @property
    def n(self) -> int:
        """The smallest number of examples that a voter is judged on."""
        return int(np.diag(self.shared).min())

    @property
    def n_pairs(self) -> int:
        """The smallest number of examples that a pair of voters is judged on."""
        return int(self.shared.min())

    @cached_property
    def classes(self) -> int:
        """Number of different classes among predictions and labels."""
        return int(np.unique(np.concatenate([self.predictions.ravel(), self.labels])).size)

    @cached_property
    def wrong(self) -> BoolArray:
        """(voters, examples): judged and wrong."""
        return (self.predictions != self.labels) & self.valid

    @cached_property
    def both_wrong(self) -> IntArray:
        """(voters, voters): on how many shared examples both err."""
        return _count(self.wrong, self.wrong)

    @cached_property
    def one_wrong(self) -> IntArray:
        """(voters, voters): on how many shared examples exactly one of the two errs."""
        first = _count(self.wrong, self.valid & ~self.wrong)
        return first + first.T

    @cached_property
    def differ(self) -> IntArray:
        """(voters, voters): on how many shared examples the two say different things; no label is used."""
        agree = sum(_count(x, x) for c in np.unique(self.predictions) for x in ((self.predictions == c) & self.valid,))
        return self.shared - agree


@dataclass(frozen=True)
class VoteMoments:
    """Exact empirical frequencies under the weights: a voter errs, two voters both err, exactly one of two errs, two voters differ; the
    divergence of the weights (nats, rounded up) and the numbers of examples that count."""

    risk: Fraction
    tandem: Fraction
    one_errs: Fraction
    differ: Fraction
    kl: float
    n: int
    n_pairs: int


def vote_moments(votes: Votes, weights: ArrayLike | None = None, *, prior: ArrayLike | None = None) -> VoteMoments:
    """The frequencies that every majority-vote bound starts from, exactly. weights, prior: (voters,), divided by their exact sums; uniform
    when None. Raises `InvalidInput`."""
    require_votes(votes)
    rho, pi = law_of("weights", weights, votes.voters), law_of("prior", prior, votes.voters)
    w = _whole(rho)
    single = [Fraction(int(k), int(v)) for k, v in zip(np.diag(votes.both_wrong), np.diag(votes.shared), strict=True)]
    risk = sum((x * y for x, y in zip(w, single, strict=True)), Fraction(0)) / sum(w)
    tandem, one, differ = (
        _quadratic(w, counts, votes.shared) for counts in (votes.both_wrong, votes.one_wrong, votes.differ)
    )
    return VoteMoments(risk, tandem, one, differ, kl_categorical(rho, pi), votes.n, votes.n_pairs)


def certify_votes(
    votes: Votes,
    weights: ArrayLike | None = None,
    *,
    delta: float,
    prior: ArrayLike | None = None,
    bounds: Sequence[str] | None = None,
    simultaneous: bool = False,
    unlabelled: Votes | None = None,
) -> dict[str, Certificate]:
    """Certificates for the weighted majority vote, by name (see `BOUNDS`; all of them when None).

    Each holds with probability 1-delta by itself; whoever wants to quote the smallest asks for `simultaneous=True`, which gives each an
    equal share of delta and lists the events of all in every ledger. `unlabelled`: votes on further examples (their labels are ignored), for the disagreement.
    "chebyshev_cantelli" takes the fixed grid `MU_GRID` by binary kl (its trinomial form at the best mu is "cbound_joint").
    The vote is the hard one: each voter names a class, and the class of largest total weight wins.
    """
    log_inverse_delta(delta)
    asked = BOUNDS if bounds is None else tuple(bounds) if isinstance(bounds, list | tuple) else (bounds,)
    if not asked or any(asked.count(name) > 1 or name not in BOUNDS for name in asked):
        raise InvalidInput(f"bounds is {bounds!r}.", f"Choose from {BOUNDS}, each once.")
    m = vote_moments(votes, weights, prior=prior)
    share = delta if not flag("simultaneous", simultaneous) else math.nextafter(delta / len(asked), 0.0)
    differ, pairs = m.differ, m.n_pairs
    if unlabelled is not None:
        other = vote_moments(unlabelled, weights, prior=prior)
        differ, pairs = other.differ, other.n_pairs
    pair: dict[str, Any] = {
        "joint_error": m.tandem,
        "disagreement": m.one_errs,
        "kl": m.kl,
        "n": m.n_pairs,
        "delta": share,
    }
    two: dict[str, Any] = {"kl": m.kl, "n": m.n, "delta": share}
    makers = {
        "first_order": lambda: majority_vote_first_order(risk=m.risk, **two),
        "tandem": lambda: majority_vote_tandem(tandem=m.tandem, kl=m.kl, n=m.n_pairs, delta=share),
        "disagreement": lambda: majority_vote_disagreement(risk=m.risk, disagreement=differ, n_pairs=pairs, **two),
        "cbound": lambda: majority_vote_cbound(risk=m.risk, tandem=m.tandem, n_pairs=m.n_pairs, **two),
        "cbound_joint": lambda: majority_vote_cbound_joint(**pair),
        "chebyshev_cantelli": lambda: majority_vote_chebyshev_cantelli(**pair, mu=MU_GRID, method="kl"),
    }
    found = {name: makers[name]().confirm(ZERO_ONE.name) for name in asked}
    return jointly(found) if simultaneous else found


def vote_risk(votes: Votes, weights: ArrayLike | None = None) -> float:
    """Fraction of the examples on which the weighted vote of the voters that may be judged there errs; ties count as errors."""
    require_votes(votes)
    rho = law_of("weights", weights, votes.voters)
    mass = {c: rho @ ((votes.predictions == c) & votes.valid) for c in np.unique(votes.predictions)}
    right = np.zeros(votes.labels.shape)
    rival = np.zeros(votes.labels.shape)
    for c, weight in mass.items():
        right = np.where(votes.labels == c, weight, right)
        rival = np.where(votes.labels == c, rival, np.maximum(rival, weight))
    judged = votes.valid.any(axis=0)
    return float((right <= rival * (1 + 1e-12))[judged].mean())


def votes_from_forest(forest: Any, X: Any, y: Any) -> Votes:
    """Out-of-bag votes of a fitted scikit-learn forest or bagging classifier on its own training set (X, y), in the training order.

    Each tree is judged on the examples that its bootstrap sample left out. The certified predictor is the hard vote of the trees;
    scikit-learn's own `predict` averages their class probabilities, which is another predictor. Raises `InvalidInput`.
    """
    inputs, labels = np.asarray(X), np.asarray(y)
    try:
        samples, members, classes = forest.estimators_samples_, forest.estimators_, forest.classes_
    except AttributeError as error:
        raise InvalidInput(
            f"{type(forest).__name__} has no `estimators_samples_`.", "Fit a random forest or bagging classifier first."
        ) from error
    columns = getattr(forest, "estimators_features_", [slice(None)] * len(members))
    said = [classes[np.asarray(t.predict(inputs[:, k])).astype(int)] for t, k in zip(members, columns, strict=True)]
    valid = np.ones((len(members), len(inputs)), dtype=bool)
    for row, seen in zip(valid, samples, strict=True):
        if len(seen) and max(seen) >= len(inputs):
            raise InvalidInput(
                f"X has {len(inputs)} rows, fewer than the forest was fitted on.", "Pass the training set."
            )
        row[np.asarray(seen)] = False
    if not valid.any(axis=1).all():
        raise InvalidInput(
            "A tree saw every example.", "Fit with bootstrap=True: only left-out examples can judge a tree."
        )
    return Votes(np.array(said), labels, valid)


def require_votes(votes: Any) -> None:
    """Refuses anything but `Votes`."""
    if not isinstance(votes, Votes):
        raise InvalidInput(f"votes is a {type(votes).__name__}.", "Pass Votes(predictions, labels).")


def law_of(name: str, value: ArrayLike | None, voters: int) -> NDArray[np.float64]:
    """Weights of the voters, uniform when None."""
    if value is None:
        return np.full(voters, 1 / voters)
    array = non_negative(name, finite(name, value, ndim=1))
    if array.shape != (voters,) or abs(array.sum() - 1) > 1e-9:
        raise InvalidInput(
            f"{name} has shape {array.shape} and sum {array.sum():g}.", f"Give {voters} weights that sum to 1."
        )
    return array


def _count(first: BoolArray, second: BoolArray) -> IntArray:
    """Matrix of the numbers of common true entries (below 2^53, so the float64 product is exact)."""
    return np.rint(first.astype(np.float64) @ second.astype(np.float64).T).astype(np.int64)


def _whole(rho: NDArray[np.float64]) -> list[int]:
    """Whole numbers in the exact proportion of the weights."""
    exact = [Fraction(float(x)) for x in rho]
    if len(set(exact)) == 1:
        return [1] * len(exact)
    scale = max(x.denominator for x in exact)  # powers of two
    whole = [int(x * scale) for x in exact]
    common = math.gcd(*whole)
    return [x // common for x in whole]


def _quadratic(w: list[int], counts: IntArray, shared: IntArray) -> Fraction:
    """sum_ij w_i w_j counts_ij/shared_ij divided by (sum w)^2, exactly: one fraction for each number of shared examples."""
    sizes = np.unique(shared)
    if max(w) == 1 == min(w):
        sums = [int(counts[shared == v].sum()) for v in sizes]
    else:
        x = np.array(w, dtype=object)
        sums = [x @ (np.where(shared == v, counts, 0).astype(object) @ x) for v in sizes]
    return sum((Fraction(s, int(v)) for s, v in zip(sums, sizes, strict=True)), Fraction(0)) / sum(w) ** 2
