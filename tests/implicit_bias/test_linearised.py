"""The law of a linearised network: kernels, real networks, one real step of their descent, and the excess over a posterior."""

import numpy as np
import pytest
import torch

from nonvacuous.errors import InvalidInput, NumericalFailure
from nonvacuous.numerics.implicit_bias.linearised import excess_over_posterior, linearised_law
from nonvacuous.numerics.training.variational_width import moments, train_wide_laws, wide_laws
from nonvacuous.numerics.wide_networks.ensemble import ensemble_covariance
from nonvacuous.numerics.wide_networks.gram import gram_blocks
from nonvacuous.proofs.implicit_bias.predictive.wide_networks import NtkSetting, predict
from nonvacuous.proofs.implicit_bias.predictive.wide_networks_evidence import WideSetting, median_error

TESTS, TRAIN = torch.tensor([[0.3, -1.0], [1.0, 0.4]]).double(), torch.tensor([[1.0, 0.5], [-0.5, 1.0], [0.2, -0.7]]).double()  # fmt: skip


def problem(seed=0, n=3, p=9, s=4, rank=2):
    rng = np.random.default_rng(seed)
    return {
        "jacobian": rng.normal(size=(n, p)), "outputs": rng.normal(size=n), "targets": rng.normal(size=n),
        "test_jacobian": rng.normal(size=(s, p)), "test_outputs": rng.normal(size=s), "factor": rng.normal(size=(p, rank)),
    }  # fmt: skip


def kernels(q, k):
    points = np.concatenate([q["test_jacobian"], q["jacobian"]])
    m, s = points @ k @ points.T, len(q["test_jacobian"])
    return m[:s, :s], m[:s, s:], m[s:, s:]


@pytest.mark.parametrize("rank", [1, 2, 5, 9])
def test_the_law_is_that_of_an_ensemble_with_the_factors_kernel_for_the_nngp(rank):
    q = problem(rank, rank=rank)
    law = linearised_law(q.pop("jacobian"), q.pop("outputs"), q.pop("targets"), **q)
    q = problem(rank, rank=rank)
    k, theta = (gram_blocks(name, *kernels(q, m)) for name, m in (("K", q["factor"] @ q["factor"].T), ("Th", np.eye(9))))  # fmt: skip
    gain = np.linalg.solve(theta.train, theta.cross.T).T
    # condition of Th below 100 and twelve weights: far below 1e-11
    np.testing.assert_allclose(law.mean, q["test_outputs"] + gain @ (q["targets"] - q["outputs"]), rtol=1e-11, atol=1e-11)  # fmt: skip
    np.testing.assert_allclose(law.covariance, ensemble_covariance(k, theta), rtol=1e-10, atol=1e-10)
    excess = excess_over_posterior(q["jacobian"], test_jacobian=q["test_jacobian"], factor=q["factor"])
    posterior = k.test - k.cross @ np.linalg.pinv(k.train, rcond=1e-10) @ k.cross.T
    np.testing.assert_allclose(law.covariance - excess, posterior, atol=1e-9)
    assert np.linalg.eigvalsh(excess)[0] > -1e-12
    assert np.trace(excess) > 0.01


def test_no_excess_where_the_kernel_is_a_multiple_of_the_tangent_kernel_or_without_data():
    q = problem()
    isotropic = excess_over_posterior(q["jacobian"], test_jacobian=q["test_jacobian"], factor=3 * np.eye(9))
    assert np.abs(isotropic).max() < 1e-25
    none = excess_over_posterior(np.zeros((0, 9)), test_jacobian=q["test_jacobian"], factor=q["factor"])
    assert not none.any()
    law = linearised_law(np.zeros((0, 9)), [], [], **{key: q[key] for key in ("test_jacobian", "test_outputs", "factor")})  # fmt: skip
    np.testing.assert_array_equal(law.mean, q["test_outputs"])


