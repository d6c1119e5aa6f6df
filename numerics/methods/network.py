"""A user's module held still: a private copy of a trained network, its outputs and its Jacobians.

The user's module is copied once and never touched again, so that training it further, or switching its mode, changes no
posterior. Parameters with `requires_grad` are the random ones; frozen parameters and buffers are constants.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from ...theory.errors import AssumptionViolated, InvalidInput
from .data import all_finite

# Jacobians are formed in blocks of at most this many numbers (128 MiB in float64).
BLOCK_ENTRIES = 2**24


@dataclass(frozen=True, eq=False)
class FrozenNetwork:
    """`module` is private; `random` and `fixed` together hold all of its parameters and buffers, detached."""

    module: nn.Module
    random: dict[str, Tensor]
    fixed: dict[str, Tensor]

    @property
    def dtype(self) -> torch.dtype:
        return next(iter(self.random.values())).dtype

    @property
    def device(self) -> torch.device:
        return next(iter(self.random.values())).device

    @property
    def size(self) -> int:
        """Number of random parameters, P."""
        return sum(value.numel() for value in self.random.values())


def freeze(model: nn.Module, device: str | torch.device, *, share_parameters: bool = False) -> FrozenNetwork:
    """Copy `model` to `device`. Raises `InvalidInput` where its output is not a deterministic function of one input.

    share_parameters: the copy has modules and buffers of its own, but reads the parameters of plain layers where they lie (if they are on the
    device already, and nothing in the model could write to them): for what is computed at once and not kept.
    """
    if not isinstance(model, nn.Module):
        raise InvalidInput(f"The model is a {type(model).__name__}.", "Pass a torch.nn.Module.")
    _refuse_batch_dependence(model)
    for name, part in model.named_modules():
        if "forward" in vars(part) and not isinstance(part.forward, MethodType):
            raise InvalidInput(
                f"The forward pass of {name or type(model).__name__!r} was replaced by a function, which a copy would share with your module.",
                "Define it in a subclass, or as a bound method.",
            )
    if any(
        isinstance(value, UninitializedParameter | UninitializedBuffer)
        for value in [*model.parameters(), *model.buffers()]
    ):
        raise InvalidInput("The model has a lazy layer without parameters yet.", "Evaluate it once on some inputs.")
    try:
        private = copy.deepcopy(model, _aliases(model) if share_parameters else {}).to(device)
    except (RuntimeError, AssertionError) as error:
        raise InvalidInput(
            f"The model cannot be copied to device {device!r}: {error}", "Choose another device."
        ) from error
    random = {name: value.detach() for name, value in private.named_parameters() if value.requires_grad}
    fixed = {name: value.detach() for name, value in private.named_parameters() if not value.requires_grad}
    fixed |= {name: value.detach() for name, value in private.named_buffers()}
    if not random:
        raise InvalidInput("The model has no parameter with requires_grad=True.", "Unfreeze what should be random.")
    kinds = {value.dtype for value in random.values()}
    if len(kinds) > 1 or not next(iter(kinds)).is_floating_point:
        raise InvalidInput(
            f"The model's parameters have dtypes {sorted(map(str, kinds))}.", "Convert it, for example model.double()."
        )
    for name, value in (random | fixed).items():
        if value.is_floating_point() and not all_finite(value):
            raise InvalidInput(
                f"The model's tensor {name!r} is not finite.", "Train it again; there is no mode to expand at."
            )
    return FrozenNetwork(private, random, fixed)


def _aliases(model: nn.Module) -> dict[int, Any]:
    """The parameters of plain layers, on the same memory, as a memo by which `copy.deepcopy` takes them for copies already made.

    Torch's own modules write at most to their own parameters when they are called (`nn.Embedding` with max_norm does): those that are not
    plain layers have theirs copied. A forward pass or a hook that is not torch's may write to any parameter: then all are copied.
    """
    if not all(_is_torchs_own(part) for part in model.modules()):
        return {}
    plain, others = {}, set()
    for part in model.modules():
        for value in part.parameters(recurse=False):
            if type(part) in (nn.Linear, nn.Conv1d, nn.Conv2d) and type(value) is nn.Parameter:
                plain[id(value)] = value
            else:
                others.add(id(value))
    return {
        key: nn.Parameter(value.detach(), requires_grad=value.requires_grad)
        for key, value in plain.items()
        if key not in others
    }


def _is_torchs_own(part: nn.Module) -> bool:
    """Whether what runs when the module is called is torch's code alone."""
    own = type(part).__module__.startswith("torch.nn.modules.") and "forward" not in vars(part)
    hooks = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
    return own and not any(getattr(part, name, None) for name in hooks)


