"""A training penalty from the plug-in inverse rate (objective, not a certificate). This module needs torch."""

from __future__ import annotations

import math

import torch

from ...theory.errors import InvalidInput
from .inverse_rate import inverse_rate
from .tilting import penalty_coefficients


def inverse_rate_penalty(losses: torch.Tensor, s: float) -> torch.Tensor:
    """Lh + Iinvh(s) of a batch of losses, with the gradient 2 E[d loss] - E_tilted[d loss] by the envelope theorem.

    losses: one dimension, any floating dtype and device (the rate is computed in float64); s >= 0 nats for each example. Beyond s = ln N the
    plug-in rate saturates and the weights sit on the smallest loss. Raises `InvalidInput`. Statement pb.smooth_levers.
    """
    if losses.ndim != 1 or not losses.is_floating_point():
        raise InvalidInput(f"losses has shape {tuple(losses.shape)}.", "Pass one loss for each example of the batch.")
    values = losses.detach().double().cpu().numpy()
    coefficients = torch.as_tensor(penalty_coefficients(values, s), dtype=losses.dtype, device=losses.device)
    total = math.fsum(values) / values.size + float(inverse_rate(values, s).value)
    return _as_value(total, (coefficients * losses).sum())


def variance_penalty(losses: torch.Tensor, s: float) -> torch.Tensor:
    """Lh + sqrt(2 Varh s), the small-s form of `inverse_rate_penalty`; the variance is the biased one (divide by N)."""
    if losses.ndim != 1 or not s >= 0:
        raise InvalidInput(
            f"losses has shape {tuple(losses.shape)}, s is {s}.", "Pass one loss for each example, s >= 0."
        )
    return losses.mean() + (2 * s * losses.var(correction=0)).sqrt()


def _as_value(value: float, linear: torch.Tensor) -> torch.Tensor:
    """A tensor with this value and the gradient of `linear`."""
    return linear + (value - linear).detach()
