"""PAC-Bayes training: stochastic gradients of a bound, through reparametrised draws of a mean-field Gaussian.

One draw of all parameters for each minibatch; the risk is the bounded cross-entropy. The randomness of an epoch is a function of (seed,
epoch), so that an interrupted training goes on exactly where it was. The learning rate falls linearly to zero, epoch by epoch: at a
constant rate the iterates jitter, and in high dimension the jitter alone costs a few nats of divergence.
Sources: Dziugaite and Roy 2017; Perez-Ortiz et al. 2021.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ...theory.errors import InvalidInput, NumericalFailure
from ...theory.validation import log_inverse_delta, sample_size
from ..certified import log_maurer_xi
from ..methods.data import generator
from ..randomness import sub_seed
from .checkpoint import TrainingState, identity, path_of, read_state, write_state
from .gaussian import MeanFieldGaussian, constants, kl_divergence, moved
from .gaussian_kl import LOG_SCALE_LIMIT
from .losses import Loss, bounded_cross_entropy
from .monte_carlo import labelled_data
from .objectives import OBJECTIVES, Excess, Objective, excess_value, gaussian_kl, objective_value


@dataclass(frozen=True)
class TrainingConfig:
    """How to train. Raises `InvalidInput` for a choice that makes no sense.

    objective: "quad", "kl_inverse", "lambda" or "mcallester" (bounds of the true risk), "elbo" (risk + KL/n, no bound), or "risk" (no
    divergence: for learning a prior); see `objective_value`.
    train_scales: False keeps the scales of the start, as a prior of one fixed scale needs.
    pmin: bound of the cross-entropy; delta: confidence that the objective is written for.
    """

    objective: Objective
    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: Literal["adam", "sgd"] = "adam"
    momentum: float = 0.9
    pmin: float = 1e-5
    delta: float = 0.05
    train_scales: bool = True

    def __post_init__(self) -> None:
        for name, allowed in {"objective": OBJECTIVES, "optimizer": ("adam", "sgd")}.items():
            if getattr(self, name) not in allowed:
                raise InvalidInput(f"{name} is {getattr(self, name)!r}.", f"Choose one of {', '.join(allowed)}.")
        for name in ("epochs", "batch_size"):
            if isinstance(getattr(self, name), bool) or not isinstance(getattr(self, name), int):
                raise InvalidInput(f"{name} is {getattr(self, name)!r}.", "It must be a whole number of at least 1.")
            sample_size(name, getattr(self, name))
        if not isinstance(self.learning_rate, (int, float)) or not 0 < self.learning_rate < math.inf:
            raise InvalidInput(f"learning_rate is {self.learning_rate!r}.", "It must be a finite number larger than 0.")
        if not isinstance(self.momentum, (int, float)) or not 0 <= self.momentum < 1:
            raise InvalidInput(f"momentum is {self.momentum!r}.", "It must lie in [0, 1).")
        if not isinstance(self.train_scales, bool):
            raise InvalidInput(f"train_scales is {self.train_scales!r}.", "It is True or False.")
        Loss("cross_entropy", self.pmin)
        log_inverse_delta(self.delta)


@dataclass(frozen=True)
class Epoch:
    """`epoch` of `epochs` is done: means over its minibatches of the objective and the bounded cross-entropy, and the last KL in nats."""

    epoch: int
    epochs: int
    objective: float
    risk: float
    kl: float


@dataclass(frozen=True, eq=False)
class Trained:
    """The end of a training: the Gaussian, and every epoch's figures."""

    gaussian: MeanFieldGaussian
    history: tuple[Epoch, ...]


def training(
    start: MeanFieldGaussian,
    data: Any,
    config: TrainingConfig,
    *,
    seed: int,
    prior: MeanFieldGaussian | None = None,
    n_bound: int | None = None,
    excess: Excess | None = None,
    checkpoint: Path | None = None,
) -> Iterator[Epoch | Trained]:
    """Train from `start`, one `Epoch` event after another, `Trained` at last; on the device of `start`.

    data: (inputs, labels) or an iterable of such batches. prior, n_bound: what the divergence is taken to and the number of examples of
    the later bound (by default all of `data`); objective "risk" takes neither. excess: train the next posterior of a recursion by
    `excess_value` instead of the objective (see `train_recursive`). checkpoint: folder for the state, written after every
    epoch; the same call finds its own state there and goes on. Raises `InvalidInput`, `AssumptionViolated`, `StorageError`, and
    `NumericalFailure` when training diverges.
    """
    x, y, n, log_constant = _prepare(start, data, config, seed, prior, n_bound, excess)
    network = start.network
    mean, log_scale = _flat(start.means).requires_grad_(), _flat(start.log_scales).requires_grad_(config.train_scales)
    fixed = None if prior is None else (_flat(prior.means), _flat(prior.log_scales))
    variables = [mean, log_scale] if config.train_scales else [mean]
    optimizer: torch.optim.Optimizer = (
        torch.optim.Adam(variables, lr=config.learning_rate)
        if config.optimizer == "adam"
        else torch.optim.SGD(variables, lr=config.learning_rate, momentum=config.momentum)
    )
    history: list[Epoch] = []
    path = None if checkpoint is None else path_of(checkpoint, _identity(start, prior, x, y, config, seed, n, excess))
    stored = None if path is None else read_state(path, variables, optimizer)
    if stored is not None:
        with torch.no_grad():
            for variable, value in zip(variables, stored.variables, strict=True):
                variable.copy_(value)
        optimizer.load_state_dict(stored.optimizer)
        try:
            history = [Epoch(**entry) for entry in stored.history]  # type: ignore[arg-type]
        except TypeError as error:
            raise InvalidInput(
                f"{path} is no training state of this run ({error}).", "Delete it; the training starts again."
            ) from error
        yield from history[-1:]

    for epoch in range(len(history), config.epochs):
        stream = generator(sub_seed(seed, "epoch", epoch), "training", network.device)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * (1 - epoch / config.epochs)
        order = torch.randperm(len(x), generator=stream, device=network.device)
        objectives, risks, kl = 0.0, 0.0, torch.zeros(())
        for rows in order.split(config.batch_size):
            noise = torch.randn(mean.shape, generator=stream, dtype=mean.dtype, device=mean.device)
            parameters = _named(mean + log_scale.exp() * noise, start.means)
            outputs = torch.func.functional_call(network.module, parameters | network.fixed, (x[rows],))
            losses = bounded_cross_entropy(outputs, y[rows], config.pmin)
            risk = losses.mean()
            divergence = None if fixed is None else gaussian_kl(mean, log_scale, *fixed)
            if excess is None or divergence is None:
                value = objective_value(config.objective, risk, divergence, n, log_constant)
            else:
                value = excess_value(losses, excess, rows, divergence, n, log_constant)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            # a minibatch counts by its size: the last one may be smaller
            objectives += float(value.detach()) * len(rows) / len(x)
            risks += float(risk.detach()) * len(rows) / len(x)
            kl = kl if divergence is None else divergence.detach()
        if not (
            torch.isfinite(mean).all() and (log_scale.abs() <= LOG_SCALE_LIMIT).all() and math.isfinite(objectives)
        ):
            raise NumericalFailure(f"Training diverged in epoch {epoch + 1}.", "Lower the learning rate.")
        history.append(Epoch(epoch + 1, config.epochs, objectives, risks, float(kl)))
        if path is not None:
            entries = tuple(asdict(entry) for entry in history)
            write_state(path, TrainingState(epoch + 1, tuple(variables), optimizer.state_dict(), entries))
        yield history[-1]
    yield Trained(moved(start, _named(mean, start.means), _named(log_scale, start.means)), tuple(history))


