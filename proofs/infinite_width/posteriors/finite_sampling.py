"""Exact posterior samples of a finite torch network's empirical kernel, at every width: an integration test without tolerance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison
from ....numerics.store import Rows
from ....numerics.wide_networks.gram import GramBlocks, gram_blocks
from ....numerics.wide_networks.posterior import ntkgp_posterior
from ....theory.derivation import Algebra, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.infinite_width.posteriors import STO_FINITE
from ....theory.validation import finite, sample_size
from ...result import ByBudget, Check, Control, Result
from ..dynamics import ensemble_law
from ..linear_models import EPS
from ..settings import EnsembleSetting, blocks
from .sampling import SAMPLED, minimise, minimum_of_the_penalised_loss

if TYPE_CHECKING:
    from torch import Tensor

    from ....numerics.networks.fully_connected import FullyConnected, Parameters


@dataclass(frozen=True, eq=False)
class FiniteSetting(EnsembleSetting):
    """A network of `width` units per hidden layer at the parameters of `seed`, and the noise variance s2 > 0."""

    width: int = 20
    noise: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        sample_size("width", self.width)
        if not float(finite("noise", self.noise, ndim=0)) > 0:
            raise InvalidInput(f"noise is {self.noise!r}.", "It must be positive.")


@dataclass(frozen=True)
class ErrorCovariance:
    """Covariance (S,S) of u - J psi at the test points given the initial parameters."""

    covariance: Float[np.ndarray, "test test"]


def _network(s: FiniteSetting, seed: int) -> tuple[FullyConnected, Parameters, Tensor]:
    import torch

    from ....numerics.networks.fully_connected import fully_connected, initialise

    network = fully_connected(inputs=s.train.shape[1], width=s.width, parametrisation="ntk", **s.architecture)
    points = torch.from_numpy(np.concatenate([s.test, s.train]))
    return network, initialise(network, 1, seed=seed), points


def empirical_blocks(s: FiniteSetting) -> GramBlocks:
    """The empirical tangent kernel over (test, train), layer by layer: no Jacobian is formed."""
    from ....numerics.networks.tangent_kernel import empirical_ntk

    network, parameters, points = _network(s, s.seed)
    kernel = empirical_ntk(network, parameters, points)[0, :, 0, :, 0].numpy()
    n = len(s.test)
    return gram_blocks("T0", kernel[:n, :n], kernel[:n, n:], kernel[n:, n:])


def network_jacobian(s: FiniteSetting, seed: int) -> tuple[np.ndarray, int]:
    """Gradients of every output in all parameters by backpropagation, (S+N, P), and how many columns are the readout's."""
    import torch

    from ....numerics.networks.fully_connected import Parameters, forward, pullback

    network, parameters, points = _network(s, seed)
    copies = Parameters(
        *(tuple(t.expand(len(points), -1, -1) for t in ts) for ts in (parameters.weights, parameters.biases))
    )
    trace = forward(network, copies, points[:, None, :])
    gradient = pullback(network, copies, trace, torch.ones_like(trace.output))
    parts = [t.flatten(1) for pair in zip(gradient.weights, gradient.biases, strict=True) for t in pair]
    return torch.cat(parts, dim=1).numpy(), sum(part.shape[1] for part in parts[-2:])


def predict_errors(s: FiniteSetting) -> ErrorCovariance:
    return ErrorCovariance(ntkgp_posterior(empirical_blocks(s), s.labels, noise=s.noise).covariance)


def compare_errors(
    s: FiniteSetting,
    p: ErrorCovariance,
    rows: Rows,
    *,
    label_noise: bool = True,
    readout_of_target: bool = True,
    same_parameters: bool = True,
    penalty: float = 1.0,
) -> Comparison:
    """Errors of the predictor trained from 0 by least squares in all parameters, on the unit draws of psi and xi."""
    j, readout = network_jacobian(s, s.seed)
    target = j if same_parameters else network_jacobian(s, s.seed + 1)[0]
    directions = np.eye(j.shape[1])
    if not readout_of_target:
        directions = directions[:, :-readout]
    n, count = len(s.test), len(s.train)
    goals = np.concatenate([target[n:] @ directions, label_noise * np.sqrt(s.noise) * np.eye(count)], axis=1)
    zero = np.zeros((j.shape[1], goals.shape[1]))
    errors = j[:n] @ minimise(j[n:], goals, zero, penalty * s.noise)
    errors[:, : directions.shape[1]] -= target[:n] @ directions
    observed = errors @ errors.T
    norm = float(np.linalg.norm(j)) ** 2
    gain = float(np.linalg.norm(j[:n] @ j[n:].T)) / s.noise
    rate = 40 * sum(j.shape) * EPS * (s.noise + norm) / s.noise
    scale = (1 + gain) ** 2 * norm
    return Comparison(observed, p.covariance, np.full(observed.shape, 4 * rate * scale), scale)


def infinite_width(s: FiniteSetting) -> ErrorCovariance:
    return ErrorCovariance(ntkgp_posterior(blocks(s)[1], s.labels, noise=s.noise).covariance)


_E = ensemble_law.EXAMPLE
_FINITE = tuple(
    FiniteSetting(_E.train, _E.test, _E.labels, activation, (1.5,) * layers, (0.3,) * layers, width=size, noise=noise)  # type: ignore[arg-type]
    for activation, layers, size, noise in (("erf", 2, 1, 0.5), ("relu", 3, 4, 0.25), ("erf", 3, 10, 1.0), ("relu", 2, 40, 0.5))
)  # fmt: skip

FINITE = Result(
    STO_FINITE,
    predict_errors,
    _FINITE[2],
    (
        Check(
            "torch networks of any width",
            Agreement("rounding"),
            settings=ByBudget(quick=_FINITE),
            compare=compare_errors,
            controls=(
                Control("no label noise", {"compare": partial(compare_errors, label_noise=False)}),
                Control("readout of the target zeroed", {"compare": partial(compare_errors, readout_of_target=False)}),
                Control("target's Jacobian at other parameters", {"compare": partial(compare_errors, same_parameters=False)}),
                Control("half the penalty", {"compare": partial(compare_errors, penalty=0.5)}),
                Control("kernel of infinite width", {"predict": infinite_width}),
            ),
        ),
    ),
    uses=(SAMPLED,),
    derivation=(
        Uses(SAMPLED, "given theta0, J is a fixed feature map: take y = 0 and the start -psi, which has the law of psi"),
        Algebra("then J theta_inf = -J psi + G (J(X) psi + xi): the predictor from 0 trained on J psi + xi, less its target", minimum_of_the_penalised_loss),
    ),
)  # fmt: skip

RESULTS = (FINITE,)
