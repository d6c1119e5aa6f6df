"""Training objectives: differentiable upper bounds of the true risk, as functions of an empirical risk and a KL divergence.

An objective steers training; only `certify` on fresh draws makes a certificate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from ..certified import kl_upper_parts

Objective = Literal["quad", "kl_inverse", "lambda", "mcallester", "elbo", "risk"]
OBJECTIVES = ("quad", "kl_inverse", "lambda", "mcallester", "elbo", "risk")


class KlUpper(torch.autograd.Function):
    """UP(q, c) with its analytic derivatives, elementwise; the values are those of `numerics.certified`, in float64 on the CPU.

    With p = UP(q, c) and g = p - q: dp/dc = p(1-p)/g and dp/dq = (p(1-p)/g) (ln(p/q) - ln((1-p)/(1-q))) (pb.klinv). Both are infinite at
    c = 0 < q < 1 (where dp/dq is 1) and dp/dq is at q = 0: keep training away from there.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, c: Tensor) -> Tensor:
        shape = torch.broadcast_shapes(q.shape, c.shape)
        risk, level = (value.detach().expand(shape).double().cpu().numpy() for value in (q, c))
        parts = kl_upper_parts(risk, level)
        slopes = kl_upper_slopes(risk, np.asarray(parts.p), np.asarray(parts.complement), np.asarray(parts.gap))
        ctx.save_for_backward(*(torch.as_tensor(slope).to(q) for slope in slopes))
        ctx.shapes = (q.shape, c.shape)
        return torch.as_tensor(np.asarray(parts.p)).to(q)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, Tensor]:
        in_q, in_c = ctx.saved_tensors
        return (grad[0] * in_q).sum_to_size(ctx.shapes[0]), (grad[0] * in_c).sum_to_size(ctx.shapes[1])


def kl_upper_slopes(
    q: NDArray[np.float64], p: NDArray[np.float64], complement: NDArray[np.float64], gap: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(dp/dq, dp/dc) at p = UP(q, c), given p, 1-p and p-q."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = gap / (1 - q)
        # ln((1-p)/(1-q)): from the gap while it is a small part of 1-q, from 1-p where it is most of it
        log_complement = np.where(ratio < 0.5, np.log1p(-np.minimum(ratio, 0.5)), np.log(complement / (1 - q)))
        in_c = p * complement / gap
        in_q = in_c * (np.log1p(gap / q) - log_complement)
    in_q = np.where(gap > 0, in_q, 1.0)
    return in_q, np.where(gap > 0, in_c, np.where((q > 0) & (q < 1), math.inf, np.where(q == 1, 0.0, 1.0)))


def kl_upper(q: Float[Tensor, ...], c: Float[Tensor, ...]) -> Float[Tensor, ...]:
    """Differentiable UP(q, c), in the dtype and on the device of `q`."""
    value = KlUpper.apply(q, c)
    assert isinstance(value, Tensor)
    return value


def gaussian_kl(mean: Tensor, log_scale: Tensor, prior_mean: Tensor, prior_log_scale: Tensor) -> Float[Tensor, ""]:
    """Differentiable KL between flat mean-field Gaussians, for training; the certified value is `kl_divergence`."""
    log_ratio = 2 * (log_scale - prior_log_scale)
    shift = (mean - prior_mean) * torch.exp(-prior_log_scale)
    return 0.5 * (torch.expm1(log_ratio) - log_ratio + shift * shift).sum()


def objective_value(
    kind: Objective, risk: Float[Tensor, ""], kl: Float[Tensor, ""] | None, n: int, log_constant: float
) -> Tensor:
    """The objective at an empirical risk in [0, 1] and a divergence, with c = (kl + log_constant)/n, log_constant = ln(xi(n)/delta).

    "quad": (sqrt(risk + c/2) + sqrt(c/2))^2 (pb.quad, f_quad of Perez-Ortiz et al. 2021). "kl_inverse": UP(risk, c) itself, the risk
    raised to 1/(10 n) where its derivative would be infinite. "lambda": risk/(1-l/2) + c/(l(1-l/2)) (pb.lambda; Thiemann et al. 2017) at
    the l that is best for the present numbers, held fixed in the gradient, which is one step of alternating minimisation. "mcallester":
    risk + sqrt(c/2) (f_classic). "elbo": risk + kl/n, no bound at all (f_bbb). "risk": the risk alone, without a divergence.
    """
    if kind == "risk" or kl is None:
        return risk
    if kind == "elbo":
        return risk + kl / n
    c = (kl + log_constant) / n
    half = 0.5 * c
    if kind == "quad":
        return torch.square(torch.sqrt(risk + half) + torch.sqrt(half))
    if kind == "mcallester":
        return risk + torch.sqrt(half)
    if kind == "lambda":
        best = (2 / (torch.sqrt(2 * risk / c + 1) + 1)).detach()
        return risk / (1 - best / 2) + c / (best * (1 - best / 2))
    return kl_upper(risk.clamp(min=1 / (10 * n)), c)


@dataclass(frozen=True, eq=False)
class Excess:
    """What a later posterior of a recursion (pb.rpb) is compared with: gamma in (0, 1], and how often the posterior before errs at each example
    of the training data."""

    gamma: float
    errors: Float[Tensor, " examples"]


def excess_value(
    losses: Float[Tensor, " batch"], excess: Excess, rows: Tensor, kl: Float[Tensor, ""], n: int, log_constant: float
) -> Tensor:
    """-gamma + gamma UP(F_1) + (1-gamma) UP(F_2) + gamma UP(F_3) for losses in [0, 1] taken as the posterior's chances to err.

    F_3 = mean l (1-e), F_2 = mean l, F_1 = 1 - mean (1-l) e with e the chances of the posterior before (at gamma = 1 the middle term has no
    weight); each inverse pays ln 3 for being one of three.
    """
    before = excess.errors[rows]
    only_new, wrong, only_old = (losses * (1 - before)).mean(), losses.mean(), ((1 - losses) * before).mean()
    level = (kl + log_constant + math.log(3)) / n
    floor = 1 / (10 * n)
    # UP(1, c) = 1, and the derivative is infinite on the way there
    first, second, third = (kl_upper(f.clamp(floor, 1 - floor), level) for f in (1 - only_old, wrong, only_new))
    return excess.gamma * (first + third - 1) + (1 - excess.gamma) * second
