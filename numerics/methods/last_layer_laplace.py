"""Laplace approximation of the last layer of a trained classifier, with its full generalised Gauss-Newton (GGN) matrix.

Objective. Hold the trained features phi(x) = (h(x), 1) and let t = (W, b) be the weights and bias of the linear layer that ends the
network, T their trained values, so that the logits are f = W h + b, exactly linear in t. Under the prior t ~ N(0, I / d) the posterior is
taken to be N(T, H^-1) with H = G + d I, G = sum_n L_n (x) phi_n phi_n^T and L_n = diag(p) - p p^T (binary: p (1 - p)). It is the linearised
Laplace posterior (fs.lla_posterior) of a network whose other weights are known. The logits at x are N(f(x), phi^T H^-1 phi), blockwise:
their mean is the network's output. What the other layers do not know is not in it.

Algorithm. One pass for the features, the C (C + 1) / 2 blocks of G, and one eigendecomposition G = U diag(e) U^T, after which every d is
cheap: O(N C^2 D^2 + (C D)^3) time, O((C D)^2) memory, for C classes and D features. The evidence

    ln Z(d) = sum_n ln p(y_n | T) - d |T|^2 / 2 + (P / 2) ln d - (1 / 2) sum_i ln(e_i + d),    P = C D,

has one maximum: d |T|^2 rises from 0, sum_i e_i / (e_i + d) falls to 0, and it lies where they meet. Bisection finds it to the last digits.
Eigenvalues below P eps times the largest are rounding (G is singular: all classes may shift together) and count as 0. Class probabilities
average the softmax over draws of t ("mc"), or are softmax(m_c / sqrt(1 + pi V_cc / 8)) ("probit"), which ignores the logits' covariance.
Features and logits are computed in the model's dtype, everything after them in float64.

Choices and their origin.
  likelihood = "softmax"   one output for each class; "binary": one output, labels 0 and 1
  prior_precision = "marginal_likelihood"   MacKay 1992; no data beyond the training's. "held_out": smallest negative log likelihood of
                      the predictions on data passed as `held_out`; or a number: for a loss averaged over N examples with weight decay c it
                      is N c
  link = "mc"         the probit rule's error is not controlled
  samples = 1000      a standard error of at most 0.016, as in `laplace`

Refused: networks that do not end in a linear layer of their own weights, more than 20000 weights in it (3.2 GB for G). Theorems:
fs.lla_posterior (the definition, with the features' weights held).
Sources: MacKay 1992 for the evidence; Immer, Korzepa and Bauer 2021, arXiv 2008.08400, for the predictive. Written from the equations.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...theory.errors import InvalidInput
from ..variational.layers import Layer
from ..variational.losses import check_targets, loss
from ..variational.prediction import probabilities, probit_probabilities
from ..variational.search import minimum
from ..variational.temperature import negative_log_likelihood
from .data import check_inputs, gather, generator
from .files import read_posterior, write_posterior
from .grammar import Predictive
from .network import BLOCK_ENTRIES, FrozenNetwork, freeze, outputs, require_predictor
from .readout_curvature import curvature_spectrum, find_readout, readout_features
from .wide_fit import at_least

METHOD = "last_layer_laplace"
SEARCH = (
    1e-9,
    1e3,
)  # held-out precisions, times the largest eigenvalue of G: beyond, the variance is that of the prior, or none
GRID = 61
WIDTH = 1e-4  # of ln d at the end of the held-out search, whose objective is flat at its minimum
CHOSEN = ("marginal_likelihood", "held_out")


@dataclass(frozen=True)
class LastLayerLaplaceConfig:
    """See the module's text for each choice. Raises `InvalidInput`."""

    likelihood: Literal["softmax", "binary"] = "softmax"
    prior_precision: float | Literal["marginal_likelihood", "held_out"] = "marginal_likelihood"
    link: Literal["mc", "probit"] = "mc"
    samples: int = 1000

    def __post_init__(self) -> None:
        if self.likelihood not in ("softmax", "binary"):
            raise InvalidInput(
                f"likelihood is {self.likelihood!r}.", 'Choose "softmax" or "binary"; regression is for `laplace`.'
            )
        if self.link not in ("mc", "probit"):
            raise InvalidInput(f"link is {self.link!r}.", "Choose one of mc, probit.")
        if self.prior_precision not in CHOSEN:
            _positive(self.prior_precision)
        at_least(1, "samples", self.samples)


@dataclass(frozen=True, eq=False)
class LastLayerLaplacePosterior:
    """G = vectors diag(values) vectors^T over the entries (class, feature) of the last layer, the bias its last feature; the prior precision
    in use; ln p(labels | T) of the training data."""

    config: LastLayerLaplaceConfig
    network: FrozenNetwork
    layer: Layer
    seed: int
    values: Float[Tensor, " size"]
    vectors: Float[Tensor, "size size"]
    prior_precision: float
    log_likelihood: float


