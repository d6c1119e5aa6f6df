"""How a linear model is trained: what a statement about its implicit bias needs to know of the optimiser."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ...theory.errors import InvalidInput
from ...theory.validation import finite, sample_size

Loss = Literal["squared", "logistic", "exponential"]
Covariance = Literal["factor", "diagonal", "log_diagonal", "cholesky", "kronecker", "covariance"]
ADAPTIVE = ("adam", "adamw", "adagrad", "adadelta", "rmsprop", "nadam", "radam", "adamax")
OPTIMISERS = ("sgd", *ADAPTIVE)


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """Settings of descent on a linear model.

    step: learning rate on the loss summed over all examples (squared: with the factor 1/2); `half_sum_step` converts others.
    loss: "squared", or "logistic" / "exponential" on rows that absorbed their labels (`absorb_labels`).
    optimiser: "sgd" with `momentum` and `nesterov` as torch.optim.SGD has them, or the name of an adaptive one.
    batch_size: examples of a step, drawn independently for each step, gradients scaled by N/batch_size; None: all of them.
    samples: draws of the weights in a step; None: the expected loss itself, or a model without a law.
    antithetic: the draws come in pairs z, -z (`samples` is then even). redraw: fresh draws at each step.
    covariance: which parameters carry the law: "factor" (S in Sigma = S S^T), "diagonal" (S = diag(s)), "log_diagonal" (s =
    exp(rho)), "cholesky", "kronecker", or "covariance" (Sigma itself).
    covariance_rate: learning rate of these, relative to `step`. metric: D of the update w <- w - step D g, for mean and factor,
    (parameters,) for a diagonal or (parameters, parameters); None: the identity. weight_decay: coefficient of ||w||^2/2.

    Raises `InvalidInput`.
    """

    step: float
    loss: Loss = "squared"
    optimiser: str = "sgd"
    momentum: float = 0.0
    nesterov: bool = False
    batch_size: int | None = None
    samples: int | None = None
    antithetic: bool = False
    redraw: bool = True
    covariance: Covariance = "factor"
    covariance_rate: float = 1.0
    metric: Any = None
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _choice("loss", self.loss, get_args(Loss))
        _choice("optimiser", self.optimiser, OPTIMISERS)
        _choice("covariance", self.covariance, get_args(Covariance))
        for name in ("step", "covariance_rate"):
            value = float(finite(name, getattr(self, name), ndim=0))
            if value <= 0:
                raise InvalidInput(f"{name} is {value:g}.", "It must be larger than 0.")
        if not 0 <= float(finite("momentum", self.momentum, ndim=0)) < 1:
            raise InvalidInput(f"momentum is {self.momentum!r}.", "It must lie in [0, 1).")
        if self.nesterov and self.momentum == 0:
            raise InvalidInput("nesterov is set without momentum.", "Give a momentum in (0, 1), or leave nesterov out.")
        if not 0 <= float(finite("weight_decay", self.weight_decay, ndim=0)) < math.inf:
            raise InvalidInput(f"weight_decay is {self.weight_decay!r}.", "It must be 0 or larger.")
        for name in ("batch_size", "samples"):
            if getattr(self, name) is not None:
                sample_size(name, getattr(self, name))
        if self.antithetic and (self.samples is None or self.samples % 2):
            raise InvalidInput(f"antithetic pairs with samples = {self.samples!r}.", "Give an even number of samples.")
        if not self.redraw and self.samples is None:
            raise InvalidInput(
                "redraw=False without samples.", "Say how many draws are reused, or leave the expected loss."
            )

    @property
    def adaptive(self) -> bool:
        """Does the update divide by a history of gradients?"""
        return self.optimiser in ADAPTIVE


def _choice(name: str, value: Any, known: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in known:
        raise InvalidInput(f"{name} is {value!r}.", f"Choose one of {', '.join(known)}.")
