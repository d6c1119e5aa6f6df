"""The inverse of the binary relative entropy in its second argument, rounded outward.

UP(q,c) = max{p : kl(q||p) <= c} and LO(q,c) = min{p : kl(q||p) <= c} = 1 - UP(1-q,c). What `kl_upper` returns is never below the
exact UP, what `kl_lower` returns never above the exact LO; `kl_newton` has the algorithm and the derivation of the widths.

Probabilities near one lose their digits in float64: pass them as `q_complement` = 1-q (with q = 1 - q_complement).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...theory.validation import non_negative
from .arithmetic import ARRAY, SCALAR, ULP, Arithmetic, add_down, add_up
from .kl_newton import enclose_upper, log_complement_down, log_p_up
from .probability_pair import broadcast, probability_pair

# Elements worked on at once: some twenty temporaries of this size stay in a core's own cache.
_BLOCK = 8192


class KlInverseParts(NamedTuple):
    """An inverse p of kl(q||.), as four float64 arrays, each rounded to its own safe side.

    For the upper inverse p and gap = p-q are rounded up, complement = 1-p and log_complement = ln(1-p) down; for the lower
    inverse the other way round. Each of the four can be the only accurate one: gap where p ~ q, complement where p ~ 1, its
    logarithm where even the complement underflows.
    """

    p: NDArray[np.float64]
    complement: NDArray[np.float64]
    gap: NDArray[np.float64]
    log_complement: NDArray[np.float64]


def kl_upper(q: ArrayLike, c: ArrayLike, *, q_complement: ArrayLike | None = None) -> NDArray[np.float64]:
    """UP(q,c) = max{p : kl(q||p) <= c}, elementwise with broadcasting, never below the exact value.

    q in [0, 1]; c in [0, inf] nats (c = inf gives 1); `q_complement` = 1-q where q is close to one. Raises InvalidInput.
    Statement pb.klinv; algorithm and widths derived in `kl_newton`.
    """
    return _map(_upper_p, q, c, q_complement)[0]


def kl_lower(q: ArrayLike, c: ArrayLike, *, q_complement: ArrayLike | None = None) -> NDArray[np.float64]:
    """LO(q,c) = min{p : kl(q||p) <= c}, elementwise with broadcasting, never above the exact value. Arguments as `kl_upper`."""
    return _map(_lower_p, q, c, q_complement)[0]


def kl_upper_parts(q: ArrayLike, c: ArrayLike, *, q_complement: ArrayLike | None = None) -> KlInverseParts:
    """UP(q,c) as p, 1-p, p-q and ln(1-p). Arguments as `kl_upper`."""
    return KlInverseParts(*_map(_upper_parts, q, c, q_complement))


def kl_lower_parts(q: ArrayLike, c: ArrayLike, *, q_complement: ArrayLike | None = None) -> KlInverseParts:
    """LO(q,c) as p, 1-p, p-q (never positive) and ln(1-p). Arguments as `kl_upper`."""
    return KlInverseParts(*_map(_lower_parts, q, c, q_complement))


_Kernel = Callable[..., tuple[Any, ...]]


def _map(kernel: _Kernel, q: ArrayLike, c: ArrayLike, q_complement: ArrayLike | None) -> list[Any]:
    """`kernel(ops, q, 1-q, c)` over the broadcast arguments, block by block."""
    x, y = probability_pair("q", q, q_complement)
    divergence = non_negative("c", c)
    if x.ndim == 0 and divergence.ndim == 0:
        return [np.float64(part) for part in kernel(SCALAR, float(x), float(y), float(divergence))]
    operands = broadcast(q=x, q_complement=y, c=divergence)
    flat = [operand.reshape(-1) for operand in operands]
    # An empty block still says how many outputs there are.
    blocks = range(0, max(flat[0].size, 1), _BLOCK)
    results: list[NDArray[np.float64]] = []
    with np.errstate(all="ignore"):
        for start in blocks:
            parts = kernel(ARRAY, *(operand[start : start + _BLOCK] for operand in flat))
            results = results or [np.empty(flat[0].size) for _ in parts]
            for whole, part in zip(results, parts, strict=True):
                whole[start : start + _BLOCK] = part
    return [whole.reshape(operands[0].shape) for whole in results]


def _upper_p(ops: Arithmetic, q: Any, qc: Any, c: Any) -> tuple[Any, ...]:
    return _pick(slice(0, 1), ops, q, qc, c)


def _lower_p(ops: Arithmetic, q: Any, qc: Any, c: Any) -> tuple[Any, ...]:
    return _pick(slice(1, 2), ops, qc, q, c)


def _pick(fields: slice, ops: Arithmetic, q: Any, qc: Any, c: Any) -> tuple[Any, ...]:
    """Some of p, 1-p, gap of the upper inverse, without the logarithms."""
    edge, interior = (lambda *x: _edge(ops, *x)[fields]), (lambda *x: enclose_upper(ops, *x)[fields])
    return ops.split(_is_edge(q, qc, c), edge, interior, q, qc, c)


def _upper_parts(ops: Arithmetic, q: Any, qc: Any, c: Any) -> tuple[Any, ...]:
    p, complement, gap, log_complement, _ = _ends(ops, q, qc, c)
    return p, complement, gap, log_complement


def _lower_parts(ops: Arithmetic, q: Any, qc: Any, c: Any) -> tuple[Any, ...]:
    p, complement, gap, _, log_p = _ends(ops, qc, q, c)
    return complement, p, -gap, log_p


def _ends(ops: Arithmetic, q: Any, qc: Any, c: Any) -> tuple[Any, ...]:
    """Upper inverse: p, 1-p, gap, ln(1-p) and ln p, outward."""
    return ops.split(_is_edge(q, qc, c), partial(_edge, ops), partial(_interior, ops), q, qc, c)


def _is_edge(q: Any, qc: Any, c: Any) -> Any:
    return (q == 0) | (qc == 0) | (c == 0)


def _interior(ops: Arithmetic, q: Any, qc: Any, c: Any) -> tuple[Any, ...]:
    ends = enclose_upper(ops, q, qc, c)
    return (*ends[:3], log_complement_down(ops, q, qc, c, ends), log_p_up(ops, ends.p, ends.complement))


def _edge(ops: Arithmetic, q: Any, qc: Any, c: Any) -> tuple[Any, ...]:
    """The closed forms: p = q at c = 0, p = 1 at q = 1, p = 1 - exp(-c) at q = 0 (one ulp each for exponential and product)."""
    still = (c == 0) | (qc == 0)
    p = ops.where(
        still,
        ops.where(q < 0.5, q, add_up(ops, 1.0, -qc)),
        ops.minimum(-ops.expm1(-c) * (1 + 3 * ULP), 1.0),
    )
    complement = ops.where(
        still,
        ops.where(q < 0.5, add_down(ops, 1.0, -q), qc),
        ops.maximum(ops.exp(-c) * (1 - 3 * ULP) - 2.0**-1072, 0.0),
    )
    log_p = ops.where(p < 0.5, ops.log1p(-ops.minimum(p, 0.5)), ops.log(complement))
    log_still = log_p * (1 + 3 * ULP) - 2.0**-1074 * (p > 0)  # a subnormal product moves nothing, and ln(1-p) < -p
    return p, complement, ops.where(still, 0.0 * p, p), ops.where(still, log_still, -c), log_p_up(ops, p, complement)
