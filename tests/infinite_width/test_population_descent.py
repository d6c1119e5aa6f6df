"""Populations against torch.optim on one network at a time; heavy ball's rule, its stability, and what it saves."""

import math

import numpy as np
import pytest
import torch

from nonvacuous.numerics.networks.fully_connected import Parameters, forward, fully_connected, initialise
from nonvacuous.numerics.networks.tangent_kernel import empirical_ntk
from nonvacuous.numerics.training import population
from nonvacuous.numerics.training.choose import CACHE_BYTES, bytes_per_member, choose, predicted_seconds, train
from nonvacuous.numerics.training.first_layer import first_layer
from nonvacuous.numerics.training.loop import train_loop
from nonvacuous.numerics.training.population import train_population
from nonvacuous.numerics.training.step_size import heavy_ball, heavy_ball_steps, require_stable, step_rule
from nonvacuous.numerics.wide_networks import HeavyBall, UnstableStep, largest_step_size_sum_loss
from nonvacuous.theory.errors import InvalidInput, NumericalFailure

EPS = torch.finfo(torch.float64).eps
MEMBERS, POINTS = 5, 4


def problem(*, inputs=3, width=12, seed=2, **changes):
    options = {
        "depth": 1,
        "outputs": 1,
        "activation": "erf",
        "parametrisation": "ntk",
        "weight_scale": 1.5,
        "bias_scale": 0.3,
    }
    network = fully_connected(inputs=inputs, width=width, **(options | changes))
    x = torch.randn(POINTS, inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    predictor, target = (initialise(network, MEMBERS, seed=s) for s in (seed, seed + 1))
    return network, predictor, x, forward(network, target, x).output


def kernels(network, predictor, x):
    size = len(x) * network.outputs
    return empirical_ntk(network, predictor, x).reshape(predictor.members, size, size)


def by_torch(network, predictor, x, y, *, steps, step, momentum):
    """torch.optim.SGD on half the sum of squares: heavy ball, since the step is constant."""
    layers = len(predictor.weights)
    leaves = [tensor.clone().requires_grad_() for tensor in predictor.tensors]
    optimizer = torch.optim.SGD(leaves, lr=step, momentum=momentum)
    for _ in range(steps):
        optimizer.zero_grad()
        output = forward(network, Parameters(tuple(leaves[:layers]), tuple(leaves[layers:])), x).output
        (0.5 * (output - y).square().sum()).backward()
        optimizer.step()
    return [leaf.detach() for leaf in leaves]


@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"activation": "relu", "parametrisation": "standard"},
        {"inputs": 9},  # more dimensions than points: the first layer lives in the span of the points
        {"bias_scale": 0.0},
        {"weight_scale": [1.5, 0.7], "bias_scale": [0.3, 0.0]},
        {"outputs": 3},
        {"depth": 2, "outputs": 2, "inputs": 9},
        {"depth": 3, "activation": "relu", "weight_scale": [1.5, 0.7, 1.1, 0.9], "bias_scale": [0.3, 0.2, 0.1, 0.4]},
    ],
)
def test_every_step_is_that_of_automatic_differentiation(changes, momentum, monkeypatch):
    network, predictor, x, y = problem(**changes)
    step, steps = 0.1 / float(torch.linalg.eigvalsh(kernels(network, predictor, x)).max()), 7

    def stop(growth, ceiling, count):  # look at the parameters after 7 steps, where no member has arrived
        if count == steps:
            raise StopIteration

    batch = {}
    for shape in ("OneHiddenLayer", "AnyDepth"):
        original = getattr(population, shape)
        monkeypatch.setattr(population, shape, lambda *a, o=original: batch.setdefault("it", o(*a)))
    monkeypatch.setattr(population, "_require_descent", stop)
    with pytest.raises(StopIteration):
        train_population(
            network,
            predictor,
            x,
            y,
            step_size_sum_loss=step,
            relative_residual=1e-9,
            max_steps=steps,
            momentum=momentum,
        )
    found = batch["it"].parameters(torch.arange(MEMBERS)).tensors
    for mine, reference in zip(
        found, by_torch(network, predictor, x, y, steps=steps, step=step, momentum=momentum), strict=True
    ):
        # seven steps of a few hundred roundings each, none of them amplified: the step is a tenth of 1/lmax
        torch.testing.assert_close(mine, reference, rtol=0, atol=1e4 * EPS * float(reference.abs().max()))
    moved = [float((a - b).abs().max()) for a, b in zip(found, predictor.tensors, strict=True)]
    assert max(moved) > 1e-4


