"""Does a colder posterior predict better? Both derivatives in the temperature are covariances under the posterior itself (pb.cpe).

For p_l(theta) proportional to p(D|theta)^l pi(theta) and B(l) = E_x[-ln E_{p_l} p(x|theta)]:
d/dl E_{p_l} Lh = -n Var_{p_l}(Lh) and dB/dl = n (E_{q_l} Lh - E_{p_l} Lh), q_l = the posterior after one fresh observation, averaged over it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .jensen import loss_array


@dataclass(frozen=True)
class ColdPosterior:
    """Under the posterior given by the weights: mean train loss and its derivative in l, B and its derivative in l.

    `bayes_slope` < 0 says that a colder posterior would predict better on the test points (a cold posterior effect): absorbing one more
    test point would also lower the training loss. `l` tempers the likelihood only; a prior tempered with it is another path.
    """

    train_loss: float
    train_slope: float
    bayes_loss: float
    bayes_slope: float


def cold_posterior(
    train_losses: ArrayLike, test_losses: ArrayLike, *, weights: ArrayLike | None = None
) -> ColdPosterior:
    """Values and derivatives at the temperature whose posterior the weights describe.

    train_losses: (models, n) and test_losses: (models, points) of log-losses of the same models: posterior samples with equal
    weights (then an estimate), or a finite family with the posterior's weights (then exact). Raises `InvalidInput`.
    """
    train, rho = loss_array(train_losses, weights)
    test, _ = loss_array(test_losses, weights)
    if len(train) != len(test):
        raise InvalidInput(
            f"{len(train)} models have train and {len(test)} have test losses.", "Use the same models for both."
        )
    fit = train.mean(axis=1)
    centred = fit - rho @ fit
    centred = centred - rho @ centred
    log_share = -test - logsumexp(-test, b=rho[:, None], axis=0)  # ln of p(x|theta)/E p
    share = np.expm1(log_share)
    n = train.shape[1]
    return ColdPosterior(
        train_loss=float(rho @ fit),
        train_slope=-n * float(rho @ centred**2),
        bayes_loss=float(np.mean(-logsumexp(-test, b=rho[:, None], axis=0))),
        bayes_slope=n * float(np.mean((rho * centred) @ share)),
    )


def tempered_weights(train_losses: ArrayLike, temper: float, *, prior: ArrayLike | None = None) -> NDArray[np.float64]:
    """Weights of p_l on a finite family: proportional to prior times exp(-l sum of train losses). Raises `InvalidInput`."""
    train, pi = loss_array(train_losses, prior)
    if prior is not None and len(train) != len(np.asarray(prior)):
        raise InvalidInput("A prior weight is zero.", "Leave that model out.")
    logits = np.log(pi) - float(finite("temper", temper, ndim=0)) * train.sum(axis=1)
    return np.exp(logits - logsumexp(logits))
