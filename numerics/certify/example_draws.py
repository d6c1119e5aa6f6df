"""One independent posterior draw for every example, without drawing any weights: for modules whose random tensors sit in linear layers.

Given its input row x, the output of a linear layer with independent Gaussian weights is Gaussian with independent entries, of mean
m x + b and variance s^2 x^2 + s_b^2. So a forward pass that draws these outputs row by row has exactly the law of one that draws a
separate set of weights for every row (local reparametrisation: Kingma, Salimans and Welling 2015), at the cost of two products
for each layer. It holds where each random tensor meets each example once; a convolution shares weights between positions and is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ...theory.errors import AssumptionViolated, InvalidInput, NumericalFailure
from ...theory.validation import sample_size
from ..methods.data import generator
from ..methods.network import outputs
from .gaussian import MeanFieldGaussian
from .losses import Loss
from .monte_carlo import MEMORY_MB, Drawn, DrawnRisks, activations

STREAM = "certify: one posterior draw for each example"


class _LinearLayersOnly(TorchFunctionMode):
    """Replaces `linear` on random tensors by a draw of its output; any other use of a random tensor ends the pass.

    The module is called with `placeholders` full of NaN in place of its random tensors: a use that this mode does not see
    cannot pass for a constant.
    """

    def __init__(
        self, gaussian: MeanFieldGaussian, rows: int, stream: torch.Generator | None, filled: float = math.nan
    ) -> None:
        super().__init__()
        means = gaussian.network.random
        self.placeholders = {name: torch.full_like(mean, filled) for name, mean in means.items()}
        self.means = {id(self.placeholders[name]): mean for name, mean in means.items()}
        self.variances = {id(self.placeholders[name]): (2 * gaussian.log_scales[name]).exp() for name in means}
        self.rows, self.stream = rows, stream
        self.used: set[int] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.nn.functional.linear:
            return self._linear(*args, **kwargs)
        values = [*args, *kwargs.values()]
        values += [entry for value in values if isinstance(value, (list, tuple)) for entry in value]
        if any(id(value) in self.variances for value in values):
            raise _refusal(f"{getattr(func, '__name__', func)} uses a random tensor")
        return func(*args, **kwargs)

    def _linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        mean = torch.nn.functional.linear(input, self._mean(weight), None if bias is None else self._mean(bias))
        random = [id(tensor) for tensor in (weight, bias) if id(tensor) in self.variances]
        if not random:
            return mean
        if self.used.intersection(random) or len(set(random)) < len(random):
            raise _refusal("a random tensor is used more than once")
        if input.ndim != 2 or len(input) != self.rows:
            raise _refusal(f"a linear layer sees an input of shape {tuple(input.shape)} for {self.rows} examples")
        self.used.update(random)
        variance = torch.zeros_like(mean)
        if id(weight) in self.variances:
            variance = torch.nn.functional.linear(input * input, self.variances[id(weight)])
        if id(bias) in self.variances:
            variance = variance + self.variances[id(bias)]
        if self.stream is None:
            return mean
        noise = torch.randn(mean.shape, generator=self.stream, dtype=mean.dtype, device=mean.device)
        return torch.addcmul(mean, variance.sqrt(), noise)

    def _mean(self, tensor: Tensor) -> Tensor:
        return self.means.get(id(tensor), tensor)


def _refusal(what: str) -> AssumptionViolated:
    return AssumptionViolated(
        f"Draws for single examples need linear layers that see one row per example once; here {what}.",
        "Pass a number of parts instead.",
    )


def supports_example_draws(gaussian: MeanFieldGaussian, x: Tensor, memory_mb: float = MEMORY_MB) -> bool:
    """Whether every random tensor meets each example once, in a linear layer: tried on a few rows of x, then on all of them in the batches
    in which `example_losses` draws, since a module may do something else for later rows.

    Without noise the outputs must be those of the mean parameters, whatever stands in their place outside linear layers: a NaN, which
    most uses would spread but a comparison may swallow, and other numbers. Nothing is drawn, so what is chosen by the answer costs no delta.
    """
    few = x[:8]
    if not _agrees(gaussian, few, (math.nan, 1e3, -7.0)):
        return False
    _, batch = _block(gaussian, x, 1, memory_mb)
    return len(x) <= len(few) or all(_agrees(gaussian, part, (math.nan, 1e3)) for part in x.split(batch))


def _agrees(gaussian: MeanFieldGaussian, x: Tensor, fillings: tuple[float, ...]) -> bool:
    try:
        expected = outputs(gaussian.network, x)
        allowed = 1e4 * torch.finfo(expected.dtype).eps * max(1.0, float(expected.abs().max()))
        for filled in fillings:
            found = _forward(gaussian, x, None, filled)
            if found.shape != expected.shape or not float((found - expected).abs().max()) <= allowed:
                return False
    except AssumptionViolated:
        return False
    return True


def _block(gaussian: MeanFieldGaussian, x: Tensor, draws: int, memory_mb: float) -> tuple[int, int]:
    """(draws, examples) that are evaluated at once."""
    if isinstance(memory_mb, bool) or not isinstance(memory_mb, (int, float)) or not 0 < memory_mb < math.inf:
        raise InvalidInput(f"memory_mb is {memory_mb!r}.", "Give the working memory in MiB, for example 16.")
    network = gaussian.network
    width = max(1, 4 * activations(network, x[:1]) + x[:1].numel())  # mean, variance and noise of the widest part
    rows = int(max(1, memory_mb * 2**20 / next(iter(network.random.values())).element_size() // width))
    return max(1, min(draws, rows // len(x))), min(rows, len(x))


def _forward(
    gaussian: MeanFieldGaussian, x: Tensor, stream: torch.Generator | None, filled: float = math.nan
) -> Tensor:
    network = gaussian.network
    try:
        mode = _LinearLayersOnly(gaussian, len(x), stream, filled)
        with torch.no_grad(), mode:
            found = torch.func.functional_call(network.module, mode.placeholders | network.fixed, (x,))
    except RuntimeError as error:
        raise InvalidInput(f"The model cannot be evaluated: {error}") from error
    if not isinstance(found, Tensor):
        raise InvalidInput(f"The model's output is a {type(found).__name__}.", "It must be one tensor.")
    return found


def example_losses(
    posterior: MeanFieldGaussian,
    x: Tensor,
    y: Tensor,
    loss: Loss,
    *,
    draws: int,
    seed: int,
    memory_mb: float = MEMORY_MB,
    stream: str = STREAM,
) -> Iterator[tuple[slice, Tensor]]:
    """Losses (draws of the block, examples of the batch), each entry of a predictor of its own; batch after batch within a block of draws.

    The variates depend on `seed`, on `stream`, and on `memory_mb` through the number of rows drawn at once. Raises `AssumptionViolated` for
    modules whose random tensors do other things than multiply one row per example; `InvalidInput`; `NumericalFailure`.
    """
    total = sample_size("draws", draws)
    at_once, batch = _block(posterior, x, total, memory_mb)
    if not supports_example_draws(posterior, x, memory_mb):
        raise _refusal("a random tensor does something else for some rows, or the outputs are not finite")
    source = generator(seed, stream, posterior.network.device)
    for start in range(0, total, at_once):
        count = min(at_once, total - start)
        for inputs, labels in zip(x.split(batch), y.split(batch), strict=True):
            repeated = inputs.repeat(count, *(1,) * (inputs.ndim - 1))
            found = _forward(posterior, repeated, source)
            if not torch.isfinite(found).all():
                raise NumericalFailure(
                    f"A posterior draw among number {start} to {start + count - 1} has outputs that are not finite.",
                    "Its loss is not a number in [0, 1]: lower the scales, or use float64.",
                )
            yield slice(start, start + count), loss(found.reshape(count, len(inputs), -1), labels)


def example_risks(
    posterior: MeanFieldGaussian,
    x: Tensor,
    y: Tensor,
    loss: Loss,
    *,
    draws: int,
    seed: int,
    memory_mb: float = MEMORY_MB,
    progress: Callable[[Drawn], None] | None = None,
) -> DrawnRisks:
    """`draws` independent predictors for each single example of `labelled_data`: draws * n in all; memory does not grow with draws.

    As `example_losses`, added up over the examples; `progress` is called when a block of draws has met all of them.
    """
    total = sample_size("draws", draws)
    sums, seen = torch.zeros(total, dtype=torch.float64), 0
    for rows, part in example_losses(posterior, x, y, loss, draws=total, seed=seed, memory_mb=memory_mb):
        sums[rows] += part.sum(-1, dtype=torch.float64).cpu()
        seen += part.shape[1]
        if seen == len(x):
            seen = 0
            if progress is not None:
                progress(Drawn(rows.stop, total, float(sums[: rows.stop].mean()) / len(x)))
    return DrawnRisks(sums, len(x), loss, 1)
