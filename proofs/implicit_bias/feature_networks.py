"""A real network that is linear in what it trains: frozen random tanh features under a last layer, fitted by the shipped method.

The design of the theorem is computed in NumPy from the same numbers that the torch module holds; the module, its gradients and its descent
are `nv.methods.ibvi`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from ...theory.errors import InvalidInput
from ...theory.validation import finite

if TYPE_CHECKING:
    from torch import nn

    from ...numerics.methods.ibvi import IBVIPosterior


@dataclass(frozen=True, eq=False)
class FeatureNetwork:
    """Inputs (N, d), frozen weights (units, d) and biases (units,) of the hidden layer, and test inputs (S, d)."""

    inputs: Float[np.ndarray, "examples inputs"]
    hidden: Float[np.ndarray, "units inputs"]
    shift: Float[np.ndarray, " units"]
    tests: Float[np.ndarray, "tests inputs"]

    def __post_init__(self) -> None:
        x, w, z = (finite(name, getattr(self, name), ndim=2) for name in ("inputs", "hidden", "tests"))
        if not x.shape[1] == w.shape[1] == z.shape[1] or finite("shift", self.shift, ndim=1).shape != w.shape[:1]:
            raise InvalidInput(
                f"inputs have shape {x.shape}, hidden {w.shape}, shift {self.shift.shape}, tests {z.shape}.",
                "Pass one input size, and one bias for each unit.",
            )

    @property
    def design(self) -> Float[np.ndarray, "examples weights"]:
        """What the last layer sees: its units, then a column of ones for its bias."""
        return self.features(self.inputs)

    def features(self, points: np.ndarray) -> Float[np.ndarray, "points weights"]:
        """The same at other inputs."""
        return np.column_stack([np.tanh(points @ self.hidden.T + self.shift), np.ones(len(points))])


def random_network(
    seed: int, *, examples: int, units: int = 10, spread: float = 3.0, tests: int = 4, far: float = 1.0
) -> FeatureNetwork:
    """Random inputs and features, drawn again until the condition number of the design is below `spread`. Test inputs are `far` times larger."""
    rng = np.random.default_rng(seed)
    while True:
        found = FeatureNetwork(
            1.5 * rng.normal(size=(examples, 3)), rng.normal(size=(units, 3)), rng.normal(size=units), far * rng.normal(size=(tests, 3))
        )  # fmt: skip
        if np.linalg.cond(found.design) < spread:
            return found


def module(network: FeatureNetwork) -> nn.Module:
    """The torch module, its hidden layer frozen."""
    import torch
    from torch import nn

    units, inputs = network.hidden.shape
    first = nn.Linear(inputs, units).double()
    with torch.no_grad():
        first.weight.copy_(torch.from_numpy(network.hidden))
        first.bias.copy_(torch.from_numpy(network.shift))
    return nn.Sequential(first.requires_grad_(False), nn.Tanh(), nn.Linear(units, 1).double()).eval()


def fit(
    network: FeatureNetwork,
    targets: np.ndarray,
    *,
    seed: int,
    device: str,
    likelihood: str = "gaussian",
    **choices: Any,
) -> tuple[IBVIPosterior, IBVIPosterior]:
    """Prior and posterior of `nv.methods.ibvi` in the theorems' convention: the sum over the batch, plain descent, one rate for mean and factor.

    targets: numbers (N,), or labels 0 and 1 for a binary likelihood. `choices` override settings of `IBVIConfig`.
    """
    import torch

    from ...numerics.methods import ibvi

    plain = {
        "parametrisation": "sp", "covariance_rate": 1.0, "schedule": "constant", "momentum": 0.0, "reduction": "sum", "batch_size": len(targets),
    }  # fmt: skip
    if choices.get("covariance") == "diagonal":
        plain["covariance_rate"] = None
    config = ibvi.IBVIConfig(likelihood, **plain | choices)  # type: ignore[arg-type]
    y = torch.from_numpy(np.asarray(targets))
    data = (torch.from_numpy(network.inputs), y[:, None] if likelihood == "gaussian" else y)
    net = module(network)
    start = ibvi.prior(net, data, config, seed=seed, device=device)
    return start, ibvi.fit(net, data, config, seed=seed, device=device)


def law(posterior: IBVIPosterior) -> tuple[Float[np.ndarray, " weights"], Float[np.ndarray, "weights columns"]]:
    """Mean and explicit factor of the last layer, in the design's order."""
    import torch

    (layer,) = posterior.family.layers
    mean = torch.cat([posterior.law.means[name].reshape(-1) for name in layer.tensors])
    factor = posterior.family.covariance.matrix(layer, posterior.law.factors)
    return mean.detach().cpu().numpy(), factor.detach().cpu().numpy()


def rows_of(start: IBVIPosterior, end: IBVIPosterior) -> dict[str, np.ndarray]:
    """Both laws as one row each."""
    found: dict[str, np.ndarray] = {}
    for name, posterior in (("prior", start), ("trained", end)):
        mean, factor = law(posterior)
        found |= {f"{name}_mean": mean[None], f"{name}_factor": factor.reshape(1, -1)}
    return found


def law_in(rows: Mapping[str, Any], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and factor of "prior" or "trained" from `rows_of`."""
    mean = np.asarray(rows[f"{name}_mean"][0])
    return mean, np.asarray(rows[f"{name}_factor"][0]).reshape(len(mean), -1)


def as_rule(predict: Callable[[Any], Any]) -> Callable[[Any], Callable[[Any], Any]]:
    """A prediction for the theorem's setting that is known once the method has drawn its prior: the function itself."""
    return lambda setting: predict
