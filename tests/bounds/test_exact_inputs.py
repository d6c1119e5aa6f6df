"""Numbers that float64 would round on the way in: refused with advice, or kept exactly, by every public bound.

Rounding to nearest could go the unsafe way (a risk of 1/3 becomes less than 1/3), and no side is safe for both ends of a two-sided bound.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import nonvacuous as nv
from nonvacuous import bounds as b
from nonvacuous.cli.main import app
from nonvacuous.errors import InvalidInput
from nonvacuous.theory.validation import float_array

GIBBS = {"risk": 0.1, "kl": 5.0, "n": 1000, "delta": 0.05}
PAIR = {"joint_error": 0.05, "disagreement": 0.1, "kl": 5.0, "n": 1000, "delta": 0.05}
ONE = {"risk": 0.1, "log_density": 3.0, "n": 1000, "delta": 0.05}
TWO_SIGMA = {**GIBBS, "variance": 0.5}
STEP = b.RecursiveStep(0.5, (0.985, 0.03, 0.004), 600, 500)
LOSSES = [[0.1, 0.5, 0.25, 0.7], [0.2, 0.4, 0.3, 0.9]]
CALLS = {
    "seeger_kl": GIBBS,
    "seeger_kl_split": {**GIBBS, "n_prior": 300},
    "quad": GIBBS,
    "thiemann_lambda": {**GIBBS, "lam": 0.5},
    "mcallester": GIBBS,
    "catoni": {**GIBBS, "beta": 0.7, "lower_beta": -0.3, "lower_delta": 0.01},
    "catoni_grid": {**GIBBS, "betas": [0.3, 0.7]},
    "catoni_continuous": {**GIBBS, "alpha": 1.3, "lam": 30.0},
    "catoni_uniform": {**GIBBS, "beta": 0.7, "lower_beta": -0.3},
    "pbb": {**GIBBS, "draws": 100, "draws_delta": 0.01},
    "gibbs_monte_carlo": {"risk": 0.1, "draws": 100, "delta": 0.05},
    "kl_anytime": GIBBS,
    "renyi": {"risk": 0.1, "divergence": 2.0, "n": 1000, "order": 1.5, "delta": 0.05},
    "chi_square": {"risk": 0.1, "chi2": 2.0, "variance": 0.2, "n": 1000, "delta": 0.05},
    "power_divergence": {"risk": 0.1, "density_norm": 2.0, "order": 1.5, "moment": 0.1, "delta": 0.05},
    "empirical_bernstein": {**GIBBS, "variance": 0.1, "c1": 1.15, "c2": 1.2},
    "unexpected_bernstein": {**GIBBS, "second_moment": 0.1, "rates": [0.3, 0.6]},
    "split_kl": {"levels": [0.0, 0.3, 1.0], "frequencies": [0.4, 0.1], "kl": 5.0, "n": 1000, "delta": 0.05},
    "split_kl_continuous": {"low": -0.3, "split": 0.1, "high": 1.1, "above": 0.2, "below": 0.15, "kl": 5.0, "n": 1000, "delta": 0.05},
    "vector_kl": {"frequencies": [0.25, 0.5, 0.25], "values": [-0.3, 0.1, 1.0], "kl": 5.0, "n": 1000, "delta": 0.05},
    "trinomial_kl": {"gain": 0.05, "loss": 0.1, "kl": 5.0, "n": 1000, "delta": 0.05},
    "recursive_pac_bayes": {**GIBBS, "steps": [STEP]},
    "binomial_test_set": {"errors": 3, "n": 1000, "delta": 0.05},
    "chernoff_test_set": {"risk": 0.1, "n": 1000, "delta": 0.05},
    "hoeffding_test_set": {"risk": 0.1, "n": 1000, "delta": 0.05},
    "occam_kl": {"risk": 0.1, "n": 1000, "log_inv_weight": 3.3, "delta": 0.05},
    "occam_binomial": {"errors": 3, "n": 1000, "code_bits": 30.0, "delta": 0.05},
    "compression_bound": {"errors": 3, "n": 1000, "message_bits": 100, "delta": 0.05},
    "subsampled_occam": {"risk": 0.1, "m": 100, "n": 1000, "log_inv_weight": 3.3, "interval": (-0.1, 1.3), "delta": 0.05},
    "master": {"kl": 5.0, "log_constant": 1.1, "delta": 0.05},
    "majority_vote_first_order": GIBBS,
    "majority_vote_tandem": {"tandem": 0.05, "kl": 5.0, "n": 1000, "delta": 0.05},
    "majority_vote_disagreement": {"risk": 0.2, "disagreement": 0.1, "kl": 5.0, "n": 1000, "n_pairs": 900, "delta": 0.05},
    "majority_vote_cbound": {"risk": 0.2, "tandem": 0.1, "kl": 5.0, "n": 1000, "n_pairs": 900, "delta": 0.05},
    "majority_vote_cbound_joint": PAIR,
    "majority_vote_chebyshev_cantelli": {**PAIR, "mu": [-0.3, 0.1]},
    "stochastic_majority_vote": {"risk": 0.2, "concentrations": [1.3, 2.7], "prior": [1.1, 1.2], "n": 1000, "delta": 0.05},
    "betting_interval": {"losses": LOSSES[0], "delta": 0.05},
    "betting_pac_bayes": {"losses": LOSSES, "posterior": [0.3, 0.7], "kl": 0.2, "delta": 0.05},
    "supermartingale": {"risk": 0.1, "kl": 5.0, "rates": [0.3, 0.1], "delta": 0.05},
    "one_draw_kl": ONE,
    "one_draw_catoni": {**ONE, "beta": 0.7},
    "one_draw_occam": {**ONE, "b": 0.7},
    "one_draw_renyi": {"risk": 0.1, "divergence": 2.0, "n": 1000, "order": 1.5, "delta": 0.05},
    "wasserstein": {"risk": 0.1, "distances": [0.3, 0.1], "sizes": [500, 400], "lipschitz": 0.7, "delta": 0.05},
    "mutual_information": {"information": 2.2, "n": 1000, "sigma": 0.6},
    "individual_information": {"informations": [0.1, 0.3], "sigma": 0.6},
    "conditional_information": {"information": 2.2, "n": 1000},
    "conditional_information_kl": {"risk": 0.1, "information": 2.2, "n": 1000},
    "pac_chernoff": {"risk": 0.1, "law": LOSSES[0], "n": 1000, "log_inv_weight": 3.3, "delta": 0.05},
    "pac_bayes_chernoff": {**GIBBS, "tail": b.SubGaussian(0.3)},
    "pac_bayes_chernoff_alpha": {**GIBBS, "tail": b.SubGaussian(0.3), "alpha": 0.3},
    "sub_gaussian_mixture": {**TWO_SIGMA, "a": 1.3},
    "sub_gaussian_mixture_one_sided": {**TWO_SIGMA, "a": 1.3, "reference": 0.7},
    "second_moment": {**GIBBS, "second_moment": 0.3, "tilts": [0.3, 0.7]},
    "alquier": {"risk": 0.1, "kl": 5.0, "tilt": 30.0, "log_moment": 0.1, "delta": 0.05},
    "pac2": {**GIBBS, "p_min": 0.001},
    "pac2_oracle": {"risk": 0.1, "kl": 5.0, "tilt": 30.0, "log_moment": 0.1, "delta": 0.05},
    "ensemble_chernoff": {**GIBBS, "losses": LOSSES, "posterior": [0.25, 0.75]},
    "certify_losses": {"losses": LOSSES, "kl": 5.0, "delta": 0.05},
    "small_data_envelope": GIBBS,
}  # fmt: skip
# public names that compute no bound from numbers: searches, code lengths, moments, records, votes and losses as data
OTHERS = {
    "BoundComparison", "Certificate", "GaussianLosses", "InputGradient", "KnownLaws", "ParameterNorm", "Recheck", "RecursiveStep", "SecondMoment",
    "SubGamma", "SubGaussian", "Votes", "alternate_lambda", "certify_votes", "clamped_log_loss", "code_log_inv_weight", "compare", "fit_dirichlet",
    "fit_vote_weights", "gaussian_distance", "gaussian_log_ratio", "gibbs_posterior", "load", "pair_log_loss", "posterior_moments", "prior_variance",
    "quantised_code_bits", "scale_indices", "smoothed_log_loss", "squeezed_log_loss", "stochastic_vote_risk", "to_own_scale", "vote_moments",
    "vote_risk", "votes_from_forest",
}  # fmt: skip
# quotients of counts, which these bounds keep as they are
KEPT = {"risk", "tandem", "disagreement", "joint_error"}
SLOTS = [(name, argument) for name, call in CALLS.items() for argument in call if argument not in ("steps", "tail")]


def between(x: float, kind: str):
    """A number next to x that is no float64, as the type called `kind`."""
    share = Fraction(x) + (Fraction(abs(x)) / 10**30 or Fraction(1, 10**30))
    if kind == "Fraction":
        return share
    if kind == "Decimal":
        with localcontext() as context:
            context.prec = 60
            return Decimal(share.numerator) / Decimal(share.denominator)
    return np.nextafter(np.longdouble(x), np.longdouble(math.inf))


def put(value, new):
    """The first number of a scalar or a (nested) list replaced."""
    if isinstance(value, list | tuple):
        return type(value)([put(value[0], new), *value[1:]])
    return new(float(value))


def number(value):
    return number(value[0]) if isinstance(value, list | tuple) else value


def test_the_table_has_every_public_bound():
    assert set(CALLS) | OTHERS == set(b.__all__)


@pytest.mark.parametrize("kind", ["Fraction", "Decimal", "long double"])
@pytest.mark.parametrize(("name", "argument"), SLOTS)
def test_what_is_no_float_is_refused_or_kept(name, argument, kind):
    call = CALLS[name]
    odd = number(put(call[argument], lambda x: between(x, kind)))
    try:
        found = getattr(b, name)(**{**call, argument: put(call[argument], lambda x: odd)})
    except InvalidInput as error:
        found, advice = None, error.advice
    if found is None:
        assert advice
        return
    assert argument in KEPT, f"{name} rounded {argument}"
    assert Fraction(found.inputs[argument]) == Fraction(odd)
    assert found.check().sound


@pytest.mark.parametrize(("name", "argument"), SLOTS)
def test_what_is_a_float_exactly_is_that_float(name, argument):
    """A Fraction of a float's value gives the same certificate; options that are words of the code (whole numbers) may insist on an int."""
    call = CALLS[name]
    try:
        found = getattr(b, name)(**{**call, argument: put(call[argument], Fraction)})
    except InvalidInput:
        assert isinstance(number(call[argument]), int)
        return
    plain = getattr(b, name)(**call)
    assert getattr(found, "as_json", lambda: found)() == getattr(plain, "as_json", lambda: plain)()