def train(
    start: MeanFieldGaussian,
    data: Any,
    config: TrainingConfig,
    *,
    seed: int,
    prior: MeanFieldGaussian | None = None,
    n_bound: int | None = None,
    excess: Excess | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> MeanFieldGaussian:
    """`training` run to its end; `progress` is called with every `Epoch`."""
    for event in training(
        start, data, config, seed=seed, prior=prior, n_bound=n_bound, excess=excess, checkpoint=checkpoint
    ):
        if isinstance(event, Trained):
            return event.gaussian
        if progress is not None:
            progress(event)
    raise AssertionError("a training ends with Trained")


def _prepare(
    start: MeanFieldGaussian,
    data: Any,
    config: TrainingConfig,
    seed: int,
    prior: MeanFieldGaussian | None,
    n_bound: int | None,
    excess: Excess | None,
) -> tuple[Tensor, Tensor, int, float]:
    if not isinstance(start, MeanFieldGaussian) or not isinstance(config, TrainingConfig):
        raise InvalidInput(
            f"start and config are a {type(start).__name__} and a {type(config).__name__}.",
            "Pass a MeanFieldGaussian and a TrainingConfig.",
        )
    generator(seed, "validation", torch.device("cpu"))
    if config.objective == "risk" and (prior is not None or n_bound is not None):
        raise InvalidInput(
            "The objective 'risk' has no divergence.", "Leave prior and n_bound out, or choose another objective."
        )
    x, y = labelled_data(data, start.network)
    if excess is not None and (config.objective == "risk" or excess.errors.shape != y.shape):
        raise InvalidInput(
            "excess does not fit the data or the objective.", "Give one chance to err for each example, and a prior."
        )
    n = len(x) if n_bound is None else sample_size("n_bound", n_bound)
    if config.objective == "risk":
        return x, y, n, 0.0
    if prior is None:
        raise InvalidInput(f"The objective {config.objective!r} needs a prior.", "Pass prior=, or choose 'risk'.")
    kl_divergence(start, prior)  # refuses a prior over other parameters
    if prior.network.device != start.network.device:
        raise InvalidInput(
            f"The prior is on {prior.network.device}, the start on {start.network.device}.", "Move one of them."
        )
    return x, y, n, float(log_maurer_xi(n)) + log_inverse_delta(config.delta)


def _identity(
    start: MeanFieldGaussian,
    prior: MeanFieldGaussian | None,
    x: Tensor,
    y: Tensor,
    config: TrainingConfig,
    seed: int,
    n: int,
    excess: Excess | None,
) -> str:
    tensors = {"x": x, "y": y, **{f"constant/{name}": value for name, value in constants(start.network).items()}}
    for role, gaussian in (("start", start), ("prior", prior)):
        if gaussian is not None:
            tensors |= {f"{role}/mean": _flat(gaussian.means), f"{role}/log_scale": _flat(gaussian.log_scales)}
    if excess is not None:
        tensors["excess"] = excess.errors
    settings = (
        config,
        seed,
        n,
        None if excess is None else excess.gamma,
        str(start.network.device),
        repr(start.network.module),
        torch.__version__,
    )
    return identity(settings, tensors, (training,))


def _flat(tensors: dict[str, Tensor]) -> Tensor:
    return torch.cat([value.detach().reshape(-1) for value in tensors.values()]).clone()


def _named(flat: Tensor, like: dict[str, Tensor]) -> dict[str, Tensor]:
    parts = flat.split([value.numel() for value in like.values()])
    return {name: part.reshape(value.shape) for (name, value), part in zip(like.items(), parts, strict=True)}
