"""Ensemble of plain networks trained by mini-batch SGD: the deep ensemble of practice, for classes and for regression; one member is the
plain network.

Objective. Member m minimises the mean over the examples of its own loss (half the sum of squares, or the negative log likelihood of its
label) from a start of its own, with no penalty. Members never meet; predictions average their probabilities, or their outputs. In a linear
model the law over members is known: with full batches it is the one in which implicit-bias inference ends (ib.ensemble_equiv), mini-batches
that interpolate have the same limit (ib.ls_sgd), and labels have it under conditions (ib.class_ensemble). For networks that is a guide.
`deep_ensemble` is another method: full-batch descent in the NTK parametrisation, to convergence, as the wide limit has it.

Algorithm. SGD with momentum by the training loop of `ibvi` and `kl_vi`, with their batches, schedule and learning rates of the
parametrisation. Member 0 has the seed of the fit: with the same seed, parametrisation and start it begins at the means where `ibvi`
begins, and meets the same batches in the same order, so that their comparison is paired. Member m has a seed derived from it, and does not
depend on how many members there are. `member(posterior, 0)` gives a module back, for `temperature_scaling` or a Laplace approximation.

    posterior = nv.methods.sgd_ensemble.fit(net, (x, y), nv.methods.sgd_ensemble.SGDEnsembleConfig("softmax", epochs=30), seed=0, device="cpu")
    probs = nv.methods.sgd_ensemble.predict(posterior, x).probs

Choices and their origin.
  likelihood             no default: "gaussian" (half the sum of squares), "binary" (one output, labels 0 and 1) or "softmax"
  members = 5            the size of the experiments of Lakshminarayanan et al. 2017; 1 is the plain network
  epochs = 200, batch_size = 128, momentum = 0.9, learning_rate = 0.01, schedule = "cosine"   as in `ibvi`
  parametrisation = "sp"   the standard one, of plain networks: weights of variance 1/fan_in, one learning rate. `ibvi` has "mup" by
                         default: take the same for a paired comparison; "ntp"
  start = "draw"         weights and biases of layers are drawn by the parametrisation, norms start at the module's; "reset": every module
                         by its own `reset_parameters`, as PyTorch initialises it; "module": at the module's own weights, for one member
  noise_variance = 0.0   what a Gaussian likelihood adds to predict an observation; training does not use it

Held fixed: batch norm's running statistics (call model.eval(); use group or layer norm where they should be learned) and dropout, off.
Refused: several members that would share a part of their start (embeddings and loose parameters with "draw"; modules without
`reset_parameters` with "reset"), data that are not finite. An interrupted training goes on from `checkpoint`, finished members at once,
and more members can be added later.
Theorems: ib.ensemble_equiv and ib.class_ensemble (the law of members), ib.ls_sgd (their training), ib.mup_cov (the scales).
Source: Lakshminarayanan et al. 2017, without adversarial training. Written from the equations.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...theory.errors import InvalidInput
from ..randomness import sub_seed
from ..variational.diagonal import Diagonal
from ..variational.family import Family, Law, family
from ..variational.layers import NORMS
from ..variational.losses import check_targets
from ..variational.objective import ExpectedLoss, SampledTerms
from ..variational.parametrisations import PARAMETRISATIONS
from ..variational.prediction import BATCH, moments, probabilities
from ..variational.temperature import fit_temperature
from ..variational.training import Descent, Epoch, Trained, training
from .data import all_finite, check_inputs, gather, generator, place
from .files import read_posterior, write_posterior
from .grammar import Predictive
from .network import FrozenNetwork, outputs
from .wide_fit import at_least

METHOD = "sgd_ensemble"


@dataclass(frozen=True)
class SGDEnsembleConfig:
    """See the module's text for each choice. Raises `InvalidInput`."""

    likelihood: Literal["gaussian", "binary", "softmax"]
    members: int = 5
    epochs: int = 200
    batch_size: int = 128
    learning_rate: float = 0.01
    momentum: float = 0.9
    schedule: Literal["cosine", "constant"] = "cosine"
    parametrisation: Literal["sp", "ntp", "mup"] = "sp"
    start: Literal["draw", "reset", "module"] = "draw"
    noise_variance: float = 0.0

    def __post_init__(self) -> None:
        self.objective(), self.descent()
        at_least(1, "members", self.members)
        for name, allowed in {"parametrisation": PARAMETRISATIONS, "start": ("draw", "reset", "module")}.items():
            if getattr(self, name) not in allowed:
                raise InvalidInput(f"{name} is {getattr(self, name)!r}.", f"Choose one of {', '.join(allowed)}.")
        value = self.noise_variance
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            raise InvalidInput(f"noise_variance is {value!r}.", "It must be a finite number of at least 0.")
        if self.start == "module" and self.members > 1:
            raise InvalidInput(
                f'start is "module" with {self.members} members, which would all begin at the same weights.',
                'Take "draw" or "reset", or one member.',
            )

    def objective(self) -> ExpectedLoss:
        """What is minimised: without noise its expectation is the loss itself."""
        return ExpectedLoss(self.likelihood)

    def descent(self) -> Descent:
        """How."""
        return Descent(self.epochs, self.batch_size, self.learning_rate, self.momentum, self.schedule)