def fit(
    model: nn.Module,
    data: Any,
    config: LastLayerLaplaceConfig,
    *,
    seed: int,
    device: str | torch.device,
    held_out: Any = None,
) -> LastLayerLaplacePosterior:
    """Posterior around the last layer of a trained `model`, which is copied and left as it is.

    data: (inputs (N, ...), labels (N,)) that it was trained on, or an iterable of such batches; held_out: the same of others, for
    prior_precision="held_out" alone. Deterministic; `seed` feeds the draws that `predict` makes. Raises `InvalidInput`,
    `AssumptionViolated`, `NumericalFailure`."""
    if type(config) is not LastLayerLaplaceConfig:
        raise InvalidInput(f"The configuration is a {type(config).__name__}.", "Pass a LastLayerLaplaceConfig.")
    if (config.prior_precision == "held_out") != (held_out is not None):
        raise InvalidInput(
            "prior_precision='held_out' and held-out data belong together.", "Pass both or neither: held_out=(x, y)."
        )
    generator(seed, "predict", torch.device("cpu"))
    network = freeze(model, device)
    x, y = _checked(network, config, data)
    tuning = None if held_out is None else _checked(network, config, held_out)
    require_predictor(network, x)
    layer = find_readout(network, x)
    features, logits = readout_features(network, layer, x)
    values, vectors = curvature_spectrum(config.likelihood, features, logits)
    log_likelihood = -float(loss(config.likelihood, logits, y).sum())
    found = LastLayerLaplacePosterior(config, network, layer, seed, values, vectors, 1.0, log_likelihood)
    if tuning is not None:
        return with_prior_precision(found, _held_out_precision(found, *tuning))
    if isinstance(config.prior_precision, str):
        return with_prior_precision(found, _evidence_precision(found))
    return with_prior_precision(found, float(config.prior_precision))


def with_prior_precision(posterior: LastLayerLaplacePosterior, prior_precision: float) -> LastLayerLaplacePosterior:
    """The same fit under another prior, at no cost. Raises `InvalidInput`."""
    _positive(prior_precision)
    return replace(posterior, prior_precision=float(prior_precision))


def log_marginal_likelihood(posterior: LastLayerLaplacePosterior) -> float:
    """ln Z of the training labels at the posterior's prior precision, in nats."""
    d, values = posterior.prior_precision, posterior.values
    fit_term = posterior.log_likelihood - d * _squared_norm(posterior) / 2
    return fit_term - float(torch.log1p(values / d).sum()) / 2


def predict(posterior: LastLayerLaplacePosterior, x: Tensor) -> Predictive:
    """The network's logits, their covariance, draws (for "mc") and class probabilities (binary: of label 1). Raises `InvalidInput`."""
    config = posterior.config
    features, mean = _inputs(posterior, x)
    variance = torch.cat([half @ half.mT for half in _halves(posterior, features)])
    if config.link == "probit":
        each = variance.diagonal(dim1=1, dim2=2)
        return Predictive(mean, variance, probs=probit_probabilities(config.likelihood, mean[None], each[None]))
    stream = generator(posterior.seed, "predict", posterior.network.device)
    draws = mean + _moves(posterior, features, config.samples, stream)
    return Predictive(mean, variance, samples=draws, probs=probabilities(config.likelihood, draws))


def sample(
    posterior: LastLayerLaplacePosterior, x: Tensor, count: int, seed: int
) -> Float[Tensor, "count inputs outputs"]:
    """Logits of `count` draws of the last layer. A draw is one function: its seed gives it at any other inputs. Raises `InvalidInput`."""
    wanted = at_least(1, "count", count)
    stream = generator(seed, "sample", posterior.network.device)
    features, mean = _inputs(posterior, x)
    return mean + _moves(posterior, features, wanted, stream)


def save(posterior: LastLayerLaplacePosterior, path: str | Path) -> None:
    """Write everything but the architecture to one safetensors file. Raises `StorageError`."""
    facts = {
        "method": METHOD,
        "config": json.dumps(asdict(posterior.config)),
        "seed": str(posterior.seed),
        "layer": json.dumps(asdict(posterior.layer)),
        "prior_precision": repr(posterior.prior_precision),
        "log_likelihood": repr(posterior.log_likelihood),
    }
    write_posterior(path, posterior.network, {"values": posterior.values, "vectors": posterior.vectors}, facts)