def test_at_the_data_the_law_is_the_targets():
    q = problem() | {"test_jacobian": problem()["jacobian"], "test_outputs": problem()["outputs"]}
    found = predict(NtkSetting(**q))
    np.testing.assert_allclose(found.mean, q["targets"], atol=1e-12)
    assert np.abs(found.covariance).max() < 1e-24


def test_typed_errors():
    q = problem()
    for name, wrong in (("outputs", np.zeros(2)), ("targets", np.full(3, np.nan)), ("test_outputs", np.zeros(3)), ("factor", np.zeros((8, 2))), ("jacobian", np.zeros(3)), ("test_jacobian", np.zeros((4, 8)))):  # fmt: skip
        with pytest.raises(InvalidInput):
            NtkSetting(**q | {name: wrong})
    with pytest.raises(InvalidInput):
        NtkSetting(**q | {"test_jacobian": np.zeros((0, 9)), "test_outputs": np.zeros(0)})
    with pytest.raises(InvalidInput):
        WideSetting(np.zeros((2, 3)), np.zeros((2, 2)), np.zeros(2), 2, 0.1)
    options = {"width": 8, "members": 2, "rank": 2, "seed": 0}
    for wrong in ({"scale": 0.0}, {"scale": np.nan}, {"scale": 1.0, "width": 0}, {"scale": 1.0, "members": 0}):
        with pytest.raises(InvalidInput):
            wide_laws(TESTS, TRAIN, **options | wrong)
    with pytest.raises(InvalidInput):
        wide_laws(TESTS[:, :1], TRAIN, scale=1.0, **options)
    with pytest.raises(InvalidInput, match="float64"):
        wide_laws(TESTS.float(), TRAIN, scale=1.0, **options)
    laws, start = wide_laws(TESTS, TRAIN, scale=0.1, **options)
    with pytest.raises(InvalidInput):
        train_wide_laws(laws, start.outputs, torch.full((2,), 0.1))
    with pytest.raises(NumericalFailure, match="width 8"):
        train_wide_laws(laws, start.outputs[:, 2:] + 1, torch.full((2,), 1e-3).double(), max_steps=3)


def explicit(width, seed):
    """The same networks with their weights written out: (1 + R) tensors of W, b, v each, drawn in the order that the population draws."""
    laws, start = wide_laws(TESTS, TRAIN, width=width, members=2, rank=2, scale=0.3, seed=seed)
    points = torch.cat([TESTS, TRAIN])
    # weights of minimal norm behind the preactivations: x/sqrt(d) and 1 are three features of five points
    design = torch.cat([points / 2**0.5, torch.ones(5, 1)], 1).double()
    rows = torch.einsum("fp,mcpn->mcnf", torch.linalg.pinv(design), laws.hidden)
    return laws, start, design, [rows.clone(), laws.readout.clone()]


def output(design, rows, readout, z):
    u = torch.cat([torch.ones(1).double(), z])
    hidden = torch.einsum("pf,c,mcnf->mpn", design, u, rows)
    return torch.einsum("mpn,c,mcn->mp", torch.tanh(hidden), u, readout) / rows.shape[2] ** 0.5


