"""Training of wide networks: the statements."""

from __future__ import annotations

from ...statement import Kind, Source, Statement
from .common import FULL_BATCH, NTK_PARAMETRISATION, POSITIVE_DEFINITE, READOUT_TRAINED, SUM_LOSS

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

STATEMENTS: tuple[Statement, ...] = (LIN_COV_INF,)
