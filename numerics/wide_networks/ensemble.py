"""The law of an ensemble of infinitely wide (or linearised) networks trained on the sum of squares."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .gram import GramBlocks, Matrix, label_array, same_points
from .policy import Jitter, covariance_factor
from .smoother import LinearSmoother, linear_smoother
from .training import GradientFlow, Training


@dataclass(frozen=True)
class EnsembleLaw:
    """Outputs of one trained member at the test points: N(mean, covariance), with the smoother that was used.

    mean (S,) or (S, outputs); covariance (S, S), the same for every output; outputs are independent.
    """

    mean: Matrix = field(repr=False)
    covariance: Matrix = field(repr=False)
    smoother: LinearSmoother

    @property
    def variance(self) -> Matrix:
        """(S,), not negative by construction."""
        return np.diag(self.covariance).copy()

    def joint_covariance(self) -> Matrix:
        """Covariance over (point, output) pairs, (S, outputs, S, outputs): no correlation between outputs."""
        outputs = 1 if self.mean.ndim == 1 else self.mean.shape[1]
        return np.einsum("st,ij->sitj", self.covariance, np.eye(outputs))


def ensemble_law(
    nngp: GramBlocks,
    ntk: GramBlocks,
    labels: Any,
    *,
    training: Training | None = None,
    ridge_sum_loss: float = 0.0,
    multiplicity: Any = None,
    centred: bool = False,
    jitter: Jitter = "never",
) -> EnsembleLaw:
    """Mean G y and covariance M K M^T, M = [I, -G], of members trained from independent initialisations on labels y.

    Conventions of training, ridge and multiplicity as in `linear_smoother`. `centred`: members are
    `f(x; theta) - f(x; theta0)`, so every one of them is the mean. The covariance is formed from a factor of the joint
    K, hence positive semi-definite. Source: Lee et al. 2019. Raises as `linear_smoother`.
    """
    same_points(nngp, ntk)
    y = label_array(labels, ntk.cross.shape[1])
    found = linear_smoother(
        ntk, training=training, ridge_sum_loss=ridge_sum_loss, multiplicity=multiplicity, jitter=jitter
    )
    covariance = np.zeros_like(nngp.test) if centred else propagated_covariance(nngp, found)
    return EnsembleLaw(found.matrix @ y, covariance, found)


def propagated_covariance(prior: GramBlocks, smoother: LinearSmoother) -> Matrix:
    """M C M^T (S,S) for initial functions of covariance C, by a factor of C over (test, train)."""
    factor = covariance_factor("The joint prior covariance", prior.joint())
    tests = prior.cross.shape[0]
    residual = factor[:tests] - smoother.matrix @ factor[tests:]
    return residual @ residual.T


def smoother(ntk: GramBlocks, *, time_sum_loss: float = math.inf) -> Matrix:
    """G_t = T_*X A_t with A_t = T_XX^{-1} (I - exp(-t T_XX)), shape (S,N): the trained output is f0 + G_t (y - f0(X)).

    `time_sum_loss` is the time of gradient flow at unit rate on `1/2 sum (f - y)^2` (no 1/N). Only `ntk.cross` and
    `ntk.train` are used. Source: Jacot et al. 2018, Lee et al. 2019. Raises SingularGram at infinite time,
    NumericalFailure if T_XX is not positive semi-definite.
    """
    return linear_smoother(ntk, training=GradientFlow(time_sum_loss)).matrix


def ensemble_covariance(nngp: GramBlocks, ntk: GramBlocks, *, time_sum_loss: float = math.inf) -> Matrix:
    """Covariance (S,S) over members of the trained output at the test points: M_t K M_t^T with M_t = [I, -G_t].

    At infinite time `K_** + G K_XX G^T - G K_X* - K_*X G^T`. Formed from a factor of the joint K, hence positive
    semi-definite by construction. Labels do not enter. Source: Lee et al. 2019. Raises as `smoother` does.
    """
    same_points(nngp, ntk)
    return propagated_covariance(nngp, linear_smoother(ntk, training=GradientFlow(time_sum_loss)))


def ensemble_mean(ntk: GramBlocks, labels: Any, *, time_sum_loss: float = math.inf) -> Matrix:
    """Mean over members of the trained output at the test points, G_t y, for labels y of shape (N,) or (N, outputs)."""
    y = label_array(labels, ntk.cross.shape[1])
    return smoother(ntk, time_sum_loss=time_sum_loss) @ y


def rnd_error_covariance(nngp: GramBlocks, ntk: GramBlocks, *, time_sum_loss: float = math.inf) -> Matrix:
    """Covariance (S,S) of u - g when a predictor u is trained on a frozen network g of its own architecture: 2 M_t K
    M_t^T.

    Half its diagonal is the ensemble variance. Source: Zanger et al. 2026, with the factor 2 that their corollary
    lacks.
    """
    return 2 * ensemble_covariance(nngp, ntk, time_sum_loss=time_sum_loss)


def rnd_variance(predictor: Any, target: Any) -> Matrix:
    """The ensemble variance that distillation estimates: the mean over heads of (u - g)^2, halved; (..., heads) to
    (...).

    The mean square itself is twice a variance. Its relative standard error is sqrt(2/heads) in the limit of infinite
    width.
    """
    u, g = finite("predictor", predictor), finite("target", target)
    if u.shape != g.shape or u.ndim < 1 or not u.shape[-1]:
        raise InvalidInput(f"predictor and target have shapes {u.shape} and {g.shape}.", "Pass (..., heads) twice.")
    return ((u - g) ** 2).mean(axis=-1) / 2
