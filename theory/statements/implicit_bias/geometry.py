"""Which norm or potential the nearest solution is measured in: metrics, mirror maps, diagonal networks."""

from __future__ import annotations

from ...statement import Assumption, Kind, Source, Statement
from .common import HALF_SUM, STABLE_METRIC_STEP

LS_PRECOND = Statement(
    key="ib.ls_precond",
    title="The metric of descent decides which solution is nearest",
    kind=Kind.LIMIT,
    text="The recursion w <- w - eta D X^T (X w - y), D symmetric positive definite (per-parameter step sizes, or w = B v "
    "trained in v with D = B B^T), converges for 0 < eta lambda_max(X D X^T) < 2 to w_0 + D X^T (X D X^T)^+ (y - X w_0): the "
    "minimiser of (w - w_0)^T D^{-1} (w - w_0) over all minimisers of the loss. The rate, in that norm, is max|1 - eta h| over "
    "the nonzero eigenvalues h of X D X^T. Pi_D = I - D X^T (X D X^T)^+ X is an oblique projector: Pi_D^2 = Pi_D, X Pi_D = 0, "
    "Pi_D D = D Pi_D^T. Adam and AdaGrad have no such D: they leave w_0 + row(X), and where X has rank 2 or more "
    "their move is not linear in y - X w_0.",
    latex=r"w_t \to w_0 + D X^\top (X D X^\top)^+ (y - X w_0) = \Pi_D w_0 + D X^\top (X D X^\top)^+ y",
    source=(Source("here", "", "the substitution is textbook knowledge", "derived"),),
    assumptions=(STABLE_METRIC_STEP, HALF_SUM),
    function="nonvacuous.numerics.implicit_bias.metric.metric_limit",
)

INTERPOLATES = Assumption("interpolation", "Training converges to a point with X w = y that the potential admits.")

MIRROR = Statement(
    key="ib.mirror",
    title="Mirror descent ends at the solution nearest in its Bregman divergence",
    kind=Kind.LIMIT,
    text="Mirror descent, grad psi(w_{t+1}) = grad psi(w_t) - eta X^T r_t with any residual-dependent r_t (mini-batches and momentum on the dual variable "
    "included), psi strictly convex and differentiable, keeps grad psi(w) - grad psi(w_0) in the row space. If it converges to X w = y inside the domain of "
    "psi, the limit is the unique minimiser of the Bregman divergence D_psi(w, w_0) over all solutions, whatever the step. Steepest descent in a norm that is "
    "not quadratic has no such characterisation: greedy coordinate descent on the rows (2,3,3), (3,1,-2) with targets (-1,-3) from 0 "
    "ends at (-11/13, 0, 3/13) for eta = .02 and at (-1.11615, .39, .02077) for eta = .1.",
    latex=r"w_\infty = \mathrm{argmin}_{X w = y}\, D_\psi(w, w_0), \qquad \nabla\psi(w_\infty) - \nabla\psi(w_0) \in \mathrm{row}(X)",
    source=(
        Source("gunasekar2018", "", "mirror descent and its negative counterpart for steepest descent", "secondary"),
        Source("here", "", "", "derived"),
    ),
    assumptions=(INTERPOLATES,),
    function="nonvacuous.numerics.implicit_bias.mirror.bregman_solution",
)

DIAG_LINEAR = Statement(
    key="ib.diag_linear",
    title="Diagonal linear networks: the scale of the start chooses the norm",
    kind=Kind.LIMIT,
    text="Gradient flow on a convex loss of X beta, beta = p*p - n*n entry by entry from p = n = alpha, keeps p*n = alpha^2 and moves p = alpha e^(-2s), n = "
    "alpha e^(2s) with s in the row space. So beta = 2 alpha^2 sinh(X^T nu), and if the flow converges to X beta = y, its limit minimises Q_alpha(beta) = alpha^2 sum "
    "q(beta_i/alpha^2), q(z) = 2 - sqrt(4 + z^2) + z asinh(z/2), over all solutions. For large alpha that is near the least l2 norm, for small alpha near "
    "the least l1 norm. Gradient descent with step eta deviates from it by O(eta).",
    latex=r"\beta_\infty = \mathrm{argmin}_{X\beta = y} \sum_i q(\beta_i/\alpha^2), \qquad q'(z) = \mathrm{asinh}(z/2)",
    source=(
        Source("woodworth2020", "", "the potential and its two limits", "secondary"),
        Source("here", "", "the flow by its conserved products; descent is checked", "derived"),
    ),
    assumptions=(INTERPOLATES,),
    function="nonvacuous.numerics.implicit_bias.mirror.diagonal_network_limit",
)

STATEMENTS: tuple[Statement, ...] = (LS_PRECOND, MIRROR, DIAG_LINEAR)