def load(path: str | Path, model: nn.Module, *, device: str | torch.device = "cpu") -> LastLayerLaplacePosterior:
    """Read what `save` wrote. `model` supplies the architecture only. Raises `InvalidInput`, `StorageError`."""
    network, factors, facts = read_posterior(path, model, METHOD, device)
    try:
        config = LastLayerLaplaceConfig(**json.loads(facts["config"]))
        entry = json.loads(facts["layer"])
        layer = Layer(**{**entry, "shape": tuple(entry["shape"])})
        numbers = (float(facts["prior_precision"]), float(facts["log_likelihood"]))
        values, vectors, seed = factors["values"], factors["vectors"], int(facts["seed"])
        fits = tuple(values.shape) == (layer.size,) and tuple(vectors.shape) == (layer.size, layer.size)
        fits &= all(name in network.random for name in layer.tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{path} holds no complete posterior ({error}).", "Save it again.") from error
    if not fits or not all(bool(torch.isfinite(part).all()) for part in factors.values()) or not numbers[0] > 0:
        raise InvalidInput(f"{path}: the curvature does not fit the model, or is not finite.", "Fit it again.")
    return LastLayerLaplacePosterior(config, network, layer, seed, values, vectors, *numbers)


def _checked(network: FrozenNetwork, config: LastLayerLaplaceConfig, data: Any) -> tuple[Tensor, Tensor]:
    x, y = gather(data)
    x, y = x.to(network.device), y.to(network.device)
    check_inputs(x, network.dtype, network.device)
    width = outputs(network, x[:1]).shape[1]
    check_targets(config.likelihood, y, torch.empty(len(x), width, device="meta"))
    return x, y


def _evidence_precision(posterior: LastLayerLaplacePosterior) -> float:
    """The zero of d |T|^2 - sum e / (e + d), which rises in d: bisection over ln d to the end of float64."""
    square, values = _squared_norm(posterior), posterior.values[posterior.values > 0]
    if not square > 0 or not len(values):
        raise InvalidInput(
            "The evidence has no maximum: the last layer's weights are all 0, or its curvature is.",
            "Give a prior_precision.",
        )

    def slope(t: float) -> float:
        return math.exp(t) * square - float((values / (values + math.exp(t))).sum())

    high = math.log(len(values) / square)  # the sum is at most the number of its terms
    low = high
    while slope(low) > 0:
        low -= 1.0
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if slope(middle) <= 0 else (low, middle)
    return math.exp(high)


def _held_out_precision(posterior: LastLayerLaplacePosterior, x: Tensor, y: Tensor) -> float:
    """The precision of smallest negative log likelihood: a grid, then golden-section search between the neighbours of its best point."""
    config = posterior.config
    features, mean = _inputs(posterior, x)

    def value(t: float) -> float:
        moved = with_prior_precision(posterior, math.exp(t))
        if config.link == "probit":
            each = torch.cat([half.square().sum(2) for half in _halves(moved, features)])
            logits = (mean / torch.sqrt(1 + math.pi / 8 * each))[None]
        else:  # the draws of every precision come from the same numbers
            stream = generator(posterior.seed, "predict", posterior.network.device)
            logits = mean + _moves(moved, features, config.samples, stream)
        return negative_log_likelihood(config.likelihood, logits, y)

    largest = float(posterior.values.max())
    if not largest > 0:
        raise InvalidInput("The curvature is 0: the labels say nothing about the last layer.", "Check the network.")
    low, high = (math.log(largest * end) for end in SEARCH)
    best = minimum(value, low, high, grid=GRID, width=WIDTH)
    if best is None:
        raise InvalidInput(
            f"No prior precision between {math.exp(low):.1e} and {math.exp(high):.1e} is best on these {len(y)} labels.",
            "They are predicted best without any variance, or with all of the prior's: use more held-out data, or the marginal likelihood.",
        )
    return math.exp(best)


def _inputs(posterior: LastLayerLaplacePosterior, x: Tensor) -> tuple[Tensor, Tensor]:
    check_inputs(x, posterior.network.dtype, posterior.network.device)
    return readout_features(posterior.network, posterior.layer, x)


def _halves(posterior: LastLayerLaplacePosterior, features: Tensor) -> Iterator[Float[Tensor, "inputs outputs size"]]:
    """J H^-1/2 block by block: its rows' products are the covariances of the logits."""
    size = len(posterior.values)
    scaled = posterior.vectors * (posterior.values + posterior.prior_precision).rsqrt()
    by_class = scaled.reshape(-1, features.shape[1], size)
    for block in features.split(max(1, BLOCK_ENTRIES // (len(by_class) * size))):
        yield torch.einsum("nd,kdp->nkp", block, by_class)


def _moves(
    posterior: LastLayerLaplacePosterior, features: Tensor, count: int, stream: torch.Generator
) -> Float[Tensor, "count inputs outputs"]:
    """What `count` draws of the weights add to the logits."""
    noise = torch.randn(len(posterior.values), count, generator=stream, dtype=features.dtype, device=features.device)
    spread = (posterior.values + posterior.prior_precision).rsqrt()
    moves = posterior.vectors @ (spread[:, None] * noise)
    return torch.einsum("nd,kds->snk", features, moves.reshape(-1, features.shape[1], count)).contiguous()


def _squared_norm(posterior: LastLayerLaplacePosterior) -> float:
    """|T|^2."""
    return sum(float(posterior.network.random[name].double().square().sum()) for name in posterior.layer.tensors)


def _positive(value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise InvalidInput(
            f"prior_precision is {value!r}.", f"It must be a finite number larger than 0, or one of {CHOSEN}."
        )