@dataclass(frozen=True)
class MemberEpoch:
    """Member `member` (from 0) of `members` has done an epoch."""

    member: int
    members: int
    epoch: Epoch


@dataclass(frozen=True, eq=False)
class SGDEnsemblePosterior:
    """`network` holds the module still, with member 0's weights; `members` all members' trained tensors as the module takes them; the
    temperature of predictions; every epoch's figures of each member (none in a posterior from a file)."""

    config: SGDEnsembleConfig
    network: FrozenNetwork
    seed: int
    members: tuple[dict[str, Tensor], ...]
    temperature: float = 1.0
    history: tuple[tuple[Epoch, ...], ...] = ()


def fit(
    model: nn.Module,
    data: Any,
    config: SGDEnsembleConfig,
    *,
    seed: int,
    device: str | torch.device,
    progress: Callable[[MemberEpoch], None] | None = None,
    checkpoint: str | Path | None = None,
) -> SGDEnsemblePosterior:
    """Train the members, one after the other. data: (inputs (N, ...), targets) or an iterable of such batches; targets (N, C) floats, or N
    labels. `model` gives the architecture and is left as it is. checkpoint: folder for the states of interrupted trainings. Raises
    `InvalidInput`, `AssumptionViolated`, `NumericalFailure`, `StorageError`."""
    if type(config) is not SGDEnsembleConfig:
        raise InvalidInput(f"The configuration is a {type(config).__name__}.", "Pass an SGDEnsembleConfig.")
    generator(seed, "predict", torch.device("cpu"))
    x, y = gather(data)
    where = place(device)
    x, y = x.to(where), y.to(where)
    dtype = next((p.dtype for p in model.parameters()), x.dtype) if isinstance(model, nn.Module) else x.dtype
    check_inputs(x, dtype, where)
    if y.is_floating_point() and not all_finite(y):
        raise InvalidInput("The targets contain NaN or infinity.", "Remove or impute those examples first.")
    found = _points(model, x, config, device)
    check_targets(config.likelihood, y, outputs(found.network, x))
    _require_independent(found, config)
    terms = SampledTerms(found, config.objective(), seed=seed)
    members, history = [], []
    for index in range(config.members):
        own = seed if index == 0 else sub_seed(seed, METHOD, "member", index)
        # a member's state is its own: neither their number nor what is predicted with them is part of its training
        run = training(
            found, _start(found, config, own), x, y, terms, config.descent(),
            seed=own, settings=(METHOD, config.likelihood), checkpoint=checkpoint,
        )  # fmt: skip
        for event in run:
            if isinstance(event, Trained):
                with torch.no_grad():
                    members.append(found.at(event.law, None))
                history.append(event.history)
            elif progress is not None:
                progress(MemberEpoch(index, config.members, event))
    network = FrozenNetwork(found.network.module, members[0], found.network.fixed)
    return SGDEnsemblePosterior(config, network, seed, tuple(members), history=tuple(history))


def predict(posterior: SGDEnsemblePosterior, x: Tensor) -> Predictive:
    """Mean and covariance (divisor members - 1; 0 of a single one) over the members, which are the samples; class probabilities by
    averaging (binary: of label 1). Raises `InvalidInput`."""
    found = _outputs(posterior, x)
    if len(found) > 1:
        mean, variance = moments(found)
    else:
        mean, variance = found[0], torch.zeros(*found.shape[1:], found.shape[2], dtype=found.dtype, device=found.device)
    if posterior.config.likelihood == "gaussian":
        return Predictive(mean, variance, samples=found, noise_variance=float(posterior.config.noise_variance))
    return Predictive(mean, variance, samples=found, probs=probabilities(posterior.config.likelihood, found))


def sample(posterior: SGDEnsemblePosterior, x: Tensor, count: int, seed: int) -> Float[Tensor, "count inputs outputs"]:
    """Members in a random order, without repetition. Raises `InvalidInput` where more are asked for than there are."""
    wanted = at_least(1, "count", count)
    order = torch.randperm(len(posterior.members), generator=generator(seed, "sample", torch.device("cpu")))
    if wanted > len(posterior.members):
        raise InvalidInput(f"There are {len(posterior.members)} members, not {wanted}.", "Fit more members.")
    found = _outputs(posterior, x)
    return found[order[:wanted].to(found.device)]


def calibrate(posterior: SGDEnsemblePosterior, data: Any) -> SGDEnsemblePosterior:
    """The posterior with the temperature that suits held-out (inputs, labels) best; it divides every member's outputs. Raises
    `InvalidInput`."""
    x, y = gather(data)
    x, y = x.to(posterior.network.device), y.to(posterior.network.device)
    found = _outputs(replace(posterior, temperature=1.0), x)
    check_targets(posterior.config.likelihood, y, found[0])
    return replace(posterior, temperature=fit_temperature(posterior.config.likelihood, found, y))