@pytest.mark.parametrize(
    "made",
    [
        lambda x: b.SubGaussian(x),
        lambda x: b.SubGamma(x, 0.1),
        lambda x: b.ParameterNorm(0.1, x),
        lambda x: b.InputGradient(0.1, 0.2, x),
        lambda x: b.SecondMoment(x),
        lambda x: b.GaussianLosses(x),
        lambda x: b.KnownLaws([[0.1, x]], [1.0]),
        lambda x: b.RecursiveStep(x, (0.985, 0.03, 0.004), 600, 500),
        lambda x: b.RecursiveStep(0.5, (x, 0.03, 0.004), 600, 500),
        lambda x: b.RecursiveStep(0.5, (0.985, 0.03, 0.004), x, 500),
    ],
)
@pytest.mark.parametrize("kind", ["Fraction", "Decimal", "long double"])
def test_tails_and_steps_are_not_rounded_either(made, kind):
    made(0.5)
    with pytest.raises(InvalidInput):
        made(between(0.5, kind))


@pytest.mark.parametrize("kind", ["Fraction", "Decimal", "long double"])
@pytest.mark.parametrize("argument", ["risk", "kl", "delta", "log_inv_weight", "losses"])
def test_compare_refuses_them(argument, kind):
    odd = between(0.1, kind)
    call = {"risk": 0.1, "kl": 5.0, "n": 100, "delta": 0.05}
    if argument == "losses":
        call = {"losses": [[odd, 0.3], [0.1, 0.7]], "kl": 5.0, "delta": 0.05}
    elif argument == "log_inv_weight":
        call = {"losses": [0.1, 0.3], "log_inv_weight": odd, "delta": 0.05}
    else:
        call[argument] = odd
    with pytest.raises(InvalidInput):
        nv.bounds.compare(**call)


