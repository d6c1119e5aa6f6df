"""Experiments: finite convolutional torch networks at initialisation, many at once. They see no prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ....numerics.randomness import sub_seed
from ...result import Run
from .setting import ConvolutionalSetting

if TYPE_CHECKING:
    from torch import Tensor

_ENTRIES = 1 << 22  # of one chunk of networks: 32 MiB


def convolutional_networks(setting: ConvolutionalSetting, run: Run) -> Mapping[str, Any]:
    """Empirical kernels of networks with `width` channels at initialisation: columns `K:i,j` (covariance of the output given the
    hidden layers, the readout's share) and `T:i,j` (all parameters), i <= j; a row is the mean over `group` networks."""
    import torch

    generator = torch.Generator(device=run.device).manual_seed(sub_seed(run.seed, "convolutions") % 2**63)
    x = torch.from_numpy(setting.x).to(run.device)
    points, width, group = len(setting.x), run.block["width"], run.block.get("group", 1)
    layers = len(setting.weight_scale) - 1
    index, live = _neighbours(setting)
    positions, q = index.shape
    size = layers * (width * width * q + 2 * points * positions * width * q)
    chunk = group * max(1, _ENTRIES // (size * group))
    rows: list[tuple[np.ndarray, np.ndarray]] = []
    for start in range(0, run.block["members"], chunk):
        members = min(chunk, run.block["members"] - start)
        parameters = []
        for fan_in in [setting.x.shape[-1], *[width] * (layers - 1)]:
            parameters.append(_normal(torch, generator, members, fan_in * q, width))
            parameters.append(_normal(torch, generator, members, 1, width))
        readout_in = width * (positions if setting.readout == "flatten" else 1)
        parameters += [_normal(torch, generator, members, readout_in, 1), _normal(torch, generator, members, 1, 1)]
        for parameter in parameters:
            parameter.requires_grad_(True)
        output = _forward(torch, setting, parameters, x, index, live)
        shares = [torch.zeros(members, points, points, dtype=torch.float64, device=run.device) for _ in range(2)]
        gradients = [torch.autograd.grad(output[:, i].sum(), parameters, retain_graph=True) for i in range(points)]
        for k in range(len(parameters)):
            stacked = torch.stack([gradient[k].reshape(members, -1) for gradient in gradients], dim=1)
            product = stacked @ stacked.mT
            shares[1] += product
            if k >= len(parameters) - 2:
                shares[0] += product
        rows.append(tuple(s.reshape(-1, group, points, points).mean(dim=1).cpu().numpy() for s in shares))  # type: ignore[arg-type]
    tables = [np.concatenate(parts) for parts in zip(*rows, strict=True)]
    return {
        f"{name}:{i},{j}": table[:, i, j]
        for name, table in zip("KT", tables, strict=True)
        for i in range(points)
        for j in range(i, points)
    }


def _normal(torch: Any, generator: Any, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, device=generator.device, generator=generator)


def _neighbours(setting: ConvolutionalSetting) -> tuple[np.ndarray, np.ndarray]:
    """For each position and offset the position there, and whether it exists."""
    height, width = setting.x.shape[1:3]
    rows, columns = (np.arange(size) - (size - 1) // 2 for size in setting.filter_size)
    i = np.arange(height)[:, None, None, None] + rows[None, None, :, None] + np.zeros((1, width, 1, 1), dtype=int)
    j = np.arange(width)[None, :, None, None] + columns[None, None, None, :] + np.zeros((height, 1, 1, 1), dtype=int)
    live = (i >= 0) & (i < height) & (j >= 0) & (j < width) | (setting.padding == "circular")
    index = (i % height) * width + j % width
    shape = (height * width, -1)
    return index.reshape(shape), np.array(np.broadcast_to(live, index.shape)).reshape(shape)


def _forward(
    torch: Any,
    setting: ConvolutionalSetting,
    parameters: list[Tensor],
    x: Tensor,
    index: np.ndarray,
    live: np.ndarray,
) -> Tensor:
    """Outputs (members, points)."""
    phi = {"relu": torch.relu, "erf": torch.erf}[setting.activation]  # type: ignore[index]
    positions, q = index.shape
    place, exists = torch.from_numpy(index).to(x.device), torch.from_numpy(live).to(x.device).double()
    h = x.reshape(1, len(x), positions, -1)
    for k, (weight, bias) in enumerate(zip(setting.weight_scale[:-1], setting.bias_scale[:-1], strict=True)):
        channels = h.shape[-1]
        patch = (h[:, :, place] * exists[:, :, None]).reshape(h.shape[0], len(x) * positions, q * channels)
        z = patch @ parameters[2 * k] * (weight / (q * channels) ** 0.5)
        z = z + bias * parameters[2 * k + 1]
        h = phi(z).reshape(z.shape[0], len(x), positions, -1)
    features = h.flatten(2) if setting.readout == "flatten" else h.mean(dim=2)
    weight, bias = setting.weight_scale[-1], setting.bias_scale[-1]
    return (features @ parameters[-2] * (weight / features.shape[-1] ** 0.5) + bias * parameters[-1])[:, :, 0]


def grams(rows: Mapping[str, np.ndarray], name: str, points: int) -> np.ndarray:
    """The columns of one kernel as symmetric matrices, (rows, points, points)."""
    columns = [[rows[f"{name}:{min(i, j)},{max(i, j)}"] for j in range(points)] for i in range(points)]
    return np.moveaxis(np.array(columns), -1, 0)
