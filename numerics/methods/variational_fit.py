"""What the variational methods share: settings, checks before the first step, predictions and files."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...theory.errors import AssumptionViolated, InvalidInput
from ..variational.covariance import Covariance
from ..variational.diagonal import Diagonal
from ..variational.family import Family, Law, assemble, family
from ..variational.kronecker import Kronecker
from ..variational.last_layer import require_readout
from ..variational.layers import Layer, Loose
from ..variational.losses import check_targets
from ..variational.low_rank import LowRank, check_rank
from ..variational.objective import ExpectedLoss
from ..variational.parametrisations import PARAMETRISATIONS
from ..variational.prediction import draw_moments, draw_outputs, moments, probabilities, probit_probabilities
from ..variational.temperature import fit_temperature
from ..variational.training import Descent, Epoch
from .data import all_finite, check_inputs, gather, generator, place
from .files import read_facts, read_posterior, write_posterior
from .grammar import Predictive
from .network import FrozenNetwork, outputs
from .wide_fit import at_least

COVARIANCES = ("low_rank", "full", "kronecker", "diagonal")
Posterior = TypeVar("Posterior", bound="VariationalPosterior")


@dataclass(frozen=True)
class VariationalConfig:
    """Likelihood, descent, family and prediction, which every method of this family has. Raises `InvalidInput`, `AssumptionViolated`."""

    likelihood: Literal["gaussian", "binary", "softmax"]
    epochs: int = 200
    batch_size: int = 128
    learning_rate: float = 0.01
    momentum: float = 0.9
    schedule: Literal["cosine", "constant"] = "cosine"
    covariance: Literal["low_rank", "full", "kronecker", "diagonal"] = "low_rank"
    rank: int | None = 10
    layers: str | tuple[str, ...] = "auto"
    parametrisation: Literal["sp", "ntp", "mup"] = "mup"
    covariance_scale: float = 1.0
    covariance_rate: float | None = None
    start: Literal["draw", "module"] = "draw"
    samples: int = 1
    antithetic: bool = False
    expectation: Literal["sampled", "exact", "bound", "quadrature"] = "sampled"
    test_samples: int = 32
    link: Literal["mc", "probit"] = "mc"
    noise_variance: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.layers, list):  # a file gives back lists
            object.__setattr__(self, "layers", tuple(self.layers))
        self.objective(), self.descent()
        for name, allowed in {
            "covariance": COVARIANCES,
            "parametrisation": PARAMETRISATIONS,
            "start": ("draw", "module"),
            "link": ("mc", "probit"),
        }.items():
            if getattr(self, name) not in allowed:
                raise InvalidInput(f"{name} is {getattr(self, name)!r}.", f"Choose one of {', '.join(allowed)}.")
        check_rank("rank", self.rank)
        if self.covariance == "low_rank" and self.rank is None:
            raise InvalidInput(
                "rank is None.", 'A low-rank covariance needs one; covariance="full" takes every column.'
            )
        for name in ("covariance_scale", "covariance_rate", "noise_variance"):
            value = getattr(self, name)
            if name == "covariance_rate" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise InvalidInput(f"{name} is {value!r}.", "It must be a finite number of at least 0.")
        if self.covariance_scale == 0:
            raise AssumptionViolated(
                "covariance_scale is 0: the factor would stay zero, and the law a point.",
                "ib.regression_w2 keeps the prior's variance where there are no data; for a point estimate train the plain network.",
            )
        at_least(2, "test_samples", self.test_samples)

    def objective(self) -> ExpectedLoss:
        """What is minimised, apart from what a method adds to it."""
        return ExpectedLoss(self.likelihood, self.expectation, self.samples, self.antithetic)

    def descent(self) -> Descent:
        """How."""
        return Descent(self.epochs, self.batch_size, self.learning_rate, self.momentum, self.schedule)

    def shape(self) -> Covariance:
        """The covariance of a layer."""
        if self.covariance == "diagonal":
            return Diagonal()
        if self.covariance == "kronecker":
            return Kronecker(self.rank, self.rank)
        return LowRank(self.rank if self.covariance == "low_rank" else None)

    def family(self) -> dict[str, Any]:
        """What `family` and `assemble` take. Means of a diagonal covariance are all uncertain unless layers are named."""
        layers = self.layers
        if layers == "auto":
            layers = "all" if self.covariance == "diagonal" else "ends"
        return {"parametrisation": self.parametrisation, "layers": layers, "rate": self.covariance_rate}


@dataclass(frozen=True, eq=False)
class VariationalPosterior:
    """The family with its private copy of the model, the trained law, the temperature of predictions, and every epoch's figures (none in a
    posterior from a file)."""

    config: VariationalConfig
    family: Family
    law: Law
    seed: int
    temperature: float = 1.0
    history: tuple[Epoch, ...] = ()


def prepared(
    model: nn.Module, data: Any, config: VariationalConfig, kind: type, seed: int, device: str | torch.device
) -> tuple[Family, Tensor, Tensor]:
    """The family, inputs and targets on its device, all checked. Raises `InvalidInput`, `AssumptionViolated`."""
    if type(config) is not kind:
        raise InvalidInput(f"The configuration is a {type(config).__name__}.", f"Pass a {kind.__name__}.")
    generator(seed, "predict", torch.device("cpu"))
    x, y = gather(data)
    for name, part in (("inputs", x), ("targets", y)):
        if part.is_floating_point() and not all_finite(part):
            raise InvalidInput(
                f"The {name} contain NaN or infinity.",
                "Descent then has no limit, and ib.regression_w2 nothing to say: remove or impute those examples first.",
            )
    where = place(device)
    x, y = x.to(where), y.to(where)
    dtype = next((p.dtype for p in model.parameters()), x.dtype) if isinstance(model, nn.Module) else x.dtype
    check_inputs(x, dtype, where)
    found = family(model, x, config.shape(), device=device, **config.family())
    check_targets(config.likelihood, y, outputs(found.network, x))
    if config.link == "probit":
        require_readout(found)
    return found, x, y


def predict(posterior: VariationalPosterior, x: Tensor) -> Predictive:
    """Mean and covariance over `test_samples` draws, which are the samples; class probabilities by averaging (binary: of label 1). Raises
    `InvalidInput`."""
    config, found = posterior.config, posterior.family
    draws = predictive_draws(posterior, x)
    mean, variance = moments(draws)
    if config.likelihood == "gaussian":
        return Predictive(mean, variance, samples=draws, noise_variance=float(config.noise_variance))
    if config.link == "mc":
        return Predictive(mean, variance, samples=draws, probs=probabilities(config.likelihood, draws))
    stream = generator(posterior.seed, "predict", found.network.device)
    parts = draw_moments(found, posterior.law, x, config.test_samples, stream)
    probs = probit_probabilities(config.likelihood, *parts, posterior.temperature)
    return Predictive(mean, variance, samples=draws, probs=probs)


def predictive_draws(posterior: VariationalPosterior, x: Tensor) -> Float[Tensor, "draws inputs outputs"]:
    """The draws that a prediction averages. Raises `InvalidInput`."""
    stream = generator(posterior.seed, "predict", posterior.family.network.device)
    return _draws(posterior, x, posterior.config.test_samples, stream)


def sample(posterior: VariationalPosterior, x: Tensor, count: int, seed: int) -> Float[Tensor, "count inputs outputs"]:
    """Outputs of `count` drawn networks. A draw is one function: its seed gives it at any other inputs. Raises `InvalidInput`."""
    wanted = at_least(1, "count", count)
    return _draws(posterior, x, wanted, generator(seed, "sample", posterior.family.network.device))


def calibrate(posterior: Posterior, data: Any) -> Posterior:
    """The posterior with the temperature that suits held-out (inputs, labels) best, fitted to the draws that `predict` makes. Raises
    `InvalidInput`."""
    x, y = gather(data)
    x, y = x.to(posterior.family.network.device), y.to(posterior.family.network.device)
    draws = predictive_draws(replace(posterior, temperature=1.0), x)
    check_targets(posterior.config.likelihood, y, draws[0])
    return replace(posterior, temperature=fit_temperature(posterior.config.likelihood, draws, y))


def save_law(posterior: VariationalPosterior, path: str | Path, method: str) -> None:
    """Everything but the architecture. Raises `StorageError`."""
    found = posterior.family
    facts = {
        "method": method,
        "config": json.dumps(asdict(posterior.config)),
        "seed": str(posterior.seed),
        "temperature": repr(posterior.temperature),
        "layers": json.dumps([asdict(layer) for layer in found.layers]),
        "loose": json.dumps({name: asdict(loose) for name, loose in found.loose.items()}),
    }
    network = FrozenNetwork(found.network.module, posterior.law.means, found.network.fixed)
    write_posterior(path, network, posterior.law.factors, facts)


def load_law(
    path: str | Path, model: nn.Module, method: str, kind: type, device: str | torch.device
) -> tuple[Any, Family, Law, int, float]:
    """Settings, family, law, seed and temperature that `save_law` wrote. Raises `InvalidInput`, `StorageError`."""
    facts = read_facts(path, method)
    network, factors, _ = read_posterior(path, model, method, device)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # what the settings warn of has been said when they were made
            config = kind(**json.loads(facts["config"]))
        seed, temperature = int(facts["seed"]), float(facts["temperature"])
        layers = tuple(Layer(**{**entry, "shape": tuple(entry["shape"])}) for entry in json.loads(facts["layers"]))
        loose = {name: Loose(**entry) for name, entry in json.loads(facts["loose"]).items()}
        found = assemble(network, layers, loose, config.shape(), **config.family())
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{path} holds no complete posterior of this model ({error}).", "Save it again.") from error
    expected = {name: tensor.shape for name, tensor in found.tensors.items()}
    if expected != {name: tuple(value.shape) for name, value in factors.items()}:
        raise InvalidInput(f"{path}: the factors do not fit the model's layers.", "Pass the same architecture.")
    if not all(bool(torch.isfinite(value).all()) for value in (*network.random.values(), *factors.values())):
        raise InvalidInput(f"{path}: a number is not finite.", "Fit it again.")
    return config, found, Law(network.random, {name: factors[name] for name in expected}), seed, temperature


def _draws(posterior: VariationalPosterior, x: Tensor, count: int, stream: torch.Generator) -> Tensor:
    network = posterior.family.network
    check_inputs(x, network.dtype, network.device)
    outputs(network, x[:1])  # refuses shapes that the model cannot take
    draws = draw_outputs(posterior.family, posterior.law, x, count, stream)
    return draws if posterior.temperature == 1 else draws / posterior.temperature