def test_the_first_layer_keeps_what_the_points_do_not_see():
    network, predictor, x, _ = problem(inputs=9)
    layer = first_layer(network, x)
    assert layer.inputs.shape == (POINTS, POINTS)
    assert layer.basis is not None
    rows = layer.rows(predictor)
    trace = forward(network, predictor, x)
    torch.testing.assert_close(layer.inputs @ rows, trace.preactivations[0], rtol=0, atol=1e-14)
    weights, bias = layer.moved(predictor, torch.zeros_like(rows))
    assert torch.equal(weights, predictor.weights[0])
    assert torch.equal(bias, predictor.biases[0])
    assert first_layer(network, torch.cat([x] * 3)).basis is None


@pytest.mark.parametrize("changes", [{}, {"depth": 2, "outputs": 2}])
@pytest.mark.parametrize("heavy", [False, True])
def test_members_stop_by_themselves_however_seldom_one_looks(changes, heavy, monkeypatch):
    """An accelerator is asked every 16 steps only; a member that has arrived in between has not moved since."""
    network, predictor, x, y = problem(width=32, **changes)
    rule = step_rule(kernels(network, predictor, x), relative_residual=1e-3, damping=0.5, slack=20, momentum=heavy)
    options = {
        "step_size_sum_loss": rule.step_size_sum_loss, "momentum": rule.momentum, "relative_residual": 1e-3, "max_steps": rule.max_steps,
    }  # fmt: skip
    runs = [train_population(network, predictor, x, y, **options), train_loop(network, predictor, x, y, **options)]
    runs.append(train(network, predictor, x, y, ntk_train=kernels(network, predictor, x), **options))
    monkeypatch.setattr(population, "steps_between_looks", lambda device: 16)
    runs.append(train_population(network, predictor, x, y, **options))
    assert len(set(runs[0].steps.tolist())) > 1
    for run in runs:
        assert torch.equal(run.steps, runs[0].steps)
        output = forward(network, run.parameters, x).output
        start = forward(network, predictor, x).output
        relative = (output - y).flatten(1).norm(dim=1) / (start - y).flatten(1).norm(dim=1)
        torch.testing.assert_close(relative, run.residual, rtol=1e-6, atol=0)
        assert bool((relative <= 1e-3 * (1 + 1e-6)).all())
        for mine, first in zip(run.parameters.tensors, runs[0].parameters.tensors, strict=True):
            torch.testing.assert_close(mine, first, rtol=0, atol=1e5 * EPS * float(first.abs().max()))


def test_the_rule_puts_both_ends_on_the_circle_of_the_best_rate():
    smallest, largest = torch.tensor([0.5, 1.0]), torch.tensor([50.0, 3.0])
    step, momentum = heavy_ball(smallest=smallest.double(), largest=largest.double())
    for low, high, eta, beta in zip(smallest.tolist(), largest.tolist(), step.tolist(), momentum.tolist(), strict=True):
        assert math.sqrt(beta) == pytest.approx((math.sqrt(high / low) - 1) / (math.sqrt(high / low) + 1), rel=1e-6)
        assert eta < 2 * (1 + beta) / high
        for value in np.linspace(low, high, 50):
            roots = np.abs(np.roots([1, -(1 + beta - eta * value), beta]))
            # a double root moves by the square root of a rounding
            assert roots.max() == pytest.approx(math.sqrt(beta), abs=1e-6)
        for changed in ((1.02 * eta, beta), (0.98 * eta, beta), (eta, 0.98 * beta)):  # and no neighbour is faster
            worst = max(
                np.abs(np.roots([1, -(1 + changed[1] - changed[0] * value), changed[1]])).max() for value in (low, high)
            )
            assert worst > math.sqrt(beta)