def _refuse_batch_dependence(model: nn.Module) -> None:
    for name, part in model.named_modules():
        batch_norm = isinstance(part, nn.modules.batchnorm._BatchNorm)
        dropout = part.p if isinstance(part, nn.modules.dropout._DropoutNd) else getattr(part, "dropout", 0.0)
        random = isinstance(dropout, (int, float)) and dropout > 0
        where = f"The module {name or type(model).__name__!r} ({type(part).__name__})"
        if part.training and (batch_norm or random):
            raise InvalidInput(f"{where} is in training mode.", "Call model.eval() first.")
        if batch_norm and part.running_mean is None:
            raise InvalidInput(
                f"{where} keeps no running statistics.", "Its output depends on the other inputs in a batch."
            )


def outputs(network: FrozenNetwork, x: Tensor) -> Float[Tensor, "inputs outputs"]:
    """The network's outputs, computed in one batch as the user would."""
    try:
        with torch.no_grad():
            value = torch.func.functional_call(network.module, network.random | network.fixed, (x,))
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise InvalidInput(
            f"The model cannot be evaluated on inputs of shape {tuple(x.shape)} and dtype {x.dtype}: {error}",
            "Pass a batch as the model itself would accept it, first axis the inputs.",
        ) from error
    if not isinstance(value, Tensor) or value.ndim != 2 or len(value) != len(x):
        found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise InvalidInput(f"The model's output is {found}.", f"It must be a tensor of shape ({len(x)}, outputs).")
    if not torch.isfinite(value).all():
        raise InvalidInput(
            "The model's outputs are not finite on these inputs.", "Check the weights and the scale of x."
        )
    return value


def require_predictor(network: FrozenNetwork, x: Tensor) -> None:
    """Refuse modules whose output for one input depends on chance, on earlier calls or on the rest of the batch.

    On a few inputs, the same batch twice must give the same bits, and each row alone the same numbers, up to ten thousand roundings of their
    scale (matrix products of other shapes add in another order). Raises `AssumptionViolated`.
    """
    few = x[:4]
    once, again = outputs(network, few), outputs(network, few)
    require_equal(once, again, roundings=0.0)
    require_equal(once, torch.cat([outputs(network, row[None]) for row in few]))


def require_equal(values: Tensor, others: Tensor, *, roundings: float = 1e4) -> None:
    """Outputs for the same inputs in two calls, equal up to so many roundings of their scale. Raises `AssumptionViolated`."""
    allowed = min(0.1, roundings * torch.finfo(values.dtype).eps) * max(1.0, float(values.abs().max()))
    if not float((values - others).abs().max()) <= allowed:
        raise AssumptionViolated(
            "The model's output for an input depends on chance, on earlier calls, or on the other inputs of its batch.",
            "What is computed here is about a fixed function of one input: use eval mode, batch-first layers and no state.",
        )


def jacobian_blocks(
    network: FrozenNetwork, x: Tensor, width: int
) -> Iterator[Float[Tensor, "block outputs parameters"]]:
    """Jacobians of the `width` outputs in the random parameters, block of inputs by block, in the order of `x`."""

    def single(random: dict[str, Tensor], point: Tensor) -> Tensor:
        call = torch.func.functional_call(network.module, random | network.fixed, (point.unsqueeze(0),))
        return call.squeeze(0)

    rows = max(1, BLOCK_ENTRIES // (width * network.size))
    per_input = torch.func.vmap(torch.func.jacrev(single), in_dims=(None, 0))
    for block in x.split(rows):
        try:
            parts = per_input(network.random, block)
        except RuntimeError as error:
            raise InvalidInput(
                f"The model has no per-input Jacobian under torch.func: {error}",
                "Its forward pass must be differentiable, free of randomness, and free of data-dependent branches.",
            ) from error
        yield torch.cat([parts[name].reshape(len(block), width, -1) for name in network.random], dim=2)
