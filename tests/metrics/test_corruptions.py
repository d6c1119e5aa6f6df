"""Spoiled images against loops over pixels; paired over severities; deterministic."""

import math

import numpy as np
import pytest

from nonvacuous.numerics.metrics import CORRUPTIONS, corrupt
from nonvacuous.numerics.metrics.corruptions import rotated
from nonvacuous.theory.errors import InvalidInput

GREY = np.random.default_rng(0).random((3, 10, 12))


def blurred_by_hand(image, across):
    """Direct sum over a window of 4 standard deviations, edges reflected (d c b a | a b c d)."""
    stds = (across * image.shape[0], across * image.shape[1])
    radii = [int(4 * s + 0.5) for s in stds]
    weights = [
        np.array([math.exp(-0.5 * (t / s) ** 2) for t in range(-r, r + 1)]) for s, r in zip(stds, radii, strict=True)
    ]
    weights = [w / w.sum() for w in weights]

    def reflect(i, n):
        i %= 2 * n
        return i if i < n else 2 * n - 1 - i

    out = np.zeros_like(image)
    height, width = image.shape
    for i in range(height):
        for j in range(width):
            for a, wa in enumerate(weights[0], start=-radii[0]):
                for b, wb in enumerate(weights[1], start=-radii[1]):
                    out[i, j] += wa * wb * image[reflect(i + a, height), reflect(j + b, width)]
    return out


def test_blur_and_contrast_are_their_formulas():
    for severity in (1, 3, 5):
        expected = [blurred_by_hand(image, CORRUPTIONS["blur"][severity - 1]) for image in GREY]
        np.testing.assert_allclose(corrupt(GREY, "blur", severity, seed=0), expected, rtol=0, atol=1e-13)
        share = CORRUPTIONS["contrast"][severity - 1]
        expected = [share * image + (1 - share) * image.mean() for image in GREY]
        np.testing.assert_allclose(corrupt(GREY, "contrast", severity, seed=0), expected, rtol=0, atol=1e-14)


def test_rotation_turns_about_the_centre():
    np.testing.assert_allclose(
        rotated(GREY[:, :, :10], 90.0), np.rot90(GREY[:, :, :10], axes=(1, 2)), rtol=0, atol=1e-12
    )
    # a linear ramp stays linear under bilinear interpolation: value at a pixel is the ramp at its preimage
    side, degrees = 21, 20.0
    i, j = np.mgrid[:side, :side] - (side - 1) / 2
    angle = math.radians(degrees)
    expected = 0.5 + 0.02 * (math.cos(angle) * i + math.sin(angle) * j)  # counterclockwise, rows downward
    inner = np.hypot(i, j) < 9
    got = rotated((0.5 + 0.02 * i)[None], degrees)[0]
    np.testing.assert_allclose(got[inner], expected[inner], rtol=0, atol=1e-12)
    many = np.broadcast_to(0.5 + 0.02 * i, (200, side, side))
    turned = corrupt(many, "rotation", 2, seed=1)[:, inner]
    left = np.isclose(turned, expected[inner], atol=1e-10).all(1)
    right = np.isclose(turned, rotated((0.5 + 0.02 * i)[None], -degrees)[0][inner], atol=1e-10).all(1)
    assert (left ^ right).all()
    assert abs(left.mean() - 0.5) <= 5 * 0.5 / math.sqrt(200)


def test_noise_has_its_size_and_is_cut():
    flat = np.full((4, 100, 100), 0.5)
    got = corrupt(flat, "noise", 1, seed=0)
    # 40,000 pixels; cutting at 5 standard deviations changes nothing visible
    assert abs(got.mean() - 0.5) <= 6 * 0.1 / 200
    assert abs(got.std() / 0.1 - 1) <= 6 / math.sqrt(2 * 40_000)
    strong = corrupt(flat, "noise", 5, seed=0)
    assert strong.min() == 0
    assert strong.max() == 1
    inside = (strong > 0) & (strong < 1)
    # the same noise in every severity
    np.testing.assert_allclose((strong - 0.5)[inside] / 0.6, (got - 0.5)[inside] / 0.1, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_every_kind_is_deterministic_ordered_and_leaves_its_input(kind):
    before = GREY.copy()
    changes = [np.abs(corrupt(GREY, kind, severity, seed=5) - GREY).mean() for severity in range(6)]
    assert changes[0] == 0
    assert np.all(np.diff(changes) > 0)
    assert np.array_equal(GREY, before)
    for severity in (2, 5):
        whole = corrupt(GREY, kind, severity, seed=5)
        assert whole.min() >= 0
        assert whole.max() <= 1
        assert np.array_equal(whole, corrupt(GREY, kind, severity, seed=5))
        np.testing.assert_allclose(whole[:2], corrupt(GREY[:2], kind, severity, seed=5), rtol=0, atol=0)
    same = np.array_equal(corrupt(GREY, kind, 3, seed=5), corrupt(GREY, kind, 3, seed=9))
    assert same == (kind in ("blur", "contrast"))


@pytest.mark.parametrize(
    "change",
    [{"images": GREY[0]}, {"images": GREY[:0]}, {"images": 2 * GREY}, {"images": GREY * np.nan}, {"images": np.ones((1, 3, 3), int)}, {"kind": "fog"},
     {"severity": 6}, {"severity": -1}, {"severity": 1.0}, {"severity": True}, {"seed": -1}, {"seed": None}],
    ids=lambda c: next(iter(c)),
)  # fmt: skip
def test_bad_input_is_refused(change):
    arguments = {"images": GREY, "kind": "blur", "severity": 1, "seed": 0} | change
    with pytest.raises(InvalidInput):
        corrupt(arguments["images"], arguments["kind"], arguments["severity"], seed=arguments["seed"])
