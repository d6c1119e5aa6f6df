"""Stochastic descent on an expected loss over mean and factor: SGD with momentum, one learning rate for each group of the parametrisation.

The randomness of an epoch is a function of (seed, epoch), so that an interrupted training goes on exactly where it was. Noise is drawn
afresh in every step: with the same draws again and again, directions of the factor outside their span are never trained (ib.fixed_noise).
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
from ..certify.checkpoint import TrainingState, identity, path_of, read_state, write_state
from ..methods.data import generator
from ..randomness import sub_seed
from .family import Family, Law

Terms = Callable[[Law, Tensor, Tensor, torch.Generator], Iterator[Tensor]]


@dataclass(frozen=True)
class Descent:
    """How to descend: the schedule's factor falls from 1 to 0 by half a cosine over all steps, or stays 1."""

    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float = 0.9
    schedule: Literal["cosine", "constant"] = "cosine"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidInput(f"{name} is {value!r}.", "It must be a whole number of at least 1.")
        rate, momentum = self.learning_rate, self.momentum
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 < rate < math.inf:
            raise InvalidInput(f"learning_rate is {rate!r}.", "It must be a finite number larger than 0.")
        if isinstance(momentum, bool) or not isinstance(momentum, (int, float)) or not 0 <= momentum < 1:
            raise InvalidInput(f"momentum is {momentum!r}.", "It must lie in [0, 1).")
        if self.schedule not in ("cosine", "constant"):
            raise InvalidInput(f"schedule is {self.schedule!r}.", 'Choose "cosine" or "constant".')


@dataclass(frozen=True)
class Epoch:
    """`epoch` of `epochs` is done: mean of the objective over its examples, and the learning rate of its last step."""

    epoch: int
    epochs: int
    objective: float
    learning_rate: float


@dataclass(frozen=True, eq=False)
class Trained:
    """The end of a training: the law, and every epoch's figures."""

    law: Law
    history: tuple[Epoch, ...]


def training(
    family: Family,
    start: Law,
    x: Tensor,
    y: Tensor,
    terms: Terms,
    descent: Descent,
    *,
    seed: int,
    settings: Any = None,
    checkpoint: str | Path | None = None,
) -> Iterator[Epoch | Trained]:
    """Train `start` in place (a second copy of the weights would cost memory), one `Epoch` event after another, `Trained` at last.

    terms: (law, inputs, targets, stream) to scalars whose sum is the batch's objective; each is differentiated before the next is computed.
    settings: what distinguishes this objective from others. checkpoint: folder for the state, written after every epoch; the same call
    finds its own state there and goes on. Raises `InvalidInput`, `StorageError`, and `NumericalFailure` when training diverges.
    """
    path = (
        None
        if checkpoint is None
        else path_of(checkpoint, _identity(family, start, x, y, terms, (descent, seed, settings)))
    )
    law = _leaves(start)
    variables, optimizer = groups(family, law, descent)
    history: list[Epoch] = []
    if path is not None:
        stored = read_state(path, variables, optimizer)
        if stored is not None:
            history = _resumed(path, stored, variables, optimizer)
            yield from history[-1:]
    steps = math.ceil(len(x) / descent.batch_size)
    for epoch in range(len(history), descent.epochs):
        stream = generator(sub_seed(seed, "epoch", epoch), "variational training", family.network.device)
        whole = descent.batch_size >= len(x)
        order = None if whole else torch.randperm(len(x), generator=stream, device=x.device)
        total, rate = 0.0, descent.learning_rate
        for step in range(steps):
            rows = slice(None) if order is None else order[step * descent.batch_size : (step + 1) * descent.batch_size]
            rate = descent.learning_rate * factor(descent, epoch * steps + step, descent.epochs * steps)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["relative"]
            optimizer.zero_grad(set_to_none=True)
            batch = x[rows]
            for term in terms(law, batch, y[rows], stream):
                term.backward()
                total += float(term.detach()) * len(batch) / len(x)
            optimizer.step()
            if not math.isfinite(total):
                break
        if not math.isfinite(total) or not all(bool(torch.isfinite(value).all()) for value in variables):
            raise NumericalFailure(
                f"Training diverged in epoch {epoch + 1}.",
                "Lower the learning rate: sampled training is stable only below a threshold that shrinks with momentum and with the factor's rate "
                "(ib.mc_stability); more samples, or an expectation in closed form, raise it.",
            )
        history.append(Epoch(epoch + 1, descent.epochs, total, rate))
        if path is not None:
            entries = tuple(asdict(entry) for entry in history)
            write_state(path, TrainingState(epoch + 1, tuple(variables), optimizer.state_dict(), entries))
        yield history[-1]
    yield Trained(
        Law(*({name: value.detach() for name, value in part.items()} for part in (law.means, law.factors))),
        tuple(history),
    )


def factor(descent: Descent, step: int, steps: int) -> float:
    """The schedule's factor in step 0 .. steps - 1."""
    return 1.0 if descent.schedule == "constant" else 0.5 * (1 + math.cos(math.pi * step / steps))


def groups(family: Family, law: Law, descent: Descent) -> tuple[list[Tensor], torch.optim.SGD]:
    """Every tensor of the law and an optimizer over all of them, one group for each relative learning rate.

    The order of the tensors is that of the groups. Raises `InvalidInput` where a tensor has no rate, so that none can be left out.
    """
    mean_rates, factor_rates = family.rates()
    if set(mean_rates) != set(law.means) or set(factor_rates) != set(law.factors):
        raise InvalidInput("The law's tensors are not those of the family.", "Pass a law of the same family.")
    by_rate: dict[float, list[Tensor]] = {}
    for rates, tensors in ((mean_rates, law.means), (factor_rates, law.factors)):
        for name, value in tensors.items():
            by_rate.setdefault(rates[name], []).append(value)
    optimizer = torch.optim.SGD(
        [{"params": tensors, "relative": rate} for rate, tensors in by_rate.items()],
        lr=descent.learning_rate,
        momentum=descent.momentum,
    )
    return [value for tensors in by_rate.values() for value in tensors], optimizer


def _leaves(law: Law) -> Law:
    for part in (law.means, law.factors):
        for value in part.values():
            value.requires_grad_()
    return law


def _resumed(path: Path, stored: TrainingState, variables: list[Tensor], optimizer: torch.optim.SGD) -> list[Epoch]:
    with torch.no_grad():
        for variable, value in zip(variables, stored.variables, strict=True):
            variable.copy_(value)
    optimizer.load_state_dict(stored.optimizer)
    try:
        return [Epoch(**entry) for entry in stored.history]  # type: ignore[arg-type]
    except TypeError as error:
        raise InvalidInput(
            f"{path} is no training state of this run ({error}).", "Delete it; the training starts again."
        ) from error


def _identity(family: Family, start: Law, x: Tensor, y: Tensor, terms: Terms, settings: Any) -> str:
    tensors = {"x": x, "y": y} | {f"fixed/{name}": value for name, value in family.network.fixed.items()}
    tensors |= {f"mean/{name}": value for name, value in start.means.items()}
    tensors |= {f"factor/{name}": value for name, value in start.factors.items()}
    rates = tuple(sorted((name, rate) for part in family.rates() for name, rate in part.items()))
    facts = (settings, rates, repr(family.network.module), str(family.network.device), torch.__version__)
    return identity(facts, tensors, (training, terms))
