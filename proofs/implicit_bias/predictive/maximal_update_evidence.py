"""What is measured about the first step: real networks through the variational family, their gradients by automatic differentiation, one
real move."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from flint import arb, fmpq

from ....numerics.claims import Comparison
from ....numerics.implicit_bias.maximal_update import first_step
from ....numerics.intervals import multiplier
from ....numerics.store import Rows
from ....numerics.variational.parametrisations import PARAMETRISATIONS
from ....theory.errors import InvalidInput
from ...result import Run

TOGETHER = 2000  # networks at once: what a processor's cache holds


@dataclass(frozen=True)
class FirstStepSetting:
    """Sizes of the network, columns of the factor, learning rate of the factor over its mean's, |x|^2 and the parametrisation."""

    parametrisation: Literal["mup", "sp", "ntp"]
    inputs: int
    width: int
    hidden: int
    rank: int
    factor_rate: float
    input_norm_squared: float = 1.0

    def __post_init__(self) -> None:
        if self.parametrisation not in PARAMETRISATIONS:
            raise InvalidInput(f"parametrisation is {self.parametrisation!r}.", f"Choose one of {PARAMETRISATIONS}.")
        numbers(self)


@dataclass(frozen=True)
class FirstStepPrediction:
    """E of the output's move over -eta r, of the squared move of a preactivation over (eta r)^2, and the draw's variance over its
    mean's."""

    speed: float
    feature_movement: float
    draw_variance: float


def numbers(s: FirstStepSetting) -> np.ndarray:
    """From the shipped function."""
    found = first_step(
        s.parametrisation, inputs=s.inputs, width=s.width, hidden=s.hidden, rank=s.rank,
        input_norm_squared=s.input_norm_squared, factor_rate=s.factor_rate,
    )  # fmt: skip
    return np.array([found.speed, found.feature_movement, found.draw_variance])


def exact(s: FirstStepSetting) -> list[arb]:
    """The closed forms at the end of the derivation, in fractions."""
    d, w, k, r = (fmpq(value) for value in (s.inputs, s.width, s.hidden, s.rank))
    rate, q = (fmpq(*value.as_integer_ratio()) for value in (s.factor_rate, s.input_norm_squared))
    ends, half = 1 + rate * r, fmpq(1, 2**s.hidden)
    speed = {
        "mup": (ends + 2 * k) / d + ends,
        "sp": (ends + 2 * k) * w / d + ends,
        "ntp": (ends + 2 * k) / d + ends / d,
    }[s.parametrisation]
    movement = (1 + 2 * rate * r + rate * rate * r * (r + 2)) / {"mup": fmpq(1), "sp": w, "ntp": w * d * d}[
        s.parametrisation
    ]
    return [arb(q * half * speed), arb(q * q * half * movement), arb(2)]


def draw_setting(rng: np.random.Generator) -> FirstStepSetting:
    rank = int(rng.integers(1, 50))
    return FirstStepSetting(
        PARAMETRISATIONS[rng.integers(3)], int(rng.integers(1, 30)), int(10 ** rng.uniform(0, 4)), int(rng.integers(0, 6)), rank,
        float(rng.choice([1 / rank, 1.0, rng.uniform(0.01, 3)])), float(10 ** rng.uniform(-2, 2)),
    )  # fmt: skip


def simulate(setting: FirstStepSetting, run: Run) -> dict[str, Any]:
    """Speed and movement of each of many independent starts; sums of squares are kept with them, row by row."""
    import torch
    from torch import nn

    from ....numerics.methods.data import generator
    from ....numerics.variational.family import Law, family
    from ....numerics.variational.low_rank import LowRank

    s, many = setting, run.block["replicates"]
    square = [part for _ in range(s.hidden) for part in (nn.Linear(s.width, s.width, bias=False), nn.ReLU())]
    net = nn.Sequential(
        nn.Linear(s.inputs, s.width, bias=False), nn.ReLU(), *square, nn.Linear(s.width, 1, bias=False)
    ).double()
    device = torch.device(run.device)
    stream = generator(run.seed, "first step", device)
    x = torch.randn(1, s.inputs, generator=stream, dtype=torch.float64, device=device)
    x *= math.sqrt(s.input_norm_squared) / x.norm()
    found = family(net.eval(), x, LowRank(s.rank), parametrisation=s.parametrisation, rate=s.factor_rate, device=device)
    rates = found.rates()

    def drawn(part: int, shape: Any, std: float) -> torch.Tensor:
        return std * torch.randn(part, *shape, generator=stream, dtype=torch.float64, device=device)

    def output(law: Any, noise: torch.Tensor) -> torch.Tensor:
        return found.call(found.at(Law(*law), noise), x)[0, 0]

    def units(law: Any, noise: torch.Tensor) -> torch.Tensor:
        return found.at(Law(*law), noise)["0.weight"] @ x[0]

    measured = []
    for begun in range(0, many, TOGETHER):
        part = min(TOGETHER, many - begun)
        means = {n: drawn(part, value.shape, found.scalings[n].std) for n, value in found.network.random.items()}
        factors = {n: drawn(part, tensor.shape, tensor.scaling.std) for n, tensor in found.tensors.items()}
        law, z = (means, factors), drawn(part, (found.noise_size,), 1.0)
        tensors = [tensor.requires_grad_() for group in law for tensor in group.values()]
        # each network has its own law: the gradient of the sum holds all of theirs (and needs no `torch.func.grad`, whose first call
        # imports PyTorch's compiler)
        gradient = torch.autograd.grad(torch.func.vmap(output)(law, z).sum(), tensors)
        pairs = [(name, rate[name]) for rate, group in zip(rates, law, strict=True) for name in group]
        with torch.no_grad():
            speed = sum(rate * move.square().flatten(1).sum(1) for (_, rate), move in zip(pairs, gradient, strict=True))
            moved = [tensor + rate * move for tensor, (_, rate), move in zip(tensors, pairs, gradient, strict=True)]
            names, count = [name for name, _ in pairs], len(means)
            after = tuple(dict(zip(names[k], moved[k], strict=True)) for k in (slice(count), slice(count, None)))
            # the preactivations are linear in mean and in factor apart: a step of 1 is as good as a small one
            shift = torch.func.vmap(units)(after, z) - torch.func.vmap(units)(law, z)
        measured.append((speed, shift.square().mean(1)))
    speeds, movements = (torch.cat(values).cpu().numpy() for values in zip(*measured, strict=True))
    return {"speed": speeds, "movement": movements}


def compare(setting: FirstStepSetting, prediction: FirstStepPrediction, rows: Rows) -> Comparison:
    """Sample means against the expectations, to their standard errors (estimated from as many replicates)."""
    observed = np.stack([rows["speed"], rows["movement"]])
    error = observed.std(axis=1, ddof=1) / math.sqrt(observed.shape[1])
    predicted = np.array([prediction.speed, prediction.feature_movement])
    return Comparison(
        observed.mean(axis=1), predicted, multiplier(2, degrees=observed.shape[1] - 1) * error, np.abs(predicted)
    )
