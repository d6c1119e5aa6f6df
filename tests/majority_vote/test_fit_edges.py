"""What the searches for weights report about themselves, against the definitions."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from nonvacuous.numerics.bounds import majority_vote_weights, stochastic_vote
from nonvacuous.numerics.bounds.majority_vote_data import Votes
from nonvacuous.numerics.bounds.majority_vote_weights import WeightsFit, best_lambda, fit_vote_weights, surrogate
from nonvacuous.numerics.bounds.stochastic_vote import _divergence, fit_dirichlet
from nonvacuous.numerics.certified.divergences import kl_dirichlet
from nonvacuous.numerics.certified.maurer import log_maurer_xi


def some_votes() -> Votes:
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 2, 300)
    return Votes(np.where(rng.random((4, 300)) < np.array([[0.6], [0.7], [0.8], [0.9]]), labels, 1 - labels), labels)


def by_hand(votes: Votes, rho: np.ndarray, prior: np.ndarray, lam: float) -> float:
    """L2h/(1 - lam/2) + (2 KL + ln(xi(n)/delta))/(n lam (1 - lam/2)), from its text."""
    n = votes.n_pairs
    tandem = float(rho @ (votes.both_wrong / votes.shared) @ rho)
    kl = float(sum(r * math.log(r / p) for r, p in zip(rho, prior, strict=True) if r))
    return tandem / (1 - lam / 2) + (2 * kl + float(log_maurer_xi(n)) + math.log(20)) / (n * lam * (1 - lam / 2))


@pytest.mark.parametrize("restarts", [0, 2])
@pytest.mark.parametrize("prior", [np.full(4, 0.25), np.array([0.7, 0.1, 0.1, 0.1]), np.array([0.0, 0.5, 0.25, 0.25])])
def test_the_objective_of_fitted_weights_is_four_times_the_surrogate(prior, restarts):
    votes = some_votes()
    fit = fit_vote_weights(votes, delta=0.05, seed=0, prior=prior, restarts=restarts)
    assert fit.objective == pytest.approx(4 * by_hand(votes, fit.weights, prior, fit.lam), rel=1e-12, abs=0)
    rng = np.random.default_rng(0)
    for _ in range(50):  # no other weights do better at their own best lambda
        other = np.where(prior > 0, fit.weights * np.exp(0.1 * rng.normal(size=4)), 0.0)
        other /= other.sum()
        assert min(by_hand(votes, other, prior, x) for x in np.linspace(0.05, 1, 40)) * 4 >= fit.objective * (1 - 1e-9)
    assert fit.converged
    assert 0 < fit.rounds <= 200


def test_one_round_reports_where_it_stands():
    votes, prior = some_votes(), np.full(4, 0.25)
    fit = fit_vote_weights(votes, delta=0.05, seed=0, max_rounds=1)
    assert (fit.rounds, fit.converged) == (1, False)
    constant, tandem = float(log_maurer_xi(300)) + math.log(20), votes.both_wrong / votes.shared
    assert fit.lam == best_lambda(float(prior @ tandem @ prior), constant, 300)
    # value and gradient are those of the start, the prior: the weights have moved on
    value, slope = surrogate(np.log(prior), prior, tandem, 300, constant, fit.lam)
    assert fit.objective == pytest.approx(4 * value, rel=1e-14, abs=0)
    assert fit.gradient == pytest.approx(np.abs(slope).max(), rel=1e-12, abs=0)
    assert 4 * by_hand(votes, fit.weights, prior, fit.lam) < fit.objective


def test_the_slope_of_the_surrogate_under_an_uneven_prior():
    votes, prior, x = some_votes(), np.array([0.7, 0.1, 0.15, 0.05]), np.array([0.3, -1.0, 0.2, 0.9])
    tandem = votes.both_wrong / votes.shared

    def value(y: np.ndarray) -> float:
        rho = np.exp(y) / np.exp(y).sum()
        return by_hand(votes, rho, prior, 0.6)

    constant = float(log_maurer_xi(300)) + math.log(20)
    found, slope = surrogate(x, prior, tandem, 300, constant, 0.6)
    assert found == pytest.approx(value(x), rel=1e-13, abs=0)
    numeric = [(value(x + h) - value(x - h)) / 2e-5 for h in 1e-5 * np.eye(4)]
    # central differences: h^2 times third derivatives below 1, and rounding of 2^-52/1e-5
    assert np.abs(slope - numeric).max() < 1e-9


@pytest.mark.parametrize("prior", [[1.0, 1.0], [0.3, 2.5], [40.0, 7.0]])
@pytest.mark.parametrize("concentrations", [[1.0, 1.0], [3.0, 0.2], [100.0, 250.0]])
def test_the_divergence_that_is_minimised_is_the_certified_one(prior, concentrations):
    a, b = np.array(concentrations), np.array(prior)
    # six log-gamma functions of up to 1700, each within ten ulps; the certified one is rounded up by its own bound, of that size
    assert _divergence(a, b) == pytest.approx(kl_dirichlet(a, b), abs=1700 * 60 * 2.0**-52)


@pytest.mark.parametrize("prior", [[1e-4, 1.0], [1.0, 1e6], [1e-5, 1e6]])
def test_a_fit_at_the_end_of_its_range_has_converged(prior):
    """Nobody errs, so that the prior itself would be best: beyond the range of the search its end is, where the slope points out."""
    fit = fit_dirichlet(np.zeros((2, 50)), prior, delta=0.05, seed=0)
    assert fit.converged
    assert fit.gradient <= 1e-8
    ends = math.exp(-7.0), math.exp(12.0)
    for found, wanted in zip(fit.concentrations, prior, strict=True):
        if not ends[0] <= wanted <= ends[1]:
            assert found == pytest.approx(min(max(wanted, ends[0]), ends[1]), rel=1e-12, abs=0)


def test_the_best_of_the_restarts_is_taken(monkeypatch):
    """Searches that end at 3, 1 and 2: that at 1 is the result, and its own distance from a stationary point is reported."""
    ends = [WeightsFit(np.full(4, 0.25), value, 1.0, value / 10, 5, False) for value in (3.0, 1.0, 2.0)]
    queue = list(ends)
    monkeypatch.setattr(majority_vote_weights, "_alternate", lambda *args: queue.pop(0))
    fit = fit_vote_weights(some_votes(), delta=0.05, seed=0, restarts=2)
    assert (fit.objective, fit.gradient) == (1.0, 0.1)
    assert not queue
    points = [np.array([0.5, 1.0]), np.array([0.1, 0.2]), np.array([2.0, 0.3])]
    found = [SimpleNamespace(x=x, fun=value, nit=5) for x, value in zip(points, (3.0, 1.0, 2.0), strict=True)]
    monkeypatch.setattr(stochastic_vote, "minimize", lambda *args, **options: found.pop(0))
    monkeypatch.setattr(stochastic_vote, "bound_and_gradient", lambda x, *args: (float(x.sum()), np.array([-0.7, 0.2])))
    wrong = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    dirichlet = fit_dirichlet(wrong, [1.0, 1.0], delta=0.05, seed=0, restarts=2)
    assert dirichlet.concentrations == pytest.approx(np.exp(points[1]), rel=1e-15, abs=0)
    assert dirichlet.gradient == 0.7  # the largest in size, whatever its sign
    assert not dirichlet.converged
    assert not found
