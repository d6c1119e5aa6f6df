"""The diagnosis of an array of losses: numbers by hand, ties that hold, error bars of the right size, labels, refusals."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.diagnosis import diagnose
from nonvacuous.numerics.diagnosis.jackknife import jackknife
from nonvacuous.numerics.diagnosis.record import Tie
from nonvacuous.numerics.large_deviations.inverse_rate import inverse_rate

# multiples of 1e-6: a spread of 1e-300 is refused, not diagnosed
sizes = st.integers(0, 20_000_000).map(lambda k: k * 1e-6)
WORKED = -np.log([[0.9, 0.2, 0.6], [0.5, 0.7, 0.1]])


def arrays_of(models: int, train: int, test: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    skill = rng.gamma(4, 0.2, size=(models, 1))
    return rng.exponential(size=(models, train)) * skill, rng.exponential(size=(models, test)) * skill


def test_worked_example():
    d = diagnose(WORKED, kl=0.5, n=100)
    assert d.gibbs_loss.value == pytest.approx(0.9296718782, abs=1e-10)
    assert d.ensemble_loss.value == pytest.approx(0.7350015882, abs=1e-10)
    assert d.diversity.value == pytest.approx(0.1946702900, abs=1e-10)
    assert (d.second_order.value, d.tight.value) == pytest.approx((0.0584241413, 0.1078039581), abs=1e-10)
    assert d.rate.price == pytest.approx((0.5 + math.log(100 / 0.05)) / 99)
    assert d.combined == pytest.approx(d.fit.value + d.rate.inverse_rate.value - d.diversity.value)
    assert d.evaluated_on == "train"
    assert any("learned from" in note for note in d.notes)


def test_one_model_has_the_inverse_rate_of_its_losses():
    train, test = arrays_of(1, 200, 300)
    d = diagnose(train, test_losses=test, kl=3.0)
    alone = inverse_rate(test[0], d.rate.price)
    assert d.rate.inverse_rate.value == pytest.approx(float(alone.value), rel=1e-13, abs=0)
    assert d.rate.tilt == pytest.approx(float(alone.tilt), rel=1e-9, abs=0)
    assert d.rate.effective == pytest.approx(float(alone.effective), rel=1e-9, abs=0)
    assert d.diversity.value == 0
    assert d.cold_slope is None


@given(
    arrays(np.float64, (4, 7), elements=sizes),
    arrays(np.float64, (4, 5), elements=sizes),
    st.floats(0, 100),
)
def test_all_ties_hold(train, test, kl):
    for d in (
        diagnose(train, test_losses=test, kl=kl),
        diagnose(train / 20, loss="bounded", kl=kl),
        diagnose((train > 5).astype(float), loss="zero_one", kl=kl),
    ):
        assert [str(t) for t in d.ties if not t.holds] == []
        assert d.ties
        json.dumps(d.as_json(), allow_nan=False)


def test_a_broken_tie_shows():
    tie = Tie("two and two", 4.0, "=", 5.0, 1e-9)
    assert not tie.holds
    assert "VIOLATED" in str(tie)
    assert Tie("order", 1.0, "<=", 2.0, 0.0).holds
    assert Tie("order", 2.0, "<=", 1.0, 0.1).residual == 1.0


def test_ties_can_fail():
    """Each tie compares two routes: with one of its arrays exchanged for another, it breaks."""
    from nonvacuous.numerics.diagnosis import ties

    train, test = arrays_of(4, 30, 40)
    rho = np.full(4, 0.25)
    d = diagnose(train, test_losses=test, kl=1.0)
    assert not ties.rate_tie(test * 1.001, rho, d.rate, 1e-13).holds
    assert not ties.rate_tie(test, np.array([0.4, 0.2, 0.2, 0.2]), d.rate, 1e-13).holds


def test_d30_saturation_is_flagged():
    """A price far above ln N: the plug-in rate is mean - minimum, the test loss over again; no error bar then."""
    train, test = arrays_of(3, 50, 60)
    d = diagnose(train, test_losses=test, kl=1e5)
    assert d.rate.saturated
    assert d.rate.inverse_rate.error is None
    assert d.rate.limit == pytest.approx(math.log(60))
    assert d.rate.inverse_rate.value == pytest.approx(float(np.mean(test.mean(axis=1) - test.min(axis=1))))
    assert "SATURATED" in str(d)
    assert any("only repeats" in note for note in d.notes)


def test_d31_it_is_labelled():
    train, test = arrays_of(3, 50, 60)
    d = diagnose(train, test_losses=test, kl=1.0)
    for text in (d.label, str(d), json.dumps(d.as_json())):
        assert "no certificate" in text
    assert not hasattr(d, "ledger")


def test_error_bars_have_the_right_size():
    """Jackknife against the spread over repetitions: within a factor that twenty groups allow (chi with 19 degrees of freedom)."""
    values, errors = [], []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        d = diagnose(rng.exponential(size=(2, 10)), test_losses=rng.exponential(size=(2, 200)), kl=1.0)
        values.append((d.diversity.value, d.gibbs_loss.value, d.rate.inverse_rate.value))
        errors.append((d.diversity.error, d.gibbs_loss.error, d.rate.inverse_rate.error))
    spread, mean_error = np.std(values, axis=0), np.sqrt(np.mean(np.square(errors), axis=0))
    # the standard deviation of 120 repetitions is right to 6.5 percent, the root mean square of the errors to 1.5: five of both
    assert (abs(mean_error / spread - 1) < 0.4).all()


def test_jackknife_of_a_mean_is_its_standard_error():
    x = np.random.default_rng(1).normal(size=20)
    found = jackknife(lambda keep: float(x[keep].mean()), 20)
    assert found.value == pytest.approx(x.mean())
    assert found.error == pytest.approx(x.std(ddof=1) / math.sqrt(20), rel=1e-12, abs=0)
    assert jackknife(lambda keep: 1.0, 1).error is None


def test_weights_and_subsets_of_the_training_set():
    train, test = arrays_of(3, 40, 50)
    idle = diagnose(train, test_losses=test, weights=[0.5, 0.5, 0.0], kl=1.0)
    two = diagnose(train[:2], test_losses=test[:2], kl=1.0)
    assert idle.as_json() == two.as_json()
    more = diagnose(train, test_losses=test, kl=1.0, n=400)
    fewer = diagnose(train, test_losses=test, kl=1.0)
    assert more.cold_slope.value == pytest.approx(10 * fewer.cold_slope.value)
    assert more.rate.price < fewer.rate.price


def test_cold_slope_is_the_derivative_of_the_test_loss():
    """Posterior draws of a finite family at l = 1: the slope against differences of B over re-weighted draws."""
    from scipy.special import logsumexp

    train, test = arrays_of(6, 20, 30)

    def bayes(change: float) -> float:
        logits = -change * train.sum(axis=1)
        share = np.exp(logits - logsumexp(logits))
        return float(np.mean(-logsumexp(-test, b=share[:, None], axis=0)))

    slope = (bayes(1e-5) - bayes(-1e-5)) / 2e-5
    assert diagnose(train, test_losses=test).cold_slope.value == pytest.approx(slope, rel=1e-6, abs=0)


def test_constant_losses():
    d = diagnose(np.ones((3, 5)), kl=1.0)
    assert d.rate.inverse_rate.value == 0
    assert d.diversity.value == 0
    json.dumps(d.as_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("losses", "change"),
    [
        ([[math.nan, 1.0]], {}),
        ([[math.inf, 1.0]], {}),
        ([1.0, 2.0], {}),
        (np.zeros((0, 2)), {}),
        (WORKED, {"loss": "hinge"}),
        (WORKED, {"loss": "bounded"}),
        (WORKED / 10, {"loss": "zero_one"}),
        (WORKED, {"weights": [1.0]}),
        (WORKED, {"weights": [0.7, 0.7]}),
        (WORKED, {"test_losses": WORKED[:1]}),
        (WORKED, {"kl": -1.0}),
        (WORKED, {"kl": math.inf}),
        (WORKED, {"kl": 1.0, "n": 2}),
        (WORKED[:, :1], {"kl": 1.0}),
        (WORKED, {"delta": 0.0}),
        (WORKED, {"delta": 1.0}),
    ],
)
def test_refused(losses, change):
    with pytest.raises(InvalidInput):
        diagnose(losses, **change)
