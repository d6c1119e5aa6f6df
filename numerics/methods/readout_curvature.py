"""The generalised Gauss-Newton matrix of a classifier's last layer: G = sum_n L_n (x) phi_n phi_n^T, with phi the layer's inputs and a 1 for
its bias, and L_n the Hessian of the n-th negative log likelihood in the logits."""

from __future__ import annotations

import torch
from torch import Tensor

from ...theory.errors import InvalidInput, NumericalFailure
from ..variational.layers import Layer, find_layers
from ..variational.losses import Likelihood
from ..variational.prediction import BATCH
from .network import FrozenNetwork, outputs

LARGEST = 20_000  # entries of the layer: G takes 3.2 GB


def find_readout(network: FrozenNetwork, x: Tensor) -> Layer:
    """The linear layer whose output is the module's. Raises `InvalidInput` where there is none, or too large a one."""
    layer = next((layer for layer in find_layers(network, x)[0] if layer.direct), None)
    if layer is None:
        raise InvalidInput(
            "The model's output is not that of a linear layer of its own weights with requires_grad.",
            "End it in nn.Linear, called once, without a softmax; `laplace` takes any layer.",
        )
    if layer.size > LARGEST:
        raise InvalidInput(
            f"The last layer has {layer.size:,} weights: their curvature would take {8e-9 * layer.size**2:.1f} GB.",
            f"At most {LARGEST:,} are taken. Use fewer features, or `laplace` by its function route on few examples.",
        )
    return layer


def readout_features(network: FrozenNetwork, layer: Layer, x: Tensor) -> tuple[Tensor, Tensor]:
    """phi(x) (inputs, features), with a 1 where the bias is random, and the logits; in float64."""
    seen: list[Tensor] = []
    part = network.module.get_submodule(layer.name)
    handle = part.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    try:
        logits = torch.cat([outputs(network, block) for block in x.split(BATCH)]).double()
    finally:
        handle.remove()
    features = torch.cat(seen).double()
    if layer.bias is not None:
        features = torch.cat([features, torch.ones_like(features[:, :1])], dim=1)
    return features, logits


def curvature_spectrum(likelihood: Likelihood, features: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (those within the rounding of the largest as 0) and eigenvectors of G, its entries ordered (class, feature). Raises
    `NumericalFailure`."""
    width, classes = features.shape[1], logits.shape[1]
    ggn = features.new_zeros(classes, width, classes, width)
    for phi, f in zip(features.split(BATCH), logits.split(BATCH), strict=True):
        if likelihood == "binary":
            ggn[0, :, 0] += phi.T @ ((torch.sigmoid(f) * torch.sigmoid(-f)) * phi)
            continue
        p = torch.softmax(f, dim=1)
        for k in range(classes):
            for other in range(k, classes):
                weight = p[:, k] * (float(k == other) - p[:, other])
                ggn[k, :, other] += phi.T @ (weight[:, None] * phi)
    for k in range(classes):
        for other in range(k):
            ggn[k, :, other] = ggn[other, :, k].T
    size = classes * width
    try:
        values, vectors = torch.linalg.eigh(ggn.reshape(size, size))
    except RuntimeError as error:
        raise NumericalFailure(
            f"The eigendecomposition of the curvature failed: {error}",
            "Rescale the features, for example by a norm layer.",
        ) from error
    rounding = size * torch.finfo(values.dtype).eps * values.abs().max()
    return torch.where(values > rounding, values, 0.0), vectors.contiguous()
