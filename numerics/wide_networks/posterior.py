"""Gaussian-process posteriors of the two kernels of a wide network, and what an ensemble adds to or lacks of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .ensemble import EnsembleLaw, ensemble_law, propagated_covariance
from .gram import EPS, GramBlocks, Matrix, label_array, same_points
from .policy import Jitter, clipped_variances, covariance_factor, solver
from .smoother import linear_smoother
from .training import GradientFlow


@dataclass(frozen=True)
class GaussianPosterior:
    """Function values at the test points given noisy labels: N(mean, covariance), and what was used to compute it.

    mean (S,) or (S, outputs), covariance (S, S), `smoother` (S, N). `noise` is the smallest noise variance, `jitter`
    what was added to the diagonal (0 unless asked for), `path` the factorisation, `condition` its condition number.
    """

    mean: Matrix = field(repr=False)
    covariance: Matrix = field(repr=False)
    smoother: Matrix = field(repr=False)
    noise: float
    jitter: float
    path: str
    condition: float

    @property
    def variance(self) -> Matrix:
        """(S,), with rounding below 0 set to 0."""
        values = np.diag(self.covariance)
        tolerance = len(values) * EPS * self.condition * float(np.abs(values).max(initial=0.0))
        return clipped_variances("The posterior covariance", values, tolerance=tolerance)


def posterior(
    kernel: GramBlocks, labels: Any, *, noise: Any = 0.0, jitter: Jitter = "never", name: str = "The Gram matrix"
) -> GaussianPosterior:
    """Exact regression with a Gaussian-process prior: mean `G y`, covariance `C_** - G C_X*`, G = C_*X (C_XX + s2)^{-1}.

    `noise` is s2, one variance or one for each point (s2/m for the mean of m labels). The covariance is formed as
    `M C M^T + G s2 G^T` from factors, hence positive semi-definite. Raises SingularGram, InvalidInput.
    """
    y = label_array(labels, kernel.cross.shape[1])
    found = solver(name, kernel.train, noise=noise, jitter=jitter)
    gain = found.solve(kernel.cross.T).T
    factor = covariance_factor(f"{name} over test and training points", kernel.joint())
    tests = kernel.cross.shape[0]
    variances = np.broadcast_to(np.asarray(noise, dtype=np.float64), (kernel.train.shape[0],)) + found.jitter
    residual = np.concatenate([factor[:tests] - gain @ factor[tests:], gain * np.sqrt(variances)], axis=1)
    return GaussianPosterior(
        gain @ y, residual @ residual.T, gain, found.noise, found.jitter, found.path, found.condition
    )


def nngp_posterior(nngp: GramBlocks, labels: Any, *, noise: Any = 0.0, jitter: Jitter = "never") -> GaussianPosterior:
    """Bayesian posterior of an infinitely wide network with Gaussian parameters: `posterior` with the NNGP kernel.

    Without noise it is the ensemble of networks that train only their readout, to convergence. Source: Lee et al. 2018.
    """
    return posterior(nngp, labels, noise=noise, jitter=jitter, name="K_XX")


def ntkgp_posterior(ntk: GramBlocks, labels: Any, *, noise: Any = 0.0, jitter: Jitter = "never") -> GaussianPosterior:
    """Posterior with the tangent kernel as prior covariance: `posterior` with T. Source: He et al. 2020."""
    return posterior(ntk, labels, noise=noise, jitter=jitter, name="T_XX")


def readout_ensemble(nngp: GramBlocks, labels: Any, *, time_sum_loss: float = math.inf) -> EnsembleLaw:
    """Members that train only their readout (weights and bias): the ensemble law with K in place of T.

    Mean `K_*X K_XX^{-1} (I - e^{-tK}) y`, covariance `K_** - K_*X K_XX^{-1} (I - e^{-2tK}) K_X*`.
    """
    return ensemble_law(nngp, nngp, labels, training=GradientFlow(time_sum_loss))


@dataclass(frozen=True)
class Excess:
    """The three covariances (S,S) in Loewner order, and the two gaps between them, each formed from a factor."""

    nngp: Matrix
    ensemble: Matrix
    ntkgp: Matrix
    over_nngp: Matrix
    below_ntkgp: Matrix


def excess_decomposition(nngp: GramBlocks, ntk: GramBlocks) -> Excess:
    """`Sig_ens = Sig_nngp + (G - H) K_XX (G - H)^T` and `Sig_ntkgp = Sig_ens + M (T - K) M^T`, with H = K_*X K_XX^{-1}.

    Needs T - K positive semi-definite over (test, train): a trained readout with its bias. Raises SingularGram,
    NumericalFailure where T - K is not a covariance.
    """
    same_points(nngp, ntk)
    nothing = np.zeros(nngp.cross.shape[1])
    trained = linear_smoother(ntk)
    bayes = nngp_posterior(nngp, nothing)
    shift = (trained.matrix - bayes.smoother) @ covariance_factor("K_XX", nngp.train)
    hidden = GramBlocks(ntk.test - nngp.test, ntk.cross - nngp.cross, ntk.train - nngp.train)
    return Excess(
        bayes.covariance,
        propagated_covariance(nngp, trained),
        ntkgp_posterior(ntk, nothing).covariance,
        shift @ shift.T,
        propagated_covariance(hidden, trained),
    )
