"""Gram matrices of fully connected rectifier networks in torch, on a processor or a graphics card: `rectified_tile` on tensors. Needs torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...theory.activations import ABRelu, Activation, Numerical, resolve
from ...theory.errors import InvalidInput, MissingExtra
from .fully_connected import checked_scales, require_norms
from .input_tiles import SAFE_COSINE
from .rectified_tile import RectifiedNorms, rectified_norms, slopes

if TYPE_CHECKING:
    from torch import Tensor

TILES = {"cpu": 256, "cuda": 4096}  # rows and columns: in a core's cache; enough to fill a card
CLOSE = {"cpu": 1 << 18, "cuda": 1 << 25}  # float64 entries of one block of differences of close pairs
ARRAYS, BLOCKS = 12, 10  # arrays of a tile's size and of a block's size that are held at most


@dataclass(frozen=True, eq=False)
class TorchKernels:
    """Gram matrices (n, m) as float64 tensors: covariance of the output at initialisation, and tangent kernel."""

    nngp: Tensor
    ntk: Tensor


def working_bytes(kind: str, rows: int, columns: int, features: int) -> int:
    """Bytes beyond the result on a device of this kind: tiles, a block of close pairs, and copies of the inputs."""
    tile = min(TILES[kind], max(rows, columns))
    close = BLOCKS * max(CLOSE[kind], features)
    return 8 * (ARRAYS * tile * tile + close + (rows + columns) * (features + 64))


def load() -> Any:
    """The module torch. Raises MissingExtra."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtra(
            "Kernels on a device need torch, which is not installed.", "Install 'nonvacuous[torch]'."
        ) from error
    return torch


def checked_device(torch: Any, device: Any) -> Any:
    """A torch.device that computes in float64. Raises InvalidInput."""
    try:
        found = torch.device(device)
        torch.empty(1, dtype=torch.float64, device=found)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        raise InvalidInput(f"device {device!r} has no float64 tensors here: {error}", "Use 'cpu' or 'cuda'.") from error
    if found.type not in TILES:
        raise InvalidInput(f"device is {device!r}.", "Use 'cpu' or 'cuda'.")
    return found


def free_bytes(torch: Any, device: Any, host: Callable[[], float]) -> float:
    """Memory that a device has left; `host` says so for the processor's."""
    return float(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else host()


def checked_inputs(torch: Any, name: str, value: Any) -> Tensor:
    """(n, d), float64, finite, where it lies. Raises InvalidInput."""
    if not isinstance(value, torch.Tensor):
        array = np.asarray(value)
        if array.dtype.kind not in "fiu" or array.dtype in (np.float32, np.float16):
            raise InvalidInput(f"{name} is {array.dtype}.", "Kernels are computed in float64: pass float64 inputs.")
        value = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float64))
    if value.dtype != torch.float64:
        raise InvalidInput(f"{name} is {value.dtype}.", "Kernels are computed in float64: pass float64 inputs.")
    if value.ndim != 2 or not value.numel():
        raise InvalidInput(
            f"{name} has shape {tuple(value.shape)}.", "Pass two dimensions, at least one row and one column."
        )
    if not bool(torch.isfinite(value).all()):
        raise InvalidInput(f"{name} contains NaN or infinity.", "Remove or impute those inputs first.")
    return value.detach()


def rectifier(activation: Activation | Numerical) -> ABRelu:
    """al min(z,0) + be max(z,0) with al be >= 0. Raises InvalidInput for any other."""
    found = None if isinstance(activation, Numerical) else resolve(activation)
    if not isinstance(found, ABRelu) or found.negative * found.positive < 0:
        raise InvalidInput(
            f"{activation!r} is not computed in torch.",
            "Pass NumPy arrays and no device, or use 'relu', LeakyRelu, ABRelu.",
        )
    return found


def torch_gram(
    torch: Any,
    x: Tensor,
    y: Tensor | None,
    *,
    depth: int,
    activation: ABRelu,
    weight_scale: float | Sequence[float],
    bias_scale: float | Sequence[float],
    destination: Sequence[Tensor | None],
    progress: Callable[[int, int], None],
) -> None:
    """Fill (nngp, ntk), (n, m) each or None, tile by tile, from checked inputs on one device. Raises InvalidInput."""
    sw, sb = checked_scales(depth, weight_scale, bias_scale)
    mean, rate = slopes(activation)
    first, later = (sw[0], sb[0]), tuple(zip(sw[1:], sb[1:], strict=True))
    right = x if y is None else y
    norms = []
    for inputs in (x,) if y is None else (x, y):
        a = ((sw[0] / math.sqrt(x.shape[1]) * inputs) ** 2).sum(1) + sb[0] ** 2
        on_host = a.cpu().numpy()
        require_norms(on_host)
        with np.errstate(over="ignore", invalid="ignore"):
            found = rectified_norms(on_host, x.shape[1], mean, first, later)
        norms.append(_placed(torch, found, x.device))
    places = list(_places(len(x), len(right), TILES[x.device.type], y is None))
    for done, (i, j) in enumerate(places, start=1):
        one: Any = norms[0][i]
        other: Any = norms[-1][j]
        same = y is None and i == j
        h, opposite = _half_versines(torch, x[i], right[j], one, other, same, first)
        parts = _tile(torch, h, opposite, one, other, rate)
        scale = one.root[:, None] * other.root
        for whole, part in zip(destination, parts, strict=True):
            if whole is None:
                continue
            part.mul_(scale)
            if not bool(torch.isfinite(part).all()):
                raise InvalidInput(
                    "The kernels overflow float64.", "Bring inputs and scales nearer to 1 (inputs below 1e70)."
                )
            whole[i, j] = part.to(whole.device)
            if y is None and not same:
                whole[j, i] = part.T.to(whole.device)
        progress(done, len(places))


