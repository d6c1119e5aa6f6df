"""The law of predictions: function space, and wide networks near their linearisation."""

from __future__ import annotations

from ...statement import Assumption, Kind, Source, Statement

FIRST_STEP_NETWORK = Assumption(
    "network at its start",
    "No biases, ReLU units, one output, one example and one draw; entries are independent normal numbers of the table's scales.",
)

MUP_COV = Statement(
    key="ib.mup_cov",
    title="Maximal update scales for mean and factor: the first step does not know the width",
    kind=Kind.IDENTITY,
    text="A bias-free ReLU network with `d` inputs, width `w`, `k` square matrices and one output has Gaussian weights mean + S z on its first and "
    "last layer, S with R columns. Under the maximal update table (means as for a point network; entries of a factor with the mean's standard deviation over the "
    "square root of R, its rate the mean's over R) a draw has twice the mean's variance, the first step on a residual r moves the "
    "output by -eta r s with E s = |x|^2 2^(1-k) ((k+1)/d + 1), and the first layer's preactivations by a mean square of (eta r)^2 |x|^4 2^(-k) (4 + 2/R). "
    "In the standard parametrisation E s = |x|^2 2^(1-k) ((k+1) w/d + 1) grows with the width; in the neural tangent one, where E s = |x|^2 2^(1-k) (k+2)/d, "
    "features move by (eta r)^2 |x|^4 2^(-k) (4 + 2/R)/(w d^2), which vanishes. With the mean's rate for the factor the terms of the two ends "
    "grow with R.",
    latex=r"E\,s = |x|^2\, 2^{1-k} \left( \frac{k+1}{d} + 1 \right), \qquad E\,|\Delta a|^2 = (\eta r)^2 |x|^4\, 2^{-k} \left( 4 + \frac{2}{R} \right)",
    source=(
        Source(
            "wenger2025",
            "",
            "the use of maximal update scales; the table is that of a peer library's code",
            "secondary",
        ),
        Source("here", "", "the expectations of the first step, for every width and rank", "derived"),
    ),
    assumptions=(FIRST_STEP_NETWORK,),
    function="nonvacuous.numerics.implicit_bias.maximal_update.first_step",
)

FUNCTION_SPACE = Statement(
    key="ib.function_space",
    title="The law of predictions after variational training",
    kind=Kind.IDENTITY,
    text="For a linear model with features phi, prior N(mu_0, Sigma_0), K(x,x') = phi Sigma_0 phi'^T, Th(x,x') = phi phi'^T and "
    "G(x) = Th(x,X) Th(X,X)^+, training without a divergence ends at outputs with mean phi mu_0 + G (y - X mu_0) and covariance "
    "K - G K(X,.) - K(.,X) G^T + G K(X,X) G^T: zero at the training inputs, the prior's where Th(x,X) = 0. It is the Gaussian "
    "process with kernel K conditioned on the data without noise iff P Sigma_0 Q = 0, and has at least its variance otherwise.",
    latex=r"K(x,x') - G(x) K(X,x') - K(x,X) G(x')^\top + G(x) K(X,X) G(x')^\top, \qquad G(x) = \Theta(x,X)\, \Theta(X,X)^+",
    source=(Source("here", "", "the limit law of the weights carried to the outputs", "derived"),),
    assumptions=(
        Assumption(
            "trained to the end", "Mean and factor have converged, from the prior, in the metric of the weights."
        ),
    ),
    function="nonvacuous.numerics.implicit_bias.function_space.predictive_law",
)

NTK = Statement(
    key="ib.ntk",
    title="Wide networks: the law of the linearised network, and why it is no posterior",
    kind=Kind.IDENTITY,
    text="A network linearised at the prior's mean, f_0 + J d, trained on mean and factor without a divergence from d ~ N(0, S_0 S_0^T), ends at outputs with mean "
    "f_0 + G (y - f_0(X)), G = Th(.,X) Th(X,X)^+, Th = J J^T, and covariance K - G K(X,.) - K(.,X) G^T + G K(X,X) G^T with K = J S_0 S_0^T J^T. The law of "
    "infinitely wide networks over their random starts (iw.lin_cov_inf) has this form with the NNGP kernel for K and 0 for f_0. Both exceed the covariance of the noise-free Gaussian "
    "process with kernel K by D K(X,X)^+ D^T, D = K(.,X) - G K(X,X): zero for all data if K is a multiple of Th and, where Th(x,x') is nowhere 0, only then. "
    "Networks are not linear: with a small S_0 and targets near f_0(X) the relative error of the variance was measured to fall like width^(-1/2), which is not derived.",
    latex=r"K - G K(X,\cdot) - K(\cdot,X) G^\top + G K(X,X) G^\top, \qquad K = J \Sigma_0 J^\top \neq K_{NNGP}, \qquad \Theta = J J^\top",
    source=(
        Source("lee2019", "", "the linearisation, and the law over random starts", "standard"),
        Source("he2020", "", "that this law is no posterior", "secondary"),
        Source("here", "", "the trained law, its excess over the posterior, and the measured rate", "derived"),
    ),
    assumptions=(
        Assumption(
            "linearised", "The network is replaced by its first-order expansion in the weights at the prior's mean."
        ),
        Assumption(
            "trained to the end",
            "Mean and factor have converged, from the prior, at one learning rate for all weights.",
        ),
    ),
    function="nonvacuous.numerics.implicit_bias.linearised.linearised_law",
)

STATEMENTS = (FUNCTION_SPACE, NTK, MUP_COV)
