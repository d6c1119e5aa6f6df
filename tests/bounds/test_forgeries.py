"""Edited certificates: every one is refused with a typed error or found unsound; none raises anything else, none hangs."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from nonvacuous import bounds as b
from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.bounds.certificate import from_json

STEP = b.RecursiveStep(0.5, (0.985, 0.03, 0.004), 600, 30_000)
VOTES = b.Votes(np.random.default_rng(0).integers(0, 2, (5, 300)), np.random.default_rng(1).integers(0, 2, 300))
MADE = {
    "kl": b.seeger_kl(risk=0.1, kl=5, n=1000, delta=0.05),
    "code": b.compression_bound(errors=10, n=1000, level_counts=[90, 5, 5], delta=0.05),
    "recursive": b.recursive_pac_bayes(risk=0.08, kl=40, n=60_000, steps=[STEP], delta=0.025),
    "mixture": b.sub_gaussian_mixture(risk=1.0, variance=1.0, kl=10, n=1000, delta=0.05),
    "subsample": b.subsampled_occam(risk=0.1, m=100, n=1000, log_inv_weight=3.0, delta=0.05),
    "chernoff": b.pac_bayes_chernoff(risk=1.0, kl=10, n=1000, tail=b.SubGaussian(1.0), delta=0.05),
    "chi": b.chi_square(risk=0.1, chi2=1, variance=1, n=10, delta=0.05),
    "votes": b.certify_votes(VOTES, delta=0.05)["disagreement"],
}
EDITS = [
    ("kl", {"quantity": "true Gibbs risk (of the deterministic network)"}),
    ("kl", {"top": 1e-3, "value": 1e-3, "raw": 1e-3}),
    ("kl", {"value": 0.1, "raw": 0.1}),
    ("kl", {"lower": 0.09}),
    ("code", {"inputs/level_counts": [90.9, 5.9, 5.9]}),
    ("code", {"inputs/level_counts": "955"}),
    ("code", {"inputs/bits_per_level": 16.99}),
    ("recursive", {"inputs/bounds": [1e-9, 1e-9]}),
    ("recursive", {"inputs/ns": [10**9]}),
    ("recursive", {"inputs/ns": [30000.9]}),
    ("recursive", {"inputs/gammas": ["x"]}),
    ("recursive", {"inputs/frequencies": [0.9, 0.1]}),
    ("recursive", {"inputs/ns": [30_000, 2]}),
    ("mixture", {"inputs/variance": "abc"}),
    ("subsample", {"inputs/interval": [0]}),
    ("chernoff", {"inputs/tail_numbers": ["x"]}),
    ("chernoff", {"inputs/tail_numbers": [float("nan")]}),
    ("chi", {"lower": -1.0}),
    ("votes", {"inputs/risk": "1e999999999"}),
    ("votes", {"inputs/risk": "x/y"}),
]


def edited(data, changes):
    data = copy.deepcopy(data)
    for path, value in changes.items():
        *above, last = path.split("/")
        place = data
        for name in above:
            place = place[name]
        place[last] = value
    return data


@pytest.mark.parametrize("name", MADE)
def test_honest_ones_pass(name):
    assert from_json(MADE[name].as_json()).check().sound


@pytest.mark.parametrize(("name", "changes"), EDITS, ids=str)
def test_edited_ones_do_not(name, changes):
    try:
        sound = from_json(edited(MADE[name].as_json(), changes)).check().sound
    except InvalidInput:
        sound = False
    assert not sound
