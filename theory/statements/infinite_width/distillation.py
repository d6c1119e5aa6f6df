"""Random network distillation: the statements."""

from __future__ import annotations

from ...statement import Kind, Source, Statement
from .common import FULL_BATCH, NTK_PARAMETRISATION, POSITIVE_DEFINITE, READOUT_TRAINED, SAME_ARCHITECTURE, SUM_LOSS

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

STATEMENTS: tuple[Statement, ...] = (RND_EQUALS_ENSEMBLE,)
