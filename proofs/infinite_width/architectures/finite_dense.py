"""Experiments: finite torch networks with residual blocks, normalisation, dropout or attention, at initialisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ....numerics.randomness import sub_seed
from ....theory.architectures import Activate, Dense, Dropout, LayerNorm, Residual
from ...result import Run
from .setting import AttentionSetting, NetworkSetting

if TYPE_CHECKING:
    from torch import Tensor

_ENTRIES = 1 << 22  # of one chunk of networks: 32 MiB


class _Draw:
    """Fresh standard normal parameters in the order in which a network asks for them, one set per member."""

    def __init__(self, members: int, generator: Any) -> None:
        self.members, self.generator, self.parameters = members, generator, []  # type: ignore[var-annotated]

    def __call__(self, *shape: int) -> Tensor:
        import torch

        drawn = torch.randn(
            self.members, *shape, dtype=torch.float64, device=self.generator.device, generator=self.generator
        )
        self.parameters.append(drawn.requires_grad_(True))
        return drawn

    def dense(self, h: Tensor, units: int, weight: float, bias: float) -> Tensor:
        z = h @ self(h.shape[-1], units) * (weight / h.shape[-1] ** 0.5)
        return z + bias * self(1, units)

    def mask(self, h: Tensor, keep_rate: float) -> Tensor:
        import torch

        draws = torch.rand(h.shape, dtype=torch.float64, device=h.device, generator=self.generator)
        return (draws < keep_rate).double() / keep_rate


def dense_networks(setting: NetworkSetting, run: Run) -> Mapping[str, Any]:
    """Columns `K:i,j` (share of the readout) and `T:i,j` (all parameters) of empirical kernels on the points x."""

    def build(draw: _Draw, x: Tensor, width: int) -> Tensor:
        h = x.expand(draw.members, *x.shape)
        for index, layer in enumerate(setting.layers):
            h = _apply(draw, h, layer, 1 if index == len(setting.layers) - 1 else width)
        return h[:, :, 0]

    layers = sum(1 + len(layer.branch) if isinstance(layer, Residual) else 1 for layer in setting.layers)
    width, points = run.block["width"], len(setting.x)
    return _empirical(build, setting.x, points, layers * width * (width + 4 * points), run)


def _apply(draw: _Draw, h: Tensor, layer: Any, units: int) -> Tensor:
    import torch

    match layer:
        case Dense():
            return draw.dense(h, units, layer.weight_scale, layer.bias_scale)
        case Activate():
            return {"relu": torch.relu, "erf": torch.erf}[layer.activation](h)  # type: ignore[index]
        case LayerNorm():
            centred = h - h.mean(dim=-1, keepdim=True)
            return centred / ((centred**2).mean(dim=-1, keepdim=True) + layer.epsilon).sqrt()
        case Dropout():
            return h * draw.mask(h, layer.keep_rate)
    start = h
    for inner in layer.branch:
        h = _apply(draw, h, inner, units)
    return start + h


def attention_networks(setting: AttentionSetting, run: Run) -> Mapping[str, Any]:
    """The same at one output unit per position of every input, for one attention layer on top of a dense one, or on the inputs."""
    import torch

    points = setting.x.shape[0] * setting.x.shape[1]

    def build(draw: _Draw, x: Tensor, width: int) -> Tensor:
        h = x.expand(draw.members, *x.shape).flatten(1, 2)
        if setting.weight_scale:
            h = draw.dense(h, width, setting.weight_scale, setting.stem_bias_scale)
        h = h.reshape(draw.members, *x.shape[:2], -1)
        units = h.shape[-1]
        key = draw(units, width)
        query = key if setting.scaling == "1/n" else draw(units, width)
        value = draw(units, width)
        scale = width if setting.scaling == "1/n" else width**0.5
        products = (h @ query[:, None]) @ (h @ key[:, None]).mT * (setting.query_key_scale / (units * scale))
        attention = torch.softmax(products, dim=-1) if setting.mechanism == "softmax" else products
        mixed = (attention @ (h @ value[:, None]) / units**0.5).flatten(1, 2)
        return draw.dense(mixed, 1, setting.output_value_scale, setting.bias_scale)[:, :, 0]

    width = run.block["width"]
    return _empirical(build, setting.x, points, width * (4 * width + 8 * points), run)


def _empirical(
    build: Callable[[_Draw, Tensor, int], Tensor], x: np.ndarray, points: int, size: int, run: Run
) -> Mapping[str, Any]:
    import torch

    generator = torch.Generator(device=run.device).manual_seed(sub_seed(run.seed, "networks") % 2**63)
    inputs, group = torch.from_numpy(x).to(run.device), run.block.get("group", 1)
    chunk = group * max(1, _ENTRIES // (size * group))
    tables: dict[str, list[np.ndarray]] = {"K": [], "T": []}
    for start in range(0, run.block["members"], chunk):
        draw = _Draw(min(chunk, run.block["members"] - start), generator)
        output = build(draw, inputs, run.block["width"])
        gradients = [torch.autograd.grad(output[:, i].sum(), draw.parameters, retain_graph=True) for i in range(points)]
        shares = []
        for k in range(len(draw.parameters)):
            stacked = torch.stack([gradient[k].reshape(draw.members, -1) for gradient in gradients], dim=1)
            shares.append(stacked @ stacked.mT)
        for name, parts in (("K", shares[-2:]), ("T", shares)):
            found = sum(parts[1:], parts[0]).reshape(-1, group, points, points).mean(dim=1)
            tables[name].append(found.cpu().numpy())
    return {
        f"{name}:{i},{j}": np.concatenate(table)[:, i, j]
        for name, table in tables.items()
        for i in range(points)
        for j in range(i, points)
    }