@pytest.mark.parametrize("condition", [1.5, 30.0, 1e4])
@pytest.mark.parametrize("tolerance", [0.3, 1e-3, 1e-8])
def test_the_number_of_steps_is_enough_and_none_is_too_many(condition, tolerance):
    eigenvalues = np.geomspace(1.0, condition, 200)
    step, momentum = heavy_ball(smallest=torch.tensor(1.0).double(), largest=torch.tensor(condition).double())
    count = heavy_ball_steps(float(momentum), relative_residual=tolerance)

    def residual(steps):
        ball = HeavyBall(steps=steps, step_size_sum_loss=float(step), momentum=float(momentum))
        return float(np.abs(1 - eigenvalues * ball.filter(eigenvalues)).max())

    # the mode of the largest eigenvalue attains the bound
    assert residual(count) <= tolerance * (1 + 1e-6)
    assert count == 1 or residual(count - 1) > tolerance * (1 - 1e-6)
    rule = step_rule(
        torch.diag(torch.from_numpy(eigenvalues))[None], relative_residual=tolerance, slack=1.0, momentum=True
    )
    assert rule.max_steps == count
    assert heavy_ball_steps(0.0, relative_residual=tolerance) == 1
    plain = step_rule(torch.diag(torch.from_numpy(eigenvalues))[None], relative_residual=tolerance, slack=1.0)
    assert tolerance > 0.1 or count < plain.max_steps


def test_steps_beyond_the_limit_are_refused_before_the_first_one():
    network, predictor, x, y = problem(width=64)
    kernel = kernels(network, predictor, x)
    largest = torch.linalg.eigvalsh(kernel)[:, -1]
    options = {"relative_residual": 1e-2, "max_steps": 5000, "ntk_train": kernel}
    for momentum in (0.0, 0.5):
        limit = largest_step_size_sum_loss(kernel[0].numpy(), momentum=momentum)
        inside, outside = (
            2 * (1 + momentum) / largest * torch.cat([torch.ones(1) * factor, torch.full((MEMBERS - 1,), 0.5)])
            for factor in (0.999, 1.001)
        )
        require_stable(kernel, step_size_sum_loss=inside, momentum=torch.full_like(largest, momentum))
        with pytest.raises(UnstableStep, match="stability limit") as caught:
            train_population(network, predictor, x, y, step_size_sum_loss=outside, momentum=momentum, **options)
        assert caught.value.limit == pytest.approx(limit, rel=1e-12)
        # half the limit converges; a step that is stable with momentum 1/2 only is refused without
        train(network, predictor, x, y, step_size_sum_loss=(1 + momentum) / largest, momentum=momentum, **options)
    with pytest.raises(UnstableStep):
        train(network, predictor, x, y, step_size_sum_loss=2.5 / largest, momentum=0.0, **options)
    train(network, predictor, x, y, step_size_sum_loss=2.5 / largest, momentum=0.5, **options)
    at_rest = torch.zeros(MEMBERS).double()
    for bad in (kernel * math.nan, kernel[0], kernel[:2], kernel[:0]):
        with pytest.raises(InvalidInput):
            require_stable(bad, step_size_sum_loss=1 / largest, momentum=at_rest)
    with pytest.raises(UnstableStep):
        require_stable(kernel, step_size_sum_loss=largest * math.nan, momentum=at_rest)