def member(posterior: SGDEnsemblePosterior, index: int) -> nn.Module:
    """A module of its own with the weights of one member, in evaluation mode; the temperature is not in it. Raises `InvalidInput`."""
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(posterior.members):
        raise InvalidInput(f"There is no member {index!r}.", f"Members are 0 to {len(posterior.members) - 1}.")
    module = copy.deepcopy(posterior.network.module)
    with torch.no_grad():
        parameters = dict(module.named_parameters())
        for name, value in posterior.members[index].items():
            parameters[name].copy_(value)
    return module


def save(posterior: SGDEnsemblePosterior, path: str | Path) -> None:
    """Write everything but the architecture to one safetensors file. Raises `StorageError`."""
    facts = {
        "method": METHOD,
        "config": json.dumps(asdict(posterior.config)),
        "seed": str(posterior.seed),
        "temperature": repr(posterior.temperature),
    }
    others = enumerate(posterior.members[1:], start=1)
    write_posterior(path, posterior.network, {f"{k}/{name}": v for k, own in others for name, v in own.items()}, facts)


def load(path: str | Path, model: nn.Module, *, device: str | torch.device = "cpu") -> SGDEnsemblePosterior:
    """Read what `save` wrote. `model` supplies the architecture only. Raises `InvalidInput`, `StorageError`."""
    network, tensors, facts = read_posterior(path, model, METHOD, device)
    try:
        config = SGDEnsembleConfig(**json.loads(facts["config"]))
        seed, temperature = int(facts["seed"]), float(facts["temperature"])
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{path} holds no complete posterior ({error}).", "Save it again.") from error
    expected = {f"{k}/{n}": v.shape for k in range(1, config.members) for n, v in network.random.items()}
    if expected != {name: value.shape for name, value in tensors.items()} or not 0 < temperature < math.inf:
        raise InvalidInput(f"{path}: the members do not fit the model.", "Pass the same architecture, or save again.")
    if not all(bool(torch.isfinite(value).all()) for value in (*network.random.values(), *tensors.values())):
        raise InvalidInput(f"{path}: a number is not finite.", "Fit it again.")
    others = ({n: tensors[f"{k}/{n}"] for n in network.random} for k in range(1, config.members))
    return SGDEnsemblePosterior(config, network, seed, (network.random, *others), temperature)


def _points(model: nn.Module, x: Tensor, config: SGDEnsembleConfig, device: str | torch.device) -> Family:
    """The family over the user's module without any factor: laws that are points."""
    whole = family(model, x, Diagonal(), parametrisation=config.parametrisation, layers="all", device=device)
    return replace(whole, variational=(), tensors={})


def _require_independent(found: Family, config: SGDEnsembleConfig) -> None:
    if config.start == "draw" and config.members > 1:
        owners = {name: found.network.module.get_submodule(name.rpartition(".")[0]) for name in found.loose}
        if shared := [name for name, owner in owners.items() if not isinstance(owner, NORMS)]:
            raise InvalidInput(
                f"{shared[0]!r} is no weight of a linear, convolution or attention layer: no law says how to draw it, and members would share its start.",
                'Take start="reset" where its module has reset_parameters, or freeze it with requires_grad_(False).',
            )
    if config.start == "reset":
        for name, part in found.network.module.named_modules():
            own = [key for key, value in part.named_parameters(recurse=False) if value.requires_grad]
            if own and not callable(getattr(part, "reset_parameters", None)):
                raise InvalidInput(
                    f"The module {name or type(part).__name__!r} ({type(part).__name__}) has {own[0]!r} and no reset_parameters().",
                    'Give its class that method, or take start="draw", which needs none for linear, convolution and attention layers.',
                )


def _start(found: Family, config: SGDEnsembleConfig, seed: int) -> Law:
    if config.start != "reset":
        return found.start(seed, means=config.start)
    module = copy.deepcopy(found.network.module).cpu()
    # the modules' own initialisation draws from PyTorch's global stream, which is given back as it was
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(sub_seed(seed, METHOD, "reset"))
        for part in module.modules():
            if any(value.requires_grad for value in part.parameters(recurse=False)):
                part.reset_parameters()  # type: ignore[operator]
    reset = {name: value.detach().to(found.network.device) for name, value in module.named_parameters()}
    return Law({name: reset[name] / found.scalings[name].multiplier for name in found.network.random}, {})


def _outputs(posterior: SGDEnsemblePosterior, x: Tensor) -> Float[Tensor, "members inputs outputs"]:
    network = posterior.network
    check_inputs(x, network.dtype, network.device)
    parts = (
        torch.cat([outputs(FrozenNetwork(network.module, own, network.fixed), part) for part in x.split(BATCH)])
        for own in posterior.members
    )
    found = torch.stack(list(parts))
    return found if posterior.temperature == 1 else found / posterior.temperature
