"""One self-attention layer of infinite width, in the cases that have a closed form.

Blocks are (positions of x, positions of y). Values v = s_V W_V h/sqrt(n), output s_O W_O (A v)/sqrt(n) + sb b, attention
weights A = phi(G) from the products G of queries and keys:

- scaling "1/n": G = s_QK h W W^T h^T/(n n_key) with one W for both (tied). G tends to s_QK K(x,x), a constant; phi is the softmax
  of rows or the identity.
- scaling "1/sqrt(n)" with independent queries and keys: G stays random. With phi the identity and many heads the kernel is
  polynomial; with the softmax there is no closed form, and at a fixed number of heads no Gaussian limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import softmax

from ....theory.errors import AssumptionViolated, InvalidInput
from ....theory.validation import finite
from ..pairs import Matrix

Mechanism = Literal["softmax", "identity"]
Scaling = Literal["1/n", "1/sqrt(n)"]


@dataclass(frozen=True)
class AttentionKernels:
    """Covariance of the layer's output and tangent kernel with all its parameters trained, (positions of x, of y)."""

    nngp: Matrix
    ntk: Matrix


def attention_kernels(
    *,
    nngp_xx: Any,
    nngp_xy: Any,
    nngp_yy: Any,
    ntk_xy: Any,
    query_key_scale: float,
    output_value_scale: float,
    bias_scale: float,
    mechanism: Mechanism = "softmax",
    scaling: Scaling = "1/n",
) -> AttentionKernels:
    """Kernels after self-attention from those below it, position by position: K(x,x) (p, p), K(x,y) (p, q), K(y,y) (q, q), T(x,y) (p, q).

    Scaling "1/n" with A_x = softmax of the rows of s_QK K(x,x), or s_QK K(x,x) itself: `K' = s_OV^2 A_x K A_y^T + sb^2` and
    `T' = K' + s_OV^2 A_x K A_y^T + s_OV^2 A_x T A_y^T`. Scaling "1/sqrt(n)", identity, with S = sum_kl K_kl^2: `K' = s_OV^2 s_QK^2 S K
    + sb^2`. `query_key_scale` is s_QK = s_Q s_K, `output_value_scale` is s_OV = s_O s_V. float64 only. Source: `iw.attention`; Hron et
    al. 2020 in neural-tangents. Raises InvalidInput for shapes or scales, AssumptionViolated for the softmax of the usual scaling.
    """
    if mechanism not in ("softmax", "identity") or scaling not in ("1/n", "1/sqrt(n)"):
        raise InvalidInput(
            f"mechanism is {mechanism!r}, scaling {scaling!r}.",
            "Use 'softmax' or 'identity', and '1/n' (tied query and key weights) or '1/sqrt(n)' (independent ones).",
        )
    if mechanism == "softmax" and scaling == "1/sqrt(n)":
        raise AssumptionViolated(
            "The softmax of products scaled by 1/sqrt(n_key) has no closed-form kernel, and no Gaussian limit at a fixed number "
            "of heads: the attention weights stay random however wide the layer is.",
            "Use scaling='1/n' with tied query and key weights, or mechanism='identity'.",
        )
    xx, xy, yy, below = (
        _block(name, value)
        for name, value in (("nngp_xx", nngp_xx), ("nngp_xy", nngp_xy), ("nngp_yy", nngp_yy), ("ntk_xy", ntk_xy))
    )
    p, q = xy.shape
    if xx.shape != (p, p) or yy.shape != (q, q) or below.shape != (p, q):
        raise InvalidInput(
            f"The blocks have shapes {xx.shape}, {xy.shape}, {yy.shape} and {below.shape}.",
            "Pass K(x,x) (p, p), K(x,y) (p, q), K(y,y) (q, q) and T(x,y) (p, q).",
        )
    qk, ov, sb = (
        float(finite(name, value, ndim=0))
        for name, value in (
            ("query_key_scale", query_key_scale),
            ("output_value_scale", output_value_scale),
            ("bias_scale", bias_scale),
        )
    )
    if min(qk, ov, sb) < 0:
        raise InvalidInput("A scale is negative.", "Scales are standard deviations, or products of two.")
    if scaling == "1/sqrt(n)":
        return _random_weights(xy, below, qk * ov, sb)
    left, right = (softmax(qk * k, axis=1) if mechanism == "softmax" else qk * k for k in (xx, yy))
    value = ov**2 * (left @ xy @ right.T)
    return AttentionKernels(value + sb**2, 2 * value + ov**2 * (left @ below @ right.T) + sb**2)


def _random_weights(xy: Matrix, below: Matrix, scale: float, sb: float) -> AttentionKernels:
    """E G_ik(x) G_jl(y) = s_QK^2 K_ij K_kl, so K' = s^2 S K + sb^2; queries, keys, values and output each add s^2 S K to T', and the
    layer below its T once in each of the three factors K_ij, K_kl, K_kl of K_ij sum_kl K_kl K_kl."""
    square, mixed = float(np.sum(xy**2)), float(np.sum(xy * below))
    value = scale**2 * square * xy
    return AttentionKernels(value + sb**2, 4 * value + scale**2 * (square * below + 2 * mixed * xy) + sb**2)


def _block(name: str, value: Any) -> Matrix:
    if getattr(value, "dtype", None) in (np.dtype(np.float32), np.dtype(np.float16)):
        raise InvalidInput(f"{name} is {value.dtype}.", "Kernels are computed in float64: pass float64 blocks.")
    array = finite(name, value, ndim=2)
    if not array.size:
        raise InvalidInput(f"{name} is empty.", "Pass at least one position.")
    return array
