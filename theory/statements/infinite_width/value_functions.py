"""Uncertainty of value functions and contextual similarity distillation: the statements."""

from __future__ import annotations

from ...statement import Assumption, Kind, Source, Statement
from .common import FULL_BATCH, NTK_PARAMETRISATION, POSITIVE_DEFINITE, READOUT_TRAINED, SAME_ARCHITECTURE, SUM_LOSS

SEMI_GRADIENT = Assumption(
    "semi-gradient", "Training follows f' = -T_*X (f(X) - D f(X') - r): the bootstrapped target is not differentiated."
)
POSITIVE_REAL = Assumption(
    "TD converges",
    "Every eigenvalue of Delta = T_XX - D T_X'X has a positive real part; `td_smoother` refuses otherwise.",
)
KNOWN_QUERY = Assumption("known query", "The point x whose variance is wanted is known before training.")

UVU = Statement(
    key="iw.uvu",
    title="Universal value-function uncertainties: distillation by temporal differences",
    kind=Kind.LIMIT,
    text="For semi-gradient temporal differences on transitions X to X' with discounts D = diag(gamma), 0 where terminal, let Delta = "
    "T_XX - D T_X'X. If all its eigenvalues have positive real parts, a wide network converges to a value function with mean G_U r "
    "and covariance M_U K M_U^T, G_U = T_*X Delta^{-1}, M_U = [I, -G_U, G_U D] over (test, X, X'). A predictor trained on the rewards "
    "g(X) - D g(X') of a frozen g has an error u - g with twice that covariance. Discount 0 is distillation on X. Otherwise there is "
    "no limit: it diverges.",
    latex=r"\operatorname{Cov}(u - g) = 2\, M_U K M_U^\top, \qquad M_U = [I, -G_U, G_U D], \quad G_U = T_{*X} (T_{XX} - D T_{X'X})^{-1}",
    source=(
        Source("zanger2025uvu", "", "block form, terminal transitions and the refusal added", "read"),
        Source("here", "", "M_U and the limit on the step size", "derived"),
    ),
    assumptions=(
        NTK_PARAMETRISATION,
        READOUT_TRAINED,
        SAME_ARCHITECTURE,
        SUM_LOSS,
        FULL_BATCH,
        SEMI_GRADIENT,
        POSITIVE_REAL,
    ),
    function="nonvacuous.numerics.wide_networks.value_functions.uvu_error_covariance",
)

CSD = Statement(
    key="iw.csd",
    title="Contextual similarity distillation: a posterior variance as a regression",
    kind=Kind.IDENTITY,
    text="The posterior variance of the Gaussian process with the tangent kernel at a known x is T(x,x) - q_x(x), where q_x is the "
    "solution that a centred network reaches when trained on the labels T(X, x). It is exact for one x known before training; a "
    "network over contexts only approximates it.",
    latex=r"T(x,x) - q_x(x) = T(x,x) - T_{xX} T_{XX}^{-1} T_{Xx}",
    source=(
        Source(
            "zanger2025csd",
            "",
            "the appendix prints the ensemble covariance with a minus on its quadratic term",
            "read",
        ),
    ),
    assumptions=(NTK_PARAMETRISATION, READOUT_TRAINED, SUM_LOSS, FULL_BATCH, POSITIVE_DEFINITE, KNOWN_QUERY),
    function="nonvacuous.numerics.wide_networks.value_functions.csd_variance",
)

STATEMENTS: tuple[Statement, ...] = (UVU, CSD)
