"""Populations, loops and linearisations: one training in three ways."""

import math

import pytest
import torch

from nonvacuous.numerics.networks.fully_connected import Parameters, forward, fully_connected, initialise, pullback
from nonvacuous.numerics.networks.tangent_kernel import empirical_ntk
from nonvacuous.numerics.training.choose import CACHE_BYTES, bytes_per_member, choose, train
from nonvacuous.numerics.training.linearised import linearise
from nonvacuous.numerics.training.loop import train_loop
from nonvacuous.numerics.training.population import train_population
from nonvacuous.numerics.training.step_size import step_rule
from nonvacuous.theory.errors import InvalidInput, NumericalFailure

EPS = torch.finfo(torch.float64).eps
MEMBERS = 6


def setup(depth=1, activation="erf", outputs=1, width=24, tolerance=1e-6):
    network = fully_connected(
        inputs=3,
        width=width,
        depth=depth,
        outputs=outputs,
        activation=activation,
        parametrisation="ntk",
        weight_scale=1.5,
        bias_scale=0.3,
    )
    x = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    predictor, target = (initialise(network, MEMBERS, seed=seed) for seed in (2, 3))
    y = forward(network, target, x).output
    kernel = empirical_ntk(network, predictor, x).reshape(MEMBERS, 4 * outputs, 4 * outputs)
    rule = step_rule(kernel, relative_residual=tolerance, damping=0.5, slack=20)
    options = {
        "step_size_sum_loss": rule.step_size_sum_loss,
        "relative_residual": tolerance,
        "max_steps": rule.max_steps,
    }
    return network, predictor, x, y, options


@pytest.mark.parametrize(("depth", "activation", "outputs"), [(1, "erf", 1), (2, "relu", 2)])
def test_population_loop_and_chosen_blocks_agree(depth, activation, outputs):
    network, predictor, x, y, options = setup(depth, activation, outputs, tolerance=1e-3)
    before = predictor.clone()
    runs = [
        train_population(network, predictor, x, y, **options),
        train_loop(network, predictor, x, y, **options),
        train_loop(network, predictor, x, y, block=4, **options),
        train(network, predictor, x, y, **options),
    ]
    for run in runs:
        assert bool((run.residual <= options["relative_residual"]).all())
        assert torch.equal(run.steps, runs[0].steps)
        for mine, first in zip(run.parameters.tensors, runs[0].parameters.tensors, strict=True):
            # every step adds a few roundings; descent on a loss that decreases does not amplify them
            allowed = 100 * EPS * float(run.steps.max()) * float(first.abs().max())
            torch.testing.assert_close(mine, first, rtol=0, atol=allowed)
    for kept, original in zip(predictor.tensors, before.tensors, strict=True):
        assert torch.equal(kept, original)  # the caller's parameters are not modified


def test_one_step_is_the_step_size_times_the_gradient_of_half_the_sum():
    network, predictor, x, y, options = setup()
    trained = train_population(network, predictor, x, y, **(options | {"relative_residual": 0.9999}))
    assert (trained.steps == 1).all()
    leaves = [tensor.clone().requires_grad_() for tensor in predictor.tensors]
    output = forward(network, Parameters(tuple(leaves[:2]), tuple(leaves[2:])), x).output
    gradients = torch.autograd.grad(0.5 * ((output - y) ** 2).sum(), leaves)
    for after, before, gradient in zip(trained.parameters.tensors, leaves, gradients, strict=True):
        expected = before.detach() - options["step_size_sum_loss"][:, None, None] * gradient
        torch.testing.assert_close(after, expected, rtol=0, atol=100 * EPS * float(expected.abs().max()))


def test_step_rule_balances_the_extreme_modes():
    rule = step_rule(
        torch.diag(torch.tensor([1.0, 2.0, 7.0], dtype=torch.float64))[None], relative_residual=1e-3, slack=1.0
    )
    assert float(rule.step_size_sum_loss[0]) == pytest.approx(2 / 8, rel=1e-14)
    assert rule.max_steps == math.ceil(math.log(1e3) / (0.25 * 1.0))


