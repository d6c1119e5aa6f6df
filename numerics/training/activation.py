"""Activations and their slopes, written into tensors that exist already."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SLOPE_FACTOR = {
    "erf": 2 / math.sqrt(math.pi),
    "relu": 1.0,
}  # what `slope_into` leaves out: a matrix product takes it for free


def activate_into(name: str, z: Tensor, h: Tensor) -> None:
    """h <- phi(z)."""
    if name == "erf":
        torch.erf(z, out=h)
    else:
        torch.clamp(z, min=0, out=h)


def slope_into(name: str, z: Tensor, h: Tensor, zero: Tensor) -> None:
    """z <- phi'(z) / SLOPE_FACTOR, where h = phi(z); 0 at the kink of ReLU. `zero` is a number 0 of their kind."""
    if name == "erf":
        torch.addcmul(zero, z, z, value=-1, out=z)
        torch.exp(z, out=z)
    else:
        torch.sign(h, out=z)
