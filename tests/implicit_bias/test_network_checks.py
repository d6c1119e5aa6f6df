"""The experiments behind the checks on real networks: what they train is what the theorems' settings say."""

import numpy as np
import pytest
import torch

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.implicit_bias.stability import SampledDescent
from nonvacuous.numerics.methods.data import generator
from nonvacuous.numerics.variational.family import family
from nonvacuous.numerics.variational.losses import loss
from nonvacuous.numerics.variational.low_rank import LowRank
from nonvacuous.numerics.variational.training import Descent, Trained, training
from nonvacuous.proofs.implicit_bias.classification import on_networks as labels
from nonvacuous.proofs.implicit_bias.feature_networks import FeatureNetwork, fit, law, module, random_network
from nonvacuous.proofs.implicit_bias.regression import edge_on_networks, lazy_networks, stability
from nonvacuous.proofs.result import Run


def test_the_design_is_what_the_module_sees():
    network = random_network(3, examples=3, tests=5, far=2.0)
    assert np.linalg.cond(network.design) < 3
    start, end = fit(network, np.array([0.5, -1.0, 2.0]), seed=4, device="cpu", epochs=1, learning_rate=1e-9, rank=2)
    net = module(network)
    for posterior in (start, end):
        mean, factor = law(posterior)
        values = posterior.family.at(posterior.law, torch.tensor([0.3, -1.2], dtype=torch.float64))
        with torch.no_grad():
            outputs = posterior.family.call(values, torch.from_numpy(network.tests))[:, 0].numpy()
        weights = mean + factor @ [0.3, -1.2]
        np.testing.assert_allclose(network.features(network.tests) @ weights, outputs, atol=1e-13)
    with torch.no_grad():
        hidden = net[1](net[0](torch.from_numpy(network.inputs))).numpy()
    np.testing.assert_allclose(network.design, np.column_stack([hidden, np.ones(3)]), atol=1e-15)
    assert [name for name, value in net.named_parameters() if value.requires_grad] == ["2.weight", "2.bias"]


def test_a_network_needs_one_input_size_and_one_bias_for_each_unit():
    good = {"inputs": np.zeros((2, 3)), "hidden": np.zeros((4, 3)), "shift": np.zeros(4), "tests": np.zeros((1, 3))}
    FeatureNetwork(**good)
    for name, wrong in (("inputs", np.zeros((2, 2))), ("tests", np.zeros((1, 4))), ("shift", np.zeros(3)), ("hidden", np.full((4, 3), np.nan)), ("inputs", np.zeros(3))):  # fmt: skip
        with pytest.raises(InvalidInput):
            FeatureNetwork(**good | {name: wrong})


@pytest.mark.parametrize(
    "descent", [SampledDescent(2, momentum=0.3, covariance_rate=0.5), SampledDescent(1, 4, estimator="antithetic")]
)
def test_the_edge_is_scanned_with_the_steps_of_the_shipped_training(descent):
    # the population draws its noise as one block for each step and draw; with one replicate it is that of the shipped training with the same block
    s = edge_on_networks.random_setting(0, descent, 0.7, (1, 5))
    rows = edge_on_networks.train(s, Run(block={"replicates": 1}, seed=5))
    x, y = torch.from_numpy(s.network.inputs), torch.from_numpy(s.targets[:, None])
    found = family(module(s.network), x, LowRank(descent.rank), parametrisation="sp", rate=descent.covariance_rate, device="cpu")  # fmt: skip
    stream = generator(5, "edge of stability", torch.device("cpu"))
    pair = (1, -1) if descent.estimator == "antithetic" else (1,)

    def terms(law, inputs, targets, _):
        for _ in range(descent.samples // len(pair)):
            z = torch.randn(1, found.noise_size, generator=stream, dtype=torch.float64)[0]
            for sign in pair:
                yield loss("gaussian", found.call(found.at(law, sign * z), inputs), targets).sum() / descent.samples

    settings = Descent(5, 2, s.step, descent.momentum, "constant")
    *_, end = training(found, found.start(5), x, y, terms, settings, seed=0)
    assert isinstance(end, Trained)
    left, values, right = np.linalg.svd(s.network.design, full_matrices=False)
    (layer,) = found.layers
    mean = torch.cat([end.law.means[name].reshape(-1) for name in layer.tensors]).numpy()
    factor = found.covariance.matrix(layer, end.law.factors).numpy()
    moments = np.column_stack([(right @ mean - left.T @ s.targets / values) ** 2, ((right @ factor) ** 2).mean(axis=1)])
    np.testing.assert_allclose(rows["moments"][1], moments.ravel(), rtol=1e-11)


def test_the_scan_lies_on_both_sides_of_the_edge():
    for s in stability.EDGE_SCAN.of("quick"):
        rows = edge_on_networks.train(s, Run(block={"replicates": 2}, seed=1))
        rate = float(stability.predict(edge_on_networks.linear(s, rows)).rates.max())
        assert (rate < 1) == (s.fraction < 1)


def test_the_chi_square_of_equal_laws_is_small_and_of_doubled_variances_as_large_as_it_says():
    s, rng = lazy_networks.WIDE, np.random.default_rng(0)
    networks = np.repeat(np.arange(30), 3)
    rows = {"network": networks, "after": rng.normal(size=(90, 200)), "law": rng.normal(size=(90, lazy_networks.DRAWS))}
    found, allowed, twice = lazy_networks.chi_square(s, rows)
    assert found < allowed < twice
    doubled, _, _ = lazy_networks.chi_square(s, rows | {"after": np.sqrt(2) * rows["after"]})
    # thirty scores of mean 5.7 and deviation 1: their mean square errs by about 2 of 33
    assert abs(doubled / twice - 1) < 0.3


def test_every_labelled_example_supports_the_margin_and_training_is_a_prefix_of_longer_training():
    s = labels.random_setting(0, examples=2, times=(3, 9))
    for seed in range(8):
        design = labels.random_setting(seed, examples=3, times=(1,)).design
        assert (np.linalg.solve(design @ design.T, np.ones(3)) > 0).all()
    rows = labels.train(s, Run(block={}, seed=2))
    short = labels.train(labels.LabelledNetwork(s.network, s.labels, s.rank, (3,)), Run(block={}, seed=2))
    at = rows["time"].tolist().index(3.0)
    np.testing.assert_array_equal(rows["mean"][at], short["mean"][-1])
    np.testing.assert_array_equal(rows["factor"][at], short["factor"][-1])
    # directions that no example sees never move
    null = np.eye(31) - np.linalg.pinv(s.design) @ s.design
    moved = (rows["factor"][-1] - rows["prior_factor"][0]).reshape(31, -1)
    assert np.abs(null @ moved).max() < 1e-13 < np.abs(moved).max()


def test_entropy_of_a_coin():
    assert labels.entropy(np.array([0.5]))[0] == np.log(2)
    np.testing.assert_allclose(labels.entropy(np.array([0.0, 1.0])), 0, atol=1e-14)
    np.testing.assert_allclose(labels.sigmoid_mean(np.array([0.0, 1.3]), np.array([2.0, 0.0])), [0.5, 1 / (1 + np.exp(-1.3))], rtol=1e-12)  # fmt: skip
