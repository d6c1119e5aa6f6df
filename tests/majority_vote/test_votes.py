"""From predictions to certificates: exact counts, out-of-bag masks, forests, and fitted weights."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.ensemble import BaggingClassifier, GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

import nonvacuous as nv
from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.bounds.majority_vote_data import BOUNDS
from nonvacuous.numerics.bounds.majority_vote_weights import best_lambda, surrogate
from nonvacuous.numerics.certified import kl_upper, log_maurer_xi
from nonvacuous.theory.statement import Answer

b = nv.bounds


def random_votes(seed: int, voters: int = 6, examples: int = 40, classes: int = 3, masked: bool = True):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, examples)
    predictions = np.where(rng.random((voters, examples)) < 0.7, labels, rng.integers(0, classes, (voters, examples)))
    return b.Votes(predictions, labels, rng.random((voters, examples)) < 0.7 if masked else None)


def by_hand(votes, weights):
    """Frequencies by the definition, in rational arithmetic, pair by pair."""
    w = [Fraction(float(x)) for x in weights]
    total, found = sum(w), [Fraction(0)] * 4
    for i, x in enumerate(w):
        mine = votes.valid[i]
        wrong = (votes.predictions[i] != votes.labels)[mine]
        found[0] += x / total * Fraction(int(wrong.sum()), int(mine.sum()))
    for (i, x), (j, y) in product(enumerate(w), repeat=2):
        both = votes.valid[i] & votes.valid[j]
        first, second = (votes.predictions[k] != votes.labels for k in (i, j))
        for index, event in (
            (1, first & second),
            (2, first ^ second),
            (3, votes.predictions[i] != votes.predictions[j]),
        ):
            found[index] += x * y / total**2 * Fraction(int((event & both).sum()), int(both.sum()))
    return found


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("uniform", [False, True])
def test_counts_are_exact(masked, uniform):
    for seed in range(4):
        votes = random_votes(seed, masked=masked)
        weights = np.full(6, 1 / 6) if uniform else np.random.default_rng(seed).dirichlet(np.ones(6))
        m = b.vote_moments(votes, weights)
        assert [m.risk, m.tandem, m.one_errs, m.differ] == by_hand(votes, weights)
        assert m.differ >= m.one_errs, "two wrong voters may differ as well"
        if not masked:
            assert m.tandem == m.risk - m.one_errs / 2
            assert (m.n, m.n_pairs) == (40, 40)
        assert m.n >= m.n_pairs


def test_two_classes_differ_exactly_where_one_errs():
    votes = random_votes(1, classes=2)
    assert b.vote_moments(votes).differ == b.vote_moments(votes).one_errs


def test_certificates_of_votes():
    votes = random_votes(2, voters=9, examples=4000)
    found = b.certify_votes(votes, delta=0.05)
    assert set(found) == set(BOUNDS)
    for name, c in found.items():
        assert c.check().sound, name
        assert c.delta == 0.05
        assert c.answers["0-1 loss of every voter"] is Answer.HOLDS
        assert "i.i.d. examples" in c.unchecked
    together = b.certify_votes(votes, delta=0.05, simultaneous=True)
    for name, c in together.items():  # whichever is picked, its ledger lists the events of all
        assert 0.05 * (1 - 1e-12) <= c.delta <= 0.05
        assert c.check().sound, name
        assert c.value >= found[name].value
    assert all(together[name].raw >= c.raw for name, c in found.items())
    more = b.certify_votes(
        votes, delta=0.05, unlabelled=random_votes(3, voters=9, examples=40_000), bounds=("disagreement",)
    )
    assert more["disagreement"].inputs["n_pairs"] > 10_000


def test_the_vote_risk_counts_ties_as_errors():
    votes = b.Votes([[0, 0, 1], [1, 0, 1]], [0, 0, 0])
    assert b.vote_risk(votes) == pytest.approx(2 / 3)
    assert b.vote_risk(votes, [0.75, 0.25]) == pytest.approx(1 / 3)
    m = b.vote_moments(votes)
    assert Fraction(2, 3) <= min(2 * m.risk, 4 * m.tandem)


@pytest.fixture(scope="module")
def data():
    return make_classification(1500, 12, n_informative=6, flip_y=0.02, class_sep=1.5, random_state=0)


def test_a_forest_out_of_bag(data):
    x, y = data
    forest = RandomForestClassifier(25, random_state=0).fit(x, y)
    votes = b.votes_from_forest(forest, x, y)
    assert votes.voters == 25
    assert 0.3 * 1500 < votes.n < 0.45 * 1500
    assert 0.08 * 1500 < votes.n_pairs < 0.2 * 1500
    for k, seen in enumerate(forest.estimators_samples_):
        assert not votes.valid[k, seen].any()
    found = b.certify_votes(votes, delta=0.05)
    assert all(c.check().sound for c in found.values())
    assert found["first_order"].value < 1


def test_bagging_with_names_and_feature_subsets(data):
    x, y = data
    names = np.where(y > 0, "yes", "no")
    bag = BaggingClassifier(n_estimators=10, max_features=0.6, random_state=0).fit(x, names)
    votes = b.votes_from_forest(bag, x, names)
    assert set(np.unique(votes.predictions)) == {"yes", "no"}
    assert float(b.vote_moments(votes).risk) < 0.3


def test_any_list_of_predictors(data):
    x, y = data
    models = [LogisticRegression(C=c).fit(x[:500], y[:500]) for c in (1e-3, 1e-2, 1.0)]
    votes = b.Votes(np.array([m.predict(x[500:]) for m in models]), y[500:])
    assert b.certify_votes(votes, [0.2, 0.3, 0.5], delta=0.05, prior=[0.5, 0.25, 0.25])["tandem"].check().sound


def test_what_no_forest_can_give(data):
    x, y = data
    with pytest.raises(InvalidInput, match="saw every example"):
        b.votes_from_forest(RandomForestClassifier(3, bootstrap=False, random_state=0).fit(x, y), x, y)
    with pytest.raises(InvalidInput, match="estimators_samples_"):
        b.votes_from_forest(GradientBoostingClassifier(n_estimators=2).fit(x, y), x, y)
    with pytest.raises(InvalidInput, match="training set"):
        b.votes_from_forest(RandomForestClassifier(3, random_state=0).fit(x, y), x[:100], y[:100])


@pytest.mark.parametrize(
    "bad",
    [
        (np.zeros((0, 3)), np.zeros(3), None), (np.zeros((2, 3)), np.zeros(4), None), (np.zeros(3), np.zeros(3), None),
        (np.full((2, 3), np.nan), np.zeros(3), None), (np.zeros((2, 3)), np.zeros(3), np.ones((2, 3))), (np.zeros((2, 3)), np.zeros(3), np.ones((3, 2), bool)),
        (np.zeros((2, 2)), np.zeros(2), np.array([[True, False], [False, True]])), (np.zeros((2, 2)), np.zeros(2), np.zeros((2, 2), bool)),
    ],
)  # fmt: skip
def test_bad_votes(bad):
    with pytest.raises(InvalidInput):
        b.Votes(*bad)


@pytest.mark.parametrize(
    "weights", [[0.5, 0.5], [0.5] * 6, [-1, 2, 0, 0, 0, 0], [math.nan] * 6, "abc", np.ones((6, 1)) / 6]
)
def test_bad_weights(weights):
    votes = random_votes(0)
    for function in (
        lambda: b.vote_moments(votes, weights),
        lambda: b.vote_moments(votes, prior=weights),
        lambda: b.vote_risk(votes, weights),
    ):
        with pytest.raises(InvalidInput):
            function()


@pytest.mark.parametrize(
    "options",
    [{"delta": 0.0}, {"delta": 1.0}, {"bounds": ()}, {"bounds": ("magic",)}, {"bounds": ("tandem", "tandem")}],
)
def test_bad_options(options):
    with pytest.raises(InvalidInput):
        b.certify_votes(random_votes(0), **{"delta": 0.05, **options})


# --- weights ------------------------------------------------------------------------------------------------------


def uneven_votes():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 2000)
    quality = np.linspace(0.55, 0.95, 8)
    return b.Votes(np.where(rng.random((8, 2000)) < quality[:, None], labels, 1 - labels), labels)


def test_fitted_weights_improve_the_tandem_bound():
    votes = uneven_votes()
    fit = b.fit_vote_weights(votes, delta=0.05, seed=0)
    assert fit.converged
    assert fit.gradient <= 1e-9
    assert fit.weights.sum() == pytest.approx(1, abs=1e-12)
    before = b.certify_votes(votes, delta=0.05, bounds=("tandem",))["tandem"].value
    after = b.certify_votes(votes, fit.weights, delta=0.05, bounds=("tandem",))["tandem"].value
    assert after < before
    assert after <= fit.objective * (1 + 1e-12), "the surrogate bounds the kl inverse"
    assert fit.weights[-1] == max(fit.weights)


def test_the_fit_is_reproducible_and_one_minimum():
    votes = uneven_votes()
    first, again = (b.fit_vote_weights(votes, delta=0.05, seed=3, restarts=2) for _ in range(2))
    assert np.array_equal(first.weights, again.weights)
    other = b.fit_vote_weights(votes, delta=0.05, seed=0)
    # 4 times a convex function of 8 logits that differ by less than 10, with gradients of at most 1e-9
    assert first.objective == pytest.approx(other.objective, abs=4 * 8 * 10 * 1e-9)


def test_voters_without_prior_weight_get_none():
    prior = np.array([0, 1, 1, 1, 1, 1, 1, 0]) / 6
    fit = b.fit_vote_weights(uneven_votes(), delta=0.05, seed=0, prior=prior)
    assert fit.weights[0] == fit.weights[-1] == 0
    assert math.isfinite(b.vote_moments(uneven_votes(), fit.weights, prior=prior).kl)


def test_surrogate_gradient_and_best_lambda():
    rng = np.random.default_rng(1)
    votes, x = uneven_votes(), rng.normal(size=8)
    tandem, pi, n, constant = votes.both_wrong / votes.shared, np.full(8, 1 / 8), 2000, float(log_maurer_xi(2000)) + 3
    value, slope = surrogate(x, pi, tandem, n, constant, 0.7)
    numeric = [
        (surrogate(x + h, pi, tandem, n, constant, 0.7)[0] - surrogate(x - h, pi, tandem, n, constant, 0.7)[0]) / 2e-5
        for h in 1e-5 * np.eye(8)
    ]
    assert np.abs(slope - numeric).max() < 1e-9
    lam = best_lambda(0.1, 20.0, n)
    other = [0.1 / (1 - t / 2) + 20.0 / (n * t * (1 - t / 2)) for t in (lam * 0.99, lam, lam * 1.01)]
    assert other[1] == min(other)
    assert other[1] >= float(kl_upper(0.1, 20.0 / n))
    assert value > 0


@pytest.mark.parametrize(
    "bad", [{"delta": 0}, {"restarts": -1}, {"max_rounds": 0}, {"tolerance": 0.0}, {"prior": [1.0]}]
)
def test_bad_fits(bad):
    with pytest.raises(InvalidInput):
        b.fit_vote_weights(uneven_votes(), **{"delta": 0.05, "seed": 0, **bad})
