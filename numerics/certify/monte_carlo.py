"""Losses of fresh draws from a Gaussian posterior on a data set: every draw on all examples, many draws at once.

The k-th draw of a part is a function of (seed, part, k) only. Neither the memory limit nor the batches change which predictors are drawn; they can
change the last bits of an output, as any reordering of floating-point sums does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...theory.errors import AssumptionViolated, InvalidInput, NumericalFailure
from ...theory.validation import sample_size
from ..methods.data import check_class_targets, check_inputs, gather, generator
from ..methods.network import FrozenNetwork, outputs, require_predictor
from .gaussian import MeanFieldGaussian, sample
from .losses import Loss
from .overlap import refuse_repeated_examples

STREAM = "certify: posterior draws"  # its own random stream: training with the same seed sees other variates
MEMORY_MB = 16  # small enough for a core's outer cache, where batched products are fastest


@dataclass(frozen=True)
class Drawn:
    """Progress: `draws` of `total` posterior draws, of all parts, are done; `risk` is the mean loss so far on the present part."""

    draws: int
    total: int
    risk: float


@dataclass(frozen=True, eq=False)
class DrawnRisks:
    """Sum over all `examples` of the loss, for every draw: exact integers for the 0-1 loss, float64 sums otherwise.

    With several parts, entry k adds up the k-th draws of all parts; `largest_part` is the number of examples in the largest.
    """

    sums: Float[Tensor, " draws"]
    examples: int
    loss: Loss
    largest_part: int

    @property
    def per_draw(self) -> Float[Tensor, " draws"]:
        """Empirical risk of every draw: each example weighs 1/examples, whatever batch it came in."""
        return self.sums / self.examples

    @property
    def mean_upward(self) -> float:
        """Mean over draws and examples, rounded upward; in [0, 1]."""
        total = Fraction(math.fsum(self.sums.tolist()))
        if self.loss.kind != "zero_one":  # sums of `examples` non-negative float64 terms, then one over the draws
            total *= 1 + Fraction(self.examples + 2, 2**53)
        exact = total / (len(self.sums) * self.examples)
        mean = float(exact)
        return min(1.0, mean if Fraction(mean) >= exact else math.nextafter(mean, math.inf))


def labelled_data(data: Any, network: FrozenNetwork) -> tuple[Tensor, Tensor]:
    """Inputs and class labels on the network's device, checked against it.

    data: (inputs (n, ...), labels (n,)) or an iterable of such batches (a DataLoader), which is read once. Raises `InvalidInput`;
    `AssumptionViolated` for a loader that draws examples with replacement or a module whose outputs count an unregistered trainable tensor.
    """
    refuse_repeated_examples(data)
    x, y = gather(data)
    x, y = x.to(network.device), y.to(network.device)
    check_inputs(x, network.dtype, network.device)
    width = outputs(network, x[:1]).shape[1]
    check_class_targets(y, len(x), width)
    try:
        probe = torch.func.functional_call(network.module, network.random | network.fixed, (x[:1],))
    except RuntimeError as error:
        raise InvalidInput(f"The model cannot be evaluated: {error}") from error
    if probe.requires_grad:
        raise AssumptionViolated(
            "The model's output depends on a trainable tensor that is not among its parameters.",
            "Register it (nn.Parameter, nn.ModuleList): otherwise no divergence counts it.",
        )
    require_predictor(network, x)
    return x, y.long()


def draw_risks(
    posterior: MeanFieldGaussian,
    x: Tensor,
    y: Tensor,
    loss: Loss,
    *,
    draws: int,
    seed: int,
    memory_mb: float = MEMORY_MB,
    vectorize: bool = True,
    parts: int = 1,
    progress: Callable[[Drawn], None] | None = None,
) -> DrawnRisks:
    """Empirical risk of `draws` fresh predictors on all examples (x, y) of `labelled_data`; memory does not grow with draws.

    parts: the examples are cut into as many nearly equal runs, each with draws of its own: for about the cost of the same number of
    passes over the data the mean rests on `parts` times as many independent draws.
    `vectorize=False` evaluates one draw after another, for modules that torch.func.vmap cannot map. Raises `InvalidInput`;
    `NumericalFailure` where an output is not finite.
    """
    total, pieces = sample_size("draws", draws), sample_size("parts", parts)
    if pieces > len(x):
        raise InvalidInput(f"parts is {pieces} for {len(x)} examples.", "A part needs at least one example.")
    sums = torch.zeros(total, dtype=torch.float64)
    runs = list(zip(x.tensor_split(pieces), y.tensor_split(pieces), strict=True))
    for index, (inputs, labels) in enumerate(runs):
        own, done, seen = torch.zeros_like(sums), 0, index * total
        stream = STREAM if index == 0 else f"{STREAM}, part {index}"
        for rows, part in draw_blocks(posterior, inputs, labels, loss, total, seed, memory_mb, vectorize, stream):
            own[rows] += part.sum(-1, dtype=torch.float64).cpu()
            if progress is not None and rows.stop > done and done > 0:
                progress(Drawn(seen + done, pieces * total, float(own[:done].mean()) / len(inputs)))
            done = rows.stop
        sums += own
        if progress is not None:
            progress(Drawn(seen + total, pieces * total, float(own.mean()) / len(inputs)))
    return DrawnRisks(sums, len(x), loss, max(len(labels) for _, labels in runs))


def draw_losses(
    posterior: MeanFieldGaussian,
    x: Tensor,
    y: Tensor,
    loss: Loss,
    *,
    draws: int,
    seed: int,
    memory_mb: float = MEMORY_MB,
    vectorize: bool = True,
) -> Float[Tensor, "draws examples"]:
    """The whole array of losses in float64 (8 draws * examples bytes), as `certify_losses` takes it. Otherwise as `draw_risks`."""
    total = sample_size("draws", draws)
    losses = torch.empty(total, len(x), dtype=torch.float64)
    column = 0
    for rows, part in draw_blocks(posterior, x, y, loss, total, seed, memory_mb, vectorize):
        losses[rows, column : column + part.shape[1]] = part.double().cpu()
        column = (column + part.shape[1]) % len(x)
    return losses


def draw_blocks(
    posterior: MeanFieldGaussian,
    x: Tensor,
    y: Tensor,
    loss: Loss,
    draws: int,
    seed: int,
    memory_mb: float,
    vectorize: bool,
    purpose: str = STREAM,
) -> Iterator[tuple[slice, Tensor]]:
    """Losses (draws of the block, examples of the batch), batch after batch within a block of draws."""
    network = posterior.network
    stream = generator(seed, purpose, network.device)
    block, batch = _plan(network, x, draws, memory_mb) if vectorize else (1, len(x))

    def evaluate(parameters: dict[str, Tensor], inputs: Tensor) -> Tensor:
        value = torch.func.functional_call(network.module, parameters | network.fixed, (inputs,))
        assert isinstance(value, Tensor)
        return value

    mapped = torch.func.vmap(evaluate, in_dims=(0, None))
    for start in range(0, draws, block):
        rows = slice(start, min(start + block, draws))
        parameters = sample(posterior, stream, rows.stop - rows.start)
        for inputs, labels in zip(x.split(batch), y.split(batch), strict=True):
            with torch.no_grad():
                if vectorize:
                    try:
                        found = mapped(parameters, inputs)
                    except RuntimeError as error:
                        raise InvalidInput(
                            f"The model cannot be evaluated for many draws at once: {error}",
                            "Pass vectorize=False; a forward pass that draws random numbers is refused either way.",
                        ) from error
                else:
                    found = _alone(
                        evaluate, {name: value[0] for name, value in parameters.items()}, inputs, first=start == 0
                    )
            if not torch.isfinite(found).all():
                raise NumericalFailure(
                    f"A posterior draw among number {rows.start} to {rows.stop - 1} has outputs that are not finite.",
                    "Its loss is not a number in [0, 1]: lower the scales, or use float64.",
                )
            yield rows, loss(found, labels)


def _alone(evaluate: Callable[..., Tensor], parameters: dict[str, Tensor], x: Tensor, *, first: bool) -> Tensor:
    found = evaluate(parameters, x)
    if first and not torch.equal(found.nan_to_num(), evaluate(parameters, x).nan_to_num()):
        raise AssumptionViolated(
            "Two evaluations of one predictor differ.",
            "A predictor must not draw random numbers of its own: make them part of the posterior.",
        )
    return found.unsqueeze(0)


def _plan(network: FrozenNetwork, x: Tensor, draws: int, memory_mb: float) -> tuple[int, int]:
    """Draws at once and examples at once, from the bytes that one draw's parameters and one example's activations take."""
    if isinstance(memory_mb, bool) or not isinstance(memory_mb, (int, float)) or not 0 < memory_mb < math.inf:
        raise InvalidInput(f"memory_mb is {memory_mb!r}.", "Give the working memory in MiB, for example 16.")
    budget = memory_mb * 2**20 / next(iter(network.random.values())).element_size()
    per_example = max(1, activations(network, x[:1]))
    batch = int(min(len(x), max(1, budget // (2 * per_example))))
    block = int(min(draws, max(1, budget // (2 * network.size + batch * per_example))))
    return block, batch


def activations(network: FrozenNetwork, x: Tensor) -> int:
    """Numbers that all submodules put out for one example."""
    count = 0

    def hook(module: nn.Module, inputs: Iterable[Any], found: Any) -> None:
        nonlocal count
        count += found.numel() if isinstance(found, Tensor) else 0

    handles = [part.register_forward_hook(hook) for part in network.module.modules()]
    try:
        outputs(network, x)
    finally:
        for handle in handles:
            handle.remove()
    return count
