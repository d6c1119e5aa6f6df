"""NumPy arrays and torch tensors by one formula: which module's functions work on an array, and how tensors come to a device.

Formulas say `xp = functions_of(array)` and keep to what numpy and torch spell alike: operators, xp.sqrt, exp, expm1, sin, cos, arcsin, arctan,
arctan2, where, sign, minimum, maximum of two arrays, zeros_like, ones_like, full_like, empty_like, stack, concatenate, isfinite, `out=`, and the
methods clip(low, high), sum(axis), any, all, max, min. torch is imported where somebody asks for a device, and nowhere else.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ...theory.errors import InvalidInput, MissingExtra
from ...theory.validation import finite

if TYPE_CHECKING:
    import torch

    Device = str | torch.device

Matrix = NDArray[np.float64]  # of formulas that take tensors too: a float64 tensor stands where the array stands

CARD_BLOCK = 1 << 25  # float64 entries, 256 MiB: what a graphics card takes at once


def is_tensor(value: Any) -> bool:
    """Whether a value is a torch tensor, without importing torch."""
    module = sys.modules.get("torch")
    return module is not None and isinstance(value, module.Tensor)


def functions_of(array: Any) -> Any:
    """The module numpy for arrays and numbers, torch for tensors."""
    return sys.modules["torch"] if is_tensor(array) else np


def empty(like: Matrix, *shape: int) -> Matrix:
    """An array that is not filled yet, of the same kind and on the same device."""
    return cast(Matrix, cast(Any, like).new_empty(shape)) if is_tensor(like) else np.empty(shape)


def placed(values: Matrix, like: Matrix) -> Matrix:
    """A NumPy array as it is, or as a tensor on the device of `like`."""
    if not is_tensor(like):
        return values
    return cast(
        Matrix, sys.modules["torch"].from_numpy(np.require(values, requirements=["C", "W"])).to(cast(Any, like).device)
    )


def inner(u: Matrix, v: Matrix) -> Matrix:
    """u . v along the last axis."""
    return cast(Matrix, (u * v).sum(-1)) if is_tensor(u) else cast(Matrix, np.einsum("...d,...d->...", u, v))


def mirrored(kernel: Matrix) -> Matrix:
    """A symmetric matrix (n, n), symmetric to the bit: torch rounds by an entry's place in memory, and by the shape of a product, NumPy here
    does not."""
    if not is_tensor(kernel):
        return kernel
    lower = cast(Any, kernel).tril()
    return cast(Matrix, lower.add_(lower.tril(-1).T))


def block(like: Matrix, entries: int, card: int = CARD_BLOCK) -> int:
    """How many float64 entries to take at once: as many as said, more on a graphics card."""
    return max(entries, card) if is_tensor(like) and cast(Any, like).device.type == "cuda" else entries


def chosen_device(device: Any, *inputs: Any) -> Any:
    """The torch.device that was asked for, or that of the first tensor among the inputs; None for NumPy. Raises MissingExtra, InvalidInput."""
    if device is None:
        device = next((value.device for value in inputs if is_tensor(value)), None)
    if device is None:
        return None
    try:
        import torch
    except ImportError as error:
        raise MissingExtra(
            "Kernels on a device need torch, which is not installed.",
            "Install 'nonvacuous[torch]', or leave out device.",
        ) from error
    try:
        found = torch.device(device)
        torch.empty(1, dtype=torch.float64, device=found)
    except (RuntimeError, TypeError, AssertionError) as error:  # no such device; no float64 there; torch without cards
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInput(
            f"device {device!r} has no float64 tensors here: {reason}",
            "Use 'cpu', or a card that torch.cuda.is_available() knows of.",
        ) from error
    if found.type not in ("cpu", "cuda"):
        raise InvalidInput(f"device is {device!r}.", "Use 'cpu' or 'cuda'.")
    return found


def checked_rows(name: str, value: Any, device: Any = None) -> Matrix:
    """(n, d), float64 and finite: an array, or a tensor on the device. Raises InvalidInput."""
    if is_tensor(value):
        found = _checked_tensor(name, value)
    elif getattr(value, "dtype", None) in (np.dtype(np.float32), np.dtype(np.float16)):
        raise InvalidInput(f"{name} is {value.dtype}.", "Kernels are computed in float64: pass float64 inputs.")
    else:
        found = finite(name, value, ndim=2)
    if not found.shape[0] or not found.shape[1]:
        raise InvalidInput(f"{name} has shape {tuple(found.shape)}.", "Pass at least one row and one column.")
    if device is None:
        return found
    if not is_tensor(found):
        found = sys.modules["torch"].from_numpy(
            np.require(found, requirements=["C", "W"])
        )  # a copy where it is not writable
    return cast(Matrix, cast(Any, found).to(device))


def _checked_tensor(name: str, value: Any) -> Any:
    torch = sys.modules["torch"]
    if value.dtype != torch.float64:
        raise InvalidInput(f"{name} is {value.dtype}.", "Kernels are computed in float64: pass float64 inputs.")
    if value.ndim != 2:
        raise InvalidInput(f"{name} has shape {tuple(value.shape)}.", "Pass an array of 2 dimension(s).")
    if not bool(torch.isfinite(value).all()):
        raise InvalidInput(f"{name} contains NaN or infinity.", "Remove or impute those inputs first.")
    return value.detach()


def require_finite(*kernels: Matrix) -> None:
    """Raises InvalidInput where a kernel left float64's range."""
    for kernel in kernels:
        with np.errstate(over="ignore", invalid="ignore"):
            total = float(kernel.sum())
        # a sum shows what is not finite; a finite one may overflow itself
        if not math.isfinite(total) and not bool(functions_of(kernel).isfinite(kernel).all()):
            raise InvalidInput(
                "The kernels overflow float64.", "Bring inputs and scales nearer to 1 (inputs below 1e70)."
            )


def free_bytes(device: Any, host: Callable[[], float]) -> float:
    """Memory that a device has left; `host` says so for the processor's."""
    if device is None or device.type != "cuda":
        return host()
    return float(sys.modules["torch"].cuda.mem_get_info(device)[0])
