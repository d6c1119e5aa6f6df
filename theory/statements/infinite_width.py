"""Infinite width: the statements. NTK parametrisation, W and b standard normal, loss half the sum of squares, unit rate."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..statement import Assumption, Kind, Source, Statement


def _positive_definite(setting: Any) -> bool:
    """Distinct inputs; without any bias also none at 0, and no two that every network maps to proportional outputs: positive
    multiples of one another under max(z,0), which is homogeneous, and opposite ones under erf, which is odd."""
    train = np.asarray(setting.train, dtype=np.float64)
    if len(np.unique(train, axis=0)) < len(train):
        return False
    if any(scale != 0 for scale in setting.bias_scale):
        return True
    norms = np.linalg.norm(train, axis=1)
    if (norms == 0).any():
        return False
    if setting.activation == "erf":
        return not any((a == -b).all() for i, a in enumerate(train) for b in train[:i])
    return len(np.unique(np.round(train / norms[:, None], 12), axis=0)) == len(train)


NTK_PARAMETRISATION = Assumption(
    "NTK parametrisation", "Layer l is sw_l/sqrt(fan in) W h + sb_l b with entries of W and b independent N(0, 1)."
)
LIPSCHITZ = Assumption("activation", "phi is Lipschitz; the closed forms here are those of max(z, 0) and erf.")
WIDTHS_IN_ORDER = Assumption("widths", "The hidden widths tend to infinity one after the other, from the input on.")
READOUT_TRAINED = Assumption("readout", "Readout weights and readout bias are drawn from N(0, 1) and trained.")
SUM_LOSS = Assumption("loss convention", "The loss is 1/2 sum (f - y)^2, without 1/N, and gradient flow has unit rate.")
POSITIVE_DEFINITE = Assumption(
    "T_XX positive definite",
    "T_XX is invertible: distinct inputs, and without biases none at 0, no two positive multiples (max(z,0)) or opposites (erf).",
    _positive_definite,
)
SAME_ARCHITECTURE = Assumption("one architecture", "Predictor and target are independent draws of one architecture.")
FULL_BATCH = Assumption(
    "full-batch descent", "Gradient flow or small-step descent on all parameters; no Adam, no normalisation."
)

NNGP_LIMIT = Statement(
    key="iw.nngp_limit",
    title="A wide network at initialisation is a Gaussian process",
    kind=Kind.LIMIT,
    text="The output at initialisation converges in law, at every finite set of inputs, to a centred Gaussian process with "
    "covariance K^L, where K^1(x,y) = sw^2 x.y/d + sb^2 and K^{l+1} = sw^2 V(K^l) + sb^2 with V(a,b,c) = E phi(u) phi(v) for "
    "(u,v) ~ N(0, [[a,c],[c,b]]). For max(z,0), V = sqrt(ab) (sin t + (pi-t) cos t)/(2 pi) at the angle t with cos t = c/sqrt(ab); "
    "for erf, V = (2/pi) arcsin(2c/sqrt((1+2a)(1+2b))). With one hidden layer the covariance is K at every width. "
    "(Measured here, not derived: the fourth cumulant falls like 1/n.)",
    latex=r"K^{l+1}(x,y) = \sigma_w^2\, \mathbb{E}_{(u,v) \sim \mathcal{N}(0, K^l)} \phi(u)\phi(v) + \sigma_b^2",
    source=(
        Source("neal1996", "", "one hidden layer", "standard"),
        Source("lee2018", "", "the recursion over layers", "standard"),
        Source("matthews2018", "", "joint limits of all widths; here the widths grow in order", "standard"),
        Source("cho2009", "", "the dual of max(z,0)", "standard"),
        Source("williams1996", "", "the dual of erf", "standard"),
        Source("here", "", "the form without cancellation that is shipped, and its derivation", "derived"),
    ),
    assumptions=(NTK_PARAMETRISATION, LIPSCHITZ, WIDTHS_IN_ORDER),
    function="nonvacuous.numerics.kernels.fully_connected.nngp_kernel",
)

NTK_RECURSION = Statement(
    key="iw.ntk_recursion",
    title="The neural tangent kernel of a wide network",
    kind=Kind.LIMIT,
    text="The tangent kernel at initialisation, J(x) J(y)^T over all parameters, converges to T^L with T^1 = K^1 and "
    "T^{l+1} = K^{l+1} + sw^2 Vd(K^l) T^l, Vd(a,b,c) = E phi'(u) phi'(v) at the covariance of layer l. The readout's share is K^L, "
    "readout bias included. With one hidden layer the expected kernel is T at every width. (Measured here, not derived: with two, the "
    "mean square deviation of T_n from T falls like 1/n.)",
    latex=r"T^{l+1} = K^{l+1} + \sigma_w^2\, \mathbb{E}[\phi'(u)\phi'(v)]\, T^l",
    source=(
        Source("jacot2018", "", "widths in order; the bias at finite width is measured here", "standard"),
        Source(
            "zanger2026", "", "prints the layer of the derivative factor in two ways; ours is the layer below", "read"
        ),
    ),
    assumptions=(NTK_PARAMETRISATION, LIPSCHITZ, WIDTHS_IN_ORDER, READOUT_TRAINED),
    function="nonvacuous.numerics.kernels.fully_connected.ntk_kernel",
)

LIN_COV_INF = Statement(
    key="iw.lin_cov_inf",
    title="The law of an infinitely wide deep ensemble",
    kind=Kind.LIMIT,
    text="Members trained to convergence from independent initialisations have jointly Gaussian outputs at any test points, with "
    "mean G y and covariance M K M^T = K_** + G K_XX G^T - G K_X* - K_*X G^T, where G = T_*X T_XX^{-1} and M = [I, -G]. Labels "
    "do not enter the covariance. It vanishes on X, and with T = K it is the NNGP posterior.",
    latex=r"\Sigma = K_{**} + G K_{XX} G^\top - G K_{X*} - K_{*X} G^\top, \qquad G = T_{*X} T_{XX}^{-1}",
    source=(
        Source(
            "lee2019", "", "the quadratic term has a plus; a companion text of zanger2026 prints a minus", "standard"
        ),
        Source(
            "zanger2026", "", "prints the trained function with the wrong sign; f0 + G (y - f0(X)) is right", "read"
        ),
    ),
    assumptions=(NTK_PARAMETRISATION, READOUT_TRAINED, SUM_LOSS, FULL_BATCH, POSITIVE_DEFINITE),
    function="nonvacuous.numerics.kernels.ensemble.ensemble_covariance",
)

RND_EQUALS_ENSEMBLE = Statement(
    key="iw.rnd_equals_ensemble",
    title="Random network distillation measures twice the ensemble covariance",
    kind=Kind.EQUIVALENCE,
    text="A predictor u is trained on the values g(X) of a frozen independent network g of the same architecture. In the limit of "
    "infinite width its error e = u - g is a centred Gaussian process with covariance 2 Sigma over any test points, Sigma the "
    "covariance of the deep ensemble trained for the same time. So E e(x)^2 / 2 is the ensemble variance. The identity holds for "
    "every linear smoother that does not depend on the draw: every time, number of steps and ridge.",
    latex=r"\operatorname{Cov}(u_t - g) = M_t (K + K) M_t^\top = 2\, \Sigma_t",
    source=(
        Source(
            "zanger2026",
            "Corollary 3.2",
            "printed without the factor 2; every time t instead of convergence only",
            "read",
        ),
        Source(
            "here", "", "the factor, the identity for every linear smoother, the correction at finite width", "derived"
        ),
    ),
    assumptions=(NTK_PARAMETRISATION, READOUT_TRAINED, SAME_ARCHITECTURE, SUM_LOSS, FULL_BATCH, POSITIVE_DEFINITE),
    function="nonvacuous.numerics.kernels.ensemble.rnd_error_covariance",
)

STATEMENTS = (NNGP_LIMIT, NTK_RECURSION, LIN_COV_INF, RND_EQUALS_ENSEMBLE)
