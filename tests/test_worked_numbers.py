"""Worked examples of the area, through the command line: each printed digit of a published or derived example."""

from __future__ import annotations

import json
import math

import pytest

LN2 = math.log(2)
POINTS = [0.0] * 30 + [0.1] * 10 + [0.2] * 10
STEP = "recursive"

WORKED = [
    ("pb.occam_binomial", {"errors": 600, "n": 50_000, "code_bits": 3000, "delta": 0.05}, 0.0733017, 7),
    ("pb.occam_kl", {"risk": 0.012, "n": 50_000, "code_bits": 3000, "delta": 0.05}, 0.0733891, 7),
    ("pb.kl", {"risk": 0.012, "kl": 3000 * LN2, "n": 50_000, "delta": 0.05}, 0.0735140, 7),
    ("pb.kl", {"risk": 0.012, "kl": 3000 * LN2, "n": 50_000, "delta": 0.05, "constant": "2sqrt"}, 0.0735243, 7),
    ("pb.eb", {"risk": 0.12, "variance": 0.03, "kl": 50, "n": 10_000, "delta": 0.05}, 0.1544727, 7),
    ("pb.kl", {"risk": 0.12, "kl": 50, "n": 10_000, "delta": 0.05, "constant": "2sqrt"}, 0.1579893, 7),
    ("pb.ub", {"risk": 0.12, "second_moment": 0.02, "kl": 50, "n": 10_000, "delta": 0.05}, 0.138646921, 9),
    ("pb.trikl", {"frequencies": [0.08, 0.05, 0.87], "values": [1, -1, 0], "kl": 50, "n": 10_000, "delta": 0.05}, 0.0712718, 7),
    ("pb.pbb", {"risk": 0.0155, "draws": 150_000, "kl": 73.2, "n": 30_000, "delta": 0.025, "draws_delta": 0.01}, 0.0278783062, 10),
    ("pb.pbb", {"risk": 0.0155, "draws": 150_000, "kl": 73.2, "n": 30_000, "delta": 0.025, "draws_delta": 0.01, "sides": "one"}, 0.0277848, 7),
    ("pb.betting_ci", {"losses": POINTS, "delta": 0.05}, 0.161577381, 9),
    ("pb.kl_anytime", {"risk": 0.06, "kl": 0, "n": 50, "delta": 0.05}, 0.233768065, 9),
    ("pb.kl", {"risk": 0.06, "kl": 0, "n": 50, "delta": 0.05, "constant": "2sqrt"}, 0.236198375, 9),
    ("pb.sg_mixture", {"risk": 0.0, "kl": 10, "n": 10_000, "variance": 1.0, "a": 1.0, "delta": 0.05}, 0.059334160, 9),
    ("pb.pbc", {"risk": 0.0, "kl": 10, "n": 10_000, "delta": 0.05, "tail": {"name": "sub-Gaussian", "numbers": [1.0]}}, 0.0666457703, 10),
]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "inputs", "expected", "digits"), WORKED, ids=lambda x: x if isinstance(x, str) else None
)
def test_bound(nonvacuous, key, inputs, expected, digits):
    done = nonvacuous("bound", key, "--json", "--input", "-", input=json.dumps(inputs))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["key"] == key
    assert round(found["raw"], digits) == expected


PREDICTED = [
    ("pb.klinv", {"q": 0.05, "c": 0.02714275709360500482887944}, "upper", 0.1172624272441208664),
    ("pb.xi", {"n": 10}, None, 4.66021568),
    ("pb.xi", {"n": 8}, None, 4.24501800537109375),
]


@pytest.mark.parametrize(
    ("key", "setting", "name", "expected"), PREDICTED, ids=lambda x: x if isinstance(x, str) else None
)
def test_predict(nonvacuous, key, setting, name, expected):
    from nonvacuous.proofs.catalogue import CATALOGUE
    from nonvacuous.settings import to_json

    example = to_json(next(result for result in CATALOGUE if result.key == key).example)
    done = nonvacuous("predict", key, "--input", "-", input=json.dumps({**example, **setting}))
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)["prediction"]
    candidates = [values[name]] if name else [v for v in values.values() if isinstance(v, float)]
    assert any(value == pytest.approx(expected, rel=1e-15, abs=0) for value in candidates), values