@pytest.mark.parametrize("momentum", [1.0, -0.1, math.nan, math.inf])
def test_momentum_outside_its_range_is_refused(momentum):
    network, predictor, x, y = problem()
    options = {"step_size_sum_loss": 0.01, "relative_residual": 0.5, "max_steps": 10}
    for run in (train_population, train_loop, train):
        with pytest.raises(InvalidInput, match="momentum"):
            run(network, predictor, x, y, momentum=momentum, **options)


def test_momentum_pays_on_nearly_equal_inputs():
    """Wide networks on pairs of near inputs: the condition number is in the hundreds, and heavy ball needs its square root."""
    network, _, x, _ = problem(width=1024)
    x = torch.cat([x, x + 0.12])
    predictor = initialise(network, 4, seed=7)
    kernel = kernels(network, predictor, x)
    ends = torch.linalg.eigvalsh(kernel)[:, [0, -1]]
    condition = float((ends[:, 1] / ends[:, 0]).max())
    assert 100 < condition < 5000
    y = forward(network, initialise(network, 4, seed=8), x).output
    found = {}
    for heavy in (False, True):
        rule = step_rule(kernel, relative_residual=1e-3, momentum=heavy, damping=0.8, slack=20)
        found[heavy] = train(
            network, predictor, x, y, step_size_sum_loss=rule.step_size_sum_loss, momentum=rule.momentum,
            relative_residual=1e-3, max_steps=rule.max_steps, ntk_train=kernel,
        )  # fmt: skip
    # RND labels have little in the slow modes, so less than the worst case sqrt(condition)/2 is saved
    assert int(found[False].steps.max()) > 2 * int(found[True].steps.max())


def test_a_residual_that_is_no_number_is_no_success():
    network, predictor, x, y = problem(activation="relu")
    for step in (1e200, 1e308):
        with pytest.raises(NumericalFailure, match="diverged"):
            train_population(network, predictor, x, y, step_size_sum_loss=step, relative_residual=0.5, max_steps=40)


def test_shapes_and_dtypes_that_do_not_fit_are_refused():
    network, predictor, x, y = problem()
    options = {"step_size_sum_loss": 0.01, "relative_residual": 0.5, "max_steps": 10}
    for bad in ((x[:, :2], y), (x[None], y), (x.float(), y), (x, y.float()), (x[:0], y[:, :0])):
        with pytest.raises(InvalidInput):
            train_population(network, predictor, *bad, **options)
    with pytest.raises(InvalidInput):
        train_loop(network, predictor, x, y, block=0, **options)
    for name in ("step_size_sum_loss", "momentum"):
        for run in (train_population, train_loop, train):
            with pytest.raises(InvalidInput, match=name):
                run(network, predictor, x, y, **(options | {name: torch.full((MEMBERS - 1,), 0.1).double()}))


def test_the_choice_is_the_block_predicted_fastest():
    small, *_ = problem(width=16)
    times = {block: predicted_seconds(small, 1024, 5, block=block) for block in (1, 32, 1024)}
    assert times[1] > 20 * times[1024]
    assert choose(small, 1024, 5).block > 100
    wide, *_ = problem(width=1024)
    assert bytes_per_member(wide, 5) * 1024 > CACHE_BYTES
    found = choose(wide, 1024, 5)
    assert found.strategy == "blocks"
    for block in (1, 1024):
        assert found.seconds_per_step <= predicted_seconds(wide, 1024, 5, block=block) * 1.0001
    # blocks that do not divide the population: the last one is smaller
    assert predicted_seconds(wide, 10, 5, block=4) == pytest.approx(
        2 * predicted_seconds(wide, 4, 5, block=4) + predicted_seconds(wide, 2, 5, block=2), rel=1e-12
    )
    assert bytes_per_member(wide, 5, momentum=True) > bytes_per_member(wide, 5)
    assert bytes_per_member(wide, 5, 4) * 2 == bytes_per_member(wide, 5)
    for block in (0, 1025):
        with pytest.raises(InvalidInput):
            predicted_seconds(wide, 1024, 5, block=block)
