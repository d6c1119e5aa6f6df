"""A certificate for one network drawn from a Gaussian posterior: for that very network, not for the average (pb.disintegrated)."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ...theory.errors import InvalidInput
from ...theory.validation import log_inverse_delta
from ..bounds.certificate import Certificate
from ..bounds.one_draw import one_draw_kl, one_draw_occam
from ..methods.data import generator
from ..methods.network import FrozenNetwork, outputs
from .certify import on_device
from .gaussian import MeanFieldGaussian, kl_divergence, sample
from .losses import Loss
from .monte_carlo import DrawnRisks, labelled_data

STREAM = "certify: the one draw"
BATCH = 4096
UNIT = 2.0**-53


@dataclass(frozen=True, eq=False)
class Drawn:
    """The network that was drawn, ln(dQ/dP) at its parameters (rounded up), its empirical risk, and its certificate."""

    module: nn.Module
    log_density: float
    risk: float
    certificate: Certificate


def certify_draw(
    posterior: MeanFieldGaussian,
    *,
    prior: MeanFieldGaussian,
    data: Any,
    delta: float,
    seed: int,
    form: Literal["kl", "occam"] = "kl",
    loss: Literal["zero_one", "cross_entropy"] = "zero_one",
    pmin: float | None = None,
    device: str | torch.device = "cpu",
) -> Drawn:
    """Draw one network from `posterior` and bound its true risk, with probability 1 - delta over the examples and the draw.

    Parameters
    ----------
    posterior, prior, data: as in `certify`; the prior was chosen without looking at `data`.
    seed: of the draw. It is drawn once: trying several seeds and keeping the best is a union over them.
    form: "kl" pays ln xi(n) (Rivasplata et al. 2020), "occam" twice the log-density and no ln n (Blanchard and Fleuret 2007, b = 1); fixed
        before the data.
    loss, pmin, device: as in `certify`.

    Raises `InvalidInput`, `AssumptionViolated`.
    """
    log_inverse_delta(delta)
    if form not in ("kl", "occam"):
        raise InvalidInput(f"form is {form!r}.", "Choose 'kl' or 'occam', before seeing the data.")
    measured = Loss(loss, pmin)
    generator(seed, "validation", torch.device("cpu"))
    kl_divergence(posterior, prior)  # refuses Gaussians over different things
    placed, reference = on_device(posterior, device), on_device(prior, device)
    x, y = labelled_data(data, placed.network)
    drawn = sample(placed, generator(seed, STREAM, placed.network.device))
    density = log_density_ratio(drawn, placed, reference)
    network = FrozenNetwork(placed.network.module, drawn, placed.network.fixed)
    total = sum(
        float(measured(outputs(network, inputs), labels).sum(dtype=torch.float64))
        for inputs, labels in zip(x.split(BATCH), y.split(BATCH), strict=True)
    )
    risk = DrawnRisks(torch.tensor([total], dtype=torch.float64), len(x), measured, len(x)).mean_upward
    bound = one_draw_kl if form == "kl" else one_draw_occam
    certificate = bound(risk=risk, log_density=density, n=len(x), delta=delta)
    certificate = replace(certificate, inputs={**certificate.inputs, "loss": str(measured), "seed": int(seed)})
    module = deepcopy(placed.network.module)
    with torch.no_grad():
        for name, value in drawn.items():
            module.get_parameter(name).copy_(value)
    return Drawn(module, density, risk, certificate)


def log_density_ratio(point: dict[str, Tensor], posterior: MeanFieldGaussian, prior: MeanFieldGaussian) -> float:
    """ln (dQ/dP)(point), rounded up.

    Coordinate by coordinate lp - lq + a^2/2 - b^2/2 with a = (h - mean)/scale under P and b under Q. A difference, an exponential (within
    two half-ulps), a product and a square leave a^2 and b^2 right to 9 half-ulps each; the sum is correctly rounded.
    """
    parts: list[float] = []
    doubt = 0.0
    for name, value in point.items():
        h, mq, lq, mp, lp = (
            tensor.detach().cpu().double().numpy().ravel()
            for tensor in (
                value,
                posterior.means[name],
                posterior.log_scales[name],
                prior.means[name],
                prior.log_scales[name],
            )
        )
        a, b, shift = (h - mp) * np.exp(-lp), (h - mq) * np.exp(-lq), lp - lq
        parts += (shift + 0.0).tolist() + (a * a / 2).tolist() + (-b * b / 2).tolist()
        doubt += float(np.sum(np.abs(shift)) + 9 * np.sum(a * a + b * b) / 2)
    if not math.isfinite(doubt):
        raise InvalidInput("The density of the draw under the prior is not finite.", "The scales are too far apart.")
    # the sum of the doubts itself is right to a part in a million
    return math.nextafter(math.fsum(parts) + UNIT * doubt * (1 + 1e-6), math.inf)
