"""Nonlinear and linearised training of the same draws: averages that are exact, images, chunks, refusals."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from paired_problems import ARCHITECTURE, POINTS, problem

from nonvacuous.numerics.intervals import multiplier
from nonvacuous.numerics.kernels.architectures.pooling import convolutional_kernels
from nonvacuous.numerics.networks.fully_connected import forward, fully_connected, initialise
from nonvacuous.numerics.randomness import sub_seed
from nonvacuous.numerics.training import paired
from nonvacuous.numerics.training.linearised import solve_kernel
from nonvacuous.numerics.training.pooled import Descent, Problem, image_patches, read, tangent_kernel, train_both
from nonvacuous.numerics.training.readout_covariance import (
    covariance_of_readout,
    covariance_of_start,
    per_head,
    tangent_target,
)
from nonvacuous.proofs.infinite_width.finite_training.instances import SIGNALS
from nonvacuous.theory.errors import InvalidInput, NumericalFailure


@pytest.mark.parametrize(("depth", "heads"), [(1, 1), (1, 3), (2, 2)])
def test_the_averaged_linearised_error_has_the_mean_of_the_plain_one(depth: int, heads: int) -> None:
    """Means over the same networks: squared errors of the linearisation, and their expectation given most of each network."""
    p, members = problem(12 if depth == 1 else 16, outputs=heads, depth=depth), 4000
    u, g = (initialise(p.network, members, seed=seed) for seed in (1, 2))
    linear = solve_kernel(tangent_kernel(p, u), read(p, forward(p.network, u, p.points)), p.tests)
    target = read(p, forward(p.network, g, p.points))
    plain = ((linear.solution(target[:, p.tests :]) - target[:, : p.tests]) ** 2).mean(dim=(1, 2))
    averaged = paired.distillation(p, members=members, seed=3).linearised.mean(dim=1)
    error = math.hypot(float(plain.std()), float(averaged.std())) / math.sqrt(members)
    assert abs(float(plain.mean() - averaged.mean())) < multiplier() * error
    assert float(averaged.std()) < 0.9 * float(plain.std())


def test_starts_are_averaged_over_every_sign() -> None:
    """Three units, two heads: the covariance over the eight signs and the bias, by enumeration; the tangent kernel is that of each."""
    p = problem(3, outputs=2)
    u = initialise(p.network, 1, seed=3)  # the two heads disagree on some signs
    kernel = tangent_kernel(p, u)
    second = torch.zeros_like(kernel)
    for signs in product((-1.0, 1.0), repeat=3):
        flipped = replace(
            u,
            weights=(u.weights[0], u.weights[1] * torch.tensor(signs)[None, :, None]),
            biases=(u.biases[0], 0 * u.biases[1]),
        )
        start = read(p, forward(p.network, flipped, p.points)).flatten(1)
        second += start[:, :, None] * start[:, None, :] / 8
        assert torch.allclose(tangent_kernel(p, flipped), kernel, rtol=1e-12, atol=1e-12)
    deep = problem(3, outputs=2, depth=2)
    v = initialise(deep.network, 1, seed=3)
    moved = replace(v, biases=(*v.biases[:-1], v.biases[-1] + 7))
    same_start, other_start = (covariance_of_start(deep, q, forward(deep.network, q, deep.points)) for q in (v, moved))
    assert torch.allclose(same_start, other_start, rtol=1e-9, atol=1e-9)  # the bias is averaged at any depth
    same = torch.eye(2, dtype=torch.float64).repeat(p.inputs, p.inputs)
    found = covariance_of_start(p, u, forward(p.network, u, p.points))
    assert torch.allclose(found[0], second[0] + 0.3**2 * same, rtol=1e-12, atol=1e-14)


def test_a_centred_predictor_has_no_start() -> None:
    """u - u0 trained on g: its linearised error is that of a predictor that starts at 0, by hand for the same draws, and over the target's readout on
    average; the correction is that of u - u0."""
    p, members = problem(64, outputs=2), 300
    found = paired.distillation(p, members=members, seed=3, centred=True, descent=Descent(1e-4))
    assert found.correction is not None
    (start, count), *others = paired.chunks(p, members)
    assert not others
    u, g = (initialise(p.network, count, seed=sub_seed(3, start, name)) for name in ("predictor", "target"))
    target = read(p, forward(p.network, g, p.points))
    linear = solve_kernel(tangent_kernel(p, u), 0 * target, p.tests)
    plain = ((linear.solution(target[:, p.tests :]) - target[:, : p.tests]) ** 2).mean(dim=2)
    difference = (plain - found.linearised).mean(dim=1)
    assert abs(float(difference.mean())) < multiplier() * float(difference.std()) / math.sqrt(members)
    # the same kernel, averaged over other things: without the start's covariance there is less of it, always
    assert bool((found.linearised < paired.distillation(p, members=members, seed=3).linearised).all())
    u0 = read(p, forward(p.network, u, p.points))
    goal = target + u0
    linear, end = train_both(p, u, goal[:, p.tests :], Descent(1e-4))
    errors = [
        (value - u0[:, : p.tests] - target[:, : p.tests]) ** 2 for value in (end, linear.solution(goal[:, p.tests :]))
    ]
    assert torch.allclose(found.correction, (errors[0] - errors[1]).mean(dim=2), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("directions", ["shared", "separate"])
def test_the_averaged_bayesian_error_has_the_mean_of_the_plain_one(directions: paired.Directions) -> None:
    p, members = problem(12, outputs=2), 1500
    found = paired.bayesian_distillation(p, members=members, seed=5, directions=directions, descent=Descent(1e-3))
    assert found.correction is not None
    u = initialise(p.network, members, seed=7)
    kernel = tangent_kernel(p, u)
    draws = [initialise(p.network, members, seed=11 + k) for k in range(2)]
    targets = [tangent_target(p, u, psi, zeroed=True) for psi in draws]
    target = targets[0] if directions == "shared" else torch.stack([t[:, :, k] for k, t in enumerate(targets)], dim=2)
    linear = solve_kernel(kernel, read(p, forward(p.network, u, p.points)), p.tests)
    plain = ((linear.solution(target[:, p.tests :]) - target[:, : p.tests]) ** 2).mean(dim=(1, 2))
    averaged = found.linearised.mean(dim=1)
    error = math.hypot(float(plain.std()), float(averaged.std())) / math.sqrt(members)
    assert abs(float(plain.mean() - averaged.mean())) < multiplier() * error


def test_one_head_has_one_direction() -> None:
    shared, separate = (
        paired.bayesian_distillation(problem(16), members=50, seed=5, directions=d).linearised
        for d in ("shared", "separate")
    )
    assert torch.equal(shared, separate)


def test_targets_of_heads_are_told_apart() -> None:
    """One target of each head given the trunk; tangent targets of several heads along one direction correlate and report less."""
    one = torch.tensor([[[2.0, 0.5, 0.0], [0.5, 3.0, 0.1], [0.0, 0.1, 1.0]]], dtype=torch.float64)
    found = per_head(one, 2).reshape(3, 2, 3, 2)
    assert torch.equal(found[:, 0, :, 0], one[0])
    assert torch.equal(found[:, 1, :, 1], one[0])
    assert not found[:, 0, :, 1].any()
    shared, separate = (
        paired.bayesian_distillation(problem(16, outputs=4), members=1000, seed=5, directions=d).linearised.mean()
        for d in ("shared", "separate")
    )
    assert separate > 1.1 * shared
    hidden = torch.zeros(1, 7, 4, dtype=torch.float64)  # what is left of a readout without features: its bias
    assert torch.allclose(covariance_of_readout(problem(4), hidden), torch.full((1, 7, 7), 0.09).double())
    hidden[:, 0] = 1.0
    assert covariance_of_readout(problem(4), hidden)[0, 0, 0] == pytest.approx(0.09 + 1.5**2, rel=1e-12)


def test_repeated_positions_are_one_position() -> None:
    """The average over equal patches is the fully connected network: training, kernels and draws are the same."""
    one, three = (
        paired.distillation(problem(16, outputs=2, positions=k), members=20, seed=1, descent=Descent(1e-6))
        for k in (1, 3)
    )
    assert torch.allclose(one.linearised, three.linearised, rtol=1e-9, atol=0)
    assert one.correction is not None
    assert three.correction is not None
    assert torch.allclose(one.correction, three.correction, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("padding", "filter_size"), [("circular", (1, 3)), ("zero", (1, 3)), ("circular", (1, 2)), ("zero", (1, 2))]
)
def test_the_mean_kernel_of_convolutions_is_the_limit(padding: str, filter_size: tuple[int, int]) -> None:
    """One hidden layer: unbiased at every width (`iw.fw_unbiased_1layer`)."""
    images = np.concatenate([SIGNALS.test, SIGNALS.train])[:3]
    points = image_patches(torch.from_numpy(images), filter_size=filter_size, circular=padding == "circular")
    network = fully_connected(inputs=points.shape[1], width=8, **ARCHITECTURE)
    kernel = tangent_kernel(Problem(network, points, 1, 6), initialise(network, 8_000, seed=1)).numpy()
    limit = convolutional_kernels(
        images, depth=1, filter_size=filter_size, padding=padding, readout="average",
        activation="erf", weight_scale=1.5, bias_scale=0.3,
    ).ntk  # fmt: skip
    error = kernel.std(axis=0, ddof=1) / math.sqrt(len(kernel))
    assert (np.abs(kernel.mean(axis=0) - limit) < multiplier(6) * error).all()
    assert (multiplier(6) * error < 0.08 * np.abs(limit).max()).all()


def test_convolutions_learn_their_targets() -> None:
    images = torch.from_numpy(np.concatenate([SIGNALS.test, SIGNALS.train]))
    points = image_patches(images, filter_size=(1, 3), circular=True)
    network = fully_connected(inputs=3, width=64, outputs=2, **ARCHITECTURE)
    p = Problem(network, points, 2, 6)
    parameters = initialise(network, 5, seed=1)
    goal = torch.ones(5, 4, 2, dtype=torch.float64)
    _, fitted = train_both(
        replace(p, points=torch.cat([points[12:], points[12:]]), tests=4), parameters, goal, Descent(1e-8)
    )
    assert torch.allclose(fitted, goal, atol=1e-6)


def test_chunks_cover_every_member_once() -> None:
    for width, members in ((8, 5), (512, 1000), (4096, 37)):
        parts = list(paired.chunks(problem(width, outputs=4), members))
        assert [start for start, _ in parts] == list(np.cumsum([0, *(count for _, count in parts[:-1])]))
        assert sum(count for _, count in parts) == members


def test_a_step_size_moves_the_outcome_and_the_linearisation_has_none() -> None:
    p = problem(32)
    found = paired.step_differences(p, members=20, seed=1, descents=(Descent(1e-6, 0.9), Descent(1e-6, 0.1)))
    same = paired.step_differences(p, members=20, seed=1, descents=(Descent(1e-6, 0.5), Descent(1e-6, 0.5)))
    assert float(found.min()) > 1e-6
    assert torch.equal(same, torch.zeros_like(same))


def test_bad_trainings_are_refused() -> None:
    y = torch.ones(1, 4, dtype=torch.float64)
    with pytest.raises(InvalidInput):
        paired.ensemble_variances(problem(8), y, members=10, group=3, seed=1)
    with pytest.raises(InvalidInput):
        paired.bayesian_distillation(problem(8), members=10, seed=1, directions="both")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput):
        image_patches(torch.zeros(1, 1, 2, 1), filter_size=(1, 3), circular=True)
    repeated = replace(problem(8), points=POINTS[[0, 1, 2, 3, 3]])
    with pytest.raises((InvalidInput, NumericalFailure)):  # one training input, twice
        paired.distillation(repeated, members=10, seed=1, descent=Descent())
