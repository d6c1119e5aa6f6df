"""Moments of the outputs of networks whose weights are really drawn: the experiment, without any formula for a variance."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import special
from scipy.stats import qmc

from ..result import Run


def sample_networks(s: Any, run: Run, shared_bias: bool = False) -> Mapping[str, Any]:
    """E f and E f^2 over random networks, one row for each independent scramble of a Sobol sequence.

    Hidden weights and biases are drawn; then every combination of mean +- standard deviation of the output layer's
    parameters is evaluated. f^2 is of degree two in each of these, where two such points integrate a Gaussian exactly,
    so this is the average over the whole network's weights, with no formula for a variance in it.
    """
    act = {"relu": lambda z: np.maximum(z, 0.0), "erf": special.erf}[s.activation]
    hidden, inputs = s.hidden_weight.shape
    first, second = [], []
    for scramble in np.random.SeedSequence(run.seed).spawn(run.block["scrambles"]):
        sobol = qmc.Sobol(hidden * (inputs + 1), rng=np.random.default_rng(scramble))
        z = special.ndtri(sobol.random_base2(run.block["log2_points"])).reshape(-1, hidden, inputs + 1)
        weight = s.hidden_weight + np.sqrt(s.hidden_weight_variance) * z[:, :, :-1]
        noise = z[:, :1, -1] if shared_bias else z[:, :, -1]
        bias = s.hidden_bias + np.sqrt(s.hidden_bias_variance) * noise
        values = act(np.einsum("nhi,bi->nbh", weight, s.x) + bias[:, None])
        signs = list(itertools.product((-1.0, 1.0), repeat=hidden + 1))
        moments = np.zeros((2, len(s.x), len(s.output_bias)))
        for *of_weights, of_bias in signs:
            outer = s.output_weight + np.sqrt(s.output_weight_variance) * np.array(of_weights)
            f = values @ outer.T + s.output_bias + np.sqrt(s.output_bias_variance) * of_bias
            moments += np.stack([f.mean(axis=0), np.square(f).mean(axis=0)]) / len(signs)
        first.append(moments[0].ravel())
        second.append(moments[1].ravel())
    return {"first": np.array(first), "second": np.array(second)}


def sample_with_one_bias(s: Any, run: Run) -> Mapping[str, Any]:
    """The same marginals, but all hidden units share one random bias: the posterior does not factorise."""
    return sample_networks(s, run, shared_bias=True)