def _places(n: int, m: int, tile: int, symmetric: bool) -> Iterator[tuple[slice, slice]]:
    for i in range(0, n, tile):
        for j in range(0, min(m, i + tile) if symmetric else m, tile):
            yield slice(i, min(n, i + tile)), slice(j, min(m, j + tile))


def _placed(torch: Any, norms: RectifiedNorms, device: Any) -> RectifiedNorms:
    """The same on the device: tensors stand where the arrays stood."""

    def move(value: Any) -> Any:
        return torch.from_numpy(np.ascontiguousarray(value)).to(device)

    layers = tuple((move(c), move(s)) for c, s in norms.layers)
    return RectifiedNorms(move(norms.a), move(norms.inverse), move(norms.bias), layers, move(norms.root))


def _half_versines(
    torch: Any, x: Tensor, y: Tensor, left: Any, right: Any, same: bool, scales: tuple[float, float]
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor] | None]:
    """As `rectified_tile.half_versines`."""
    h = x @ y.T
    h.mul_(left.inverse[:, None] * right.inverse)
    if scales[1]:
        h.add_(left.bias[:, None] * right.bias)
    if same:
        h = h.tril(-1)
        h += h.T.clone()
    rows, columns = (h.abs() > SAFE_COSINE).nonzero(as_tuple=True)
    h.mul_(-0.5).add_(0.5)
    near = x.new_empty(2, len(rows))
    step = max(1, CLOSE[x.device.type] // x.shape[1])
    for start in range(0, len(rows), step):
        i, j = rows[start : start + step], columns[start : start + step]
        near[:, start : start + step] = _close_pairs(torch, x[i], y[j], left.a[i], right.a[j], scales)
    h[rows, columns] = near[0]
    if same:
        h.fill_diagonal_(0.0)
    far = near[0] > 0.5
    return h, (rows[far], columns[far], near[1, far]) if bool(far.any()) else None


def _close_pairs(torch: Any, x: Tensor, y: Tensor, a: Tensor, b: Tensor, scales: tuple[float, float]) -> Tensor:
    """(2, pairs): sin(t/2)^2 and cos(t/2)^2 of the rows of x and y, as `pairs.pair_coordinates` computes the gaps."""
    factor = scales[0] / math.sqrt(x.shape[1])
    delta, total = factor * (x - y), factor * (x + y)
    roots = a.sqrt() + b.sqrt()
    q = torch.where(roots > 0, (delta * total).sum(1) / roots, torch.zeros_like(a))
    shorter = torch.where((a <= b)[:, None], x, y).mul_(factor)
    norm = torch.minimum(a, b).sqrt()
    w = delta.mul_(norm[:, None]).sub_(q[:, None] * shorter).square_().sum(1) + (scales[1] * q) ** 2
    v = total.mul_(norm[:, None]).add_(q.abs()[:, None] * shorter).square_().sum(1)
    v = v + (scales[1] * (2 * norm + q.abs())) ** 2
    # a b may leave the range that its root does not
    root = (a * b).sqrt()
    both = torch.stack([w, v]) / (2 * root) / (2 * root)
    return torch.where(root > 0, both, torch.zeros_like(both)).clamp_(0.0, 1.0)


def _tile(torch: Any, h: Tensor, opposite: Any, left: Any, right: Any, rate: float) -> tuple[Tensor, Tensor]:
    """As `rectified_tile.rectified_tile`."""
    cosine = 1 - 2 * h
    tangent = cosine.clone()
    for layer, ((c, s), (d, u)) in enumerate(zip(left.layers, right.layers, strict=True)):
        angle = h.sqrt().asin_()
        sine = (1 - h).mul_(h).sqrt_()
        if opposite is not None and layer == 0:
            rows, columns, rest = opposite
            angle[rows, columns] = math.pi / 2 - rest.sqrt().asin()
            sine[rows, columns] = (rest * (1 - rest)).sqrt()
        h.sub_(sine.sub_(cosine.mul_(angle)).mul_(rate))
        pair = torch.mul(c[:, None], d, out=sine)
        h.mul_(pair)
        tangent.mul_(pair).mul_(angle.mul_(-2 * rate).add_(1))
        for one, other in ((c, d), (s, u)):
            h.add_(torch.sub(one[:, None] / 2, other / 2, out=pair).square_())
        torch.mul(h, -2, out=cosine)
        tangent.add_(cosine.add_(1))
    return cosine, tangent