def test_linearised_solution_is_where_descent_on_the_linear_model_ends():
    network, predictor, x, y, options = setup()
    x_test = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    solved = linearise(network, predictor, x, x_test)
    points = torch.cat([x_test, x])
    trace = forward(network, predictor, points)
    jacobian = torch.stack(
        [
            torch.cat(
                [t.flatten(1) for t in pullback(network, predictor, trace, unit.expand(MEMBERS, -1, 1)).tensors], dim=1
            )
            for unit in torch.eye(7, dtype=torch.float64)[:, :, None]
        ],
        dim=1,
    )
    f0, target, change = trace.output[:, :, 0], y[:, :, 0], torch.zeros(MEMBERS, jacobian.shape[2], dtype=torch.float64)
    rate = options["step_size_sum_loss"][:, None]
    eigenvalues = torch.linalg.eigvalsh(solved.ntk_train)
    slowest = float((1 - options["step_size_sum_loss"] * eigenvalues[:, 0]).max())
    steps = math.ceil(math.log(1e-10) / math.log(slowest))
    for _ in range(steps):
        error = f0[:, 3:] + (jacobian[:, 3:] @ change[:, :, None])[:, :, 0] - target
        change = change - rate * (jacobian[:, 3:].mT @ error[:, :, None])[:, :, 0]
    descended = f0[:, :3] + (jacobian[:, :3] @ change[:, :, None])[:, :, 0]
    scale = float(solved.smoother.abs().sum(dim=2).max() * (f0[:, 3:] - target).abs().max())
    torch.testing.assert_close(solved.solution(y)[:, :, 0], descended, rtol=0, atol=1e-9 * scale)
    # the sign printed in the source sends the solution away from the labels
    wrong = f0[:, :3] - (solved.smoother @ (target - f0[:, 3:])[:, :, None])[:, :, 0]
    assert float((wrong - descended).abs().max()) > 0.1 * scale


def test_linearisation_interpolates_and_readout_training_is_linear():
    network, predictor, x, y, _ = setup(outputs=2)
    y = y[:, :, :2]
    solved = linearise(network, predictor, x, x)
    torch.testing.assert_close(solved.solution(y), y, rtol=0, atol=1e-9)
    readout = linearise(network, predictor, x, x[:1] + 0.3, trained="readout")
    # features are fixed, so the readout's solution is the least-change fit of the readout
    features = [forward(network, predictor, points).features[-1] for points in (x[:1] + 0.3, x)]
    factor, bias = network.factors[-1]
    test, training = (torch.cat([f * factor, torch.full_like(f[:, :, :1], bias)], dim=2) for f in features)
    fitted = readout.initial_test + test @ torch.linalg.pinv(training) @ (y - readout.initial_train)
    torch.testing.assert_close(readout.solution(y), fitted, rtol=0, atol=1e-9)


def test_wide_networks_follow_their_linearisation():
    gaps = []
    for width in (64, 1024):
        network, predictor, x, y, options = setup(width=width)
        x_test = x + 0.5
        trained = train_population(network, predictor, x, y, **options)
        solved = linearise(network, predictor, x, x_test).solution(y)
        gaps.append(float((forward(network, trained.parameters, x_test).output - solved).square().mean().sqrt()))
    assert gaps[1] < gaps[0] / 4  # at least as fast as n^-1/2


def test_choice_follows_the_working_set():
    network, *_ = setup(width=64)
    assert choose(network, 64, 5).strategy == "population"
    wide, *_ = setup(width=60_000)
    assert bytes_per_member(wide, 5) > CACHE_BYTES
    assert choose(wide, 64, 5).strategy == "loop"
    middle, *_ = setup(width=4096)
    assert 1 < choose(middle, 64, 5).block < 64


def test_bad_training_is_refused():
    network, predictor, x, y, options = setup()
    for change in (
        {"step_size_sum_loss": 0.0},
        {"step_size_sum_loss": math.nan},
        {"relative_residual": 0.0},
        {"relative_residual": 1.0},
    ):
        with pytest.raises(InvalidInput):
            train_population(network, predictor, x, y, **(options | change))
    with pytest.raises(InvalidInput):
        train_population(network, predictor, x, y[:, :2], **options)
    with pytest.raises(InvalidInput):
        train_population(network, predictor, x, forward(network, predictor, x).output, **options)
    with pytest.raises(NumericalFailure, match="diverged"):
        train_population(network, predictor, x, y, **(options | {"step_size_sum_loss": 10.0}))
    with pytest.raises(NumericalFailure, match="missed"):
        train_population(network, predictor, x, y, **(options | {"max_steps": 1}))
    repeated = x[[0, 0, 1, 2]]
    with pytest.raises(NumericalFailure):
        linearise(network, predictor, repeated, x)
    with pytest.raises(InvalidInput):
        step_rule(empirical_ntk(network, predictor, repeated).reshape(MEMBERS, 4, 4), relative_residual=0.1)
    with pytest.raises(InvalidInput):
        step_rule(torch.eye(2, dtype=torch.float64)[None], relative_residual=0.1, damping=2.0)
    with pytest.raises(InvalidInput):
        linearise(network, predictor, x, x).solution(y[:, :1])