def test_a_step_of_the_population_is_a_step_of_descent_on_the_weights():
    laws, start, design, parameters = explicit(6, 3)
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    weights = weights / weights.sum()
    targets = start.outputs[:, 2:] + torch.tensor([0.4, -0.3, 0.2]).double()
    for value in parameters:
        value.requires_grad_()
    outputs = {(i, j): output(design, *parameters, torch.tensor([nodes[i], nodes[j]])) for i in range(5) for j in range(5)}  # fmt: skip
    share = {(i, j): weights[i] * weights[j] for i, j in outputs}
    loss = sum(share[key] * 0.5 * (value[:, 2:] - targets).square().sum() for key, value in outputs.items())
    gradient = torch.autograd.grad(loss, parameters)
    trained, steps = train_wide_laws(
        laws, targets, torch.tensor([0.2, 0.3]).double(), tolerance=0.0, max_steps=1, exactly=True
    )
    assert steps == 1
    rate = torch.tensor([0.2, 0.3]).double()
    with torch.no_grad():
        moved = [value - rate.reshape(2, *[1] * (value.ndim - 1)) * g for value, g in zip(parameters, gradient, strict=True)]  # fmt: skip
        torch.testing.assert_close(trained.readout, moved[1], rtol=1e-13, atol=1e-14)
        torch.testing.assert_close(trained.hidden, torch.einsum("pf,mcnf->mcpn", design, moved[0]), rtol=1e-12, atol=1e-13)  # fmt: skip
        # the rule's mean and variance
        mean, variance = moments(laws)
        expected = sum(share[key] * value for key, value in outputs.items())
        spread = sum(share[key] * (value - expected) ** 2 for key, value in outputs.items())
        torch.testing.assert_close(mean, expected, rtol=1e-13, atol=1e-14)
        torch.testing.assert_close(variance, spread, rtol=1e-12, atol=1e-14)


def test_the_linearisation_is_that_of_automatic_differentiation():
    _, start, design, (rows, readout) = explicit(6, 4)
    for member in range(2):

        def at_mean(w, v, member=member):
            return output(design, w[None, None], v[None, None], torch.zeros(0).double())[0]

        mean = (rows[member, 0], readout[member, 0])
        first, second = torch.func.jacrev(at_mean, argnums=(0, 1))(*mean)
        jacobian = torch.cat([first.flatten(1), second.flatten(1)], 1)
        torch.testing.assert_close(at_mean(*mean), start.outputs[member], rtol=1e-13, atol=1e-14)
        kernel = start.jacobian[member] @ start.jacobian[member].T
        torch.testing.assert_close(kernel, jacobian @ jacobian.T, rtol=1e-12, atol=1e-13)
        columns = torch.cat([rows[member, 1:].flatten(1), readout[member, 1:]], 1).T
        moves = start.jacobian[member] @ start.factor[member]
        torch.testing.assert_close(moves, jacobian @ columns, rtol=1e-12, atol=1e-13)


def test_median_error_is_the_bootstraps():
    values = np.random.default_rng(0).exponential(size=41)
    median, error = median_error(values)
    drawn = np.median(np.random.default_rng(1).choice(values, size=(20_000, 41)), axis=1)
    # standard deviation of 20,000 draws: half a percent, here six of them
    assert median == np.median(values)
    assert abs(error / drawn.std() - 1) < 0.03


@pytest.mark.parametrize("seed", range(8))
def test_training_stops_at_the_first_step_that_fits_mean_and_spread(seed):
    # now the mean, now the spread is the last to fit
    shift, scale = 0.1, 1e-5
    laws, start = wide_laws(TESTS, TRAIN, width=64, members=1, rank=2, scale=scale, seed=seed)
    # along the slowest direction, which the spread has only a part of, or along the fastest
    directions = torch.linalg.eigh((start.jacobian @ start.jacobian.mT)[:, 2:, 2:])[1]
    targets = start.outputs[:, 2:] + shift * directions[:, :, -(seed % 2)]
    step = 0.7 / torch.linalg.eigvalsh(start.jacobian @ start.jacobian.mT)[:, -1]
    trained, steps = train_wide_laws(laws, targets, step, tolerance=0.01)
    earlier, _ = train_wide_laws(laws, targets, step, tolerance=0.01, max_steps=steps - 1, exactly=True)
    first, largest = moments(laws)[0][:, 2:] - targets, moments(laws)[1].amax(1).sqrt()

    def fits(found):
        mean, variance = moments(found)
        near = (mean[:, 2:] - targets).abs().amax(1) <= 0.01 * first.abs().amax(1)
        return bool((near & (variance[:, 2:].amax(1).sqrt() <= 0.01 * largest)).all())

    assert steps > 3
    assert fits(trained)
    assert not fits(earlier)