@settings(max_examples=60)
@given(x=st.fractions(-5, 5), whole=st.integers(-(2**70), 2**70))
def test_an_array_is_exact_or_refused(x, whole):
    for value in (x, [0.25, x], whole, [whole], np.array([whole], dtype=object)):
        entry = whole if value is whole or isinstance(value, np.ndarray) or value == [whole] else x
        try:
            array = float_array("x", value)
        except InvalidInput:
            assert Fraction(float(entry)) != entry
        else:
            assert Fraction(float(np.ravel(array)[-1])) == entry


def test_the_command_line_takes_a_decimal_as_the_float_it_denotes_and_refuses_what_is_none(tmp_path):
    """JSON's 0.3 is the float 0.3, as in Python, and the certificate says so; a whole number beyond 2^53 that is no float is refused."""
    runner = CliRunner()
    setting = {"risk": 0.3, "kl": 5, "n": 100, "delta": 0.05}
    for text, code in (
        (json.dumps(setting), 0),
        (json.dumps({**setting, "kl": 2**53}), 0),
        (json.dumps({**setting, "kl": 2**53 + 1}), 3),
        (json.dumps({**setting, "kl": 10**400}), 3),
        (json.dumps({**setting, "risk": "1/3"}), 3),
    ):
        path = tmp_path / "setting.json"
        path.write_text(text)
        found = runner.invoke(app, ["bound", "pb.kl", "--input", str(path), "--json"])
        assert found.exit_code == code or (code == 3 and isinstance(found.exception, InvalidInput)), found.output
        if not code:
            assert json.loads(found.output)["inputs"]["risk"] == 0.3


def test_a_tensor_that_requires_a_gradient_is_answered_by_name():
    torch = pytest.importorskip("torch")
    losses = torch.rand(4, requires_grad=True)
    with pytest.raises(InvalidInput, match="losses cannot be read"):
        float_array("losses", losses)
    assert np.array_equal(float_array("losses", losses.detach()), losses.detach().numpy())
