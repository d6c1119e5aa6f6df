"""Random network distillation: the statements."""

from __future__ import annotations

from ...statement import Assumption, Kind, Source, Statement
from .common import FULL_BATCH, NTK_PARAMETRISATION, POSITIVE_DEFINITE, READOUT_TRAINED, SAME_ARCHITECTURE, SUM_LOSS

INDEPENDENT_TARGET = Assumption(
    "independent target", "Target and predictor are drawn independently; they may differ in architecture."
)
FIXED_SMOOTHER = Assumption(
    "one smoother", "Training maps labels y to f0 + G (y - f0(X)) with a matrix G that does not depend on the draw."
)
BIAS_FREE_RELU = Assumption("bias-free max(z,0)", "Hidden layers apply max(z,0) and no layer has a bias.")

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
    function="nonvacuous.numerics.wide_networks.ensemble.rnd_error_covariance",
)

RND_ERROR_LAW = Statement(
    key="iw.rnd_error_law",
    title="The law of the distillation error, with any target",
    kind=Kind.LIMIT,
    text="A predictor u with kernels K_u and T is trained to convergence on the values g(X) of a frozen independent network g with "
    "kernel K_g, which may have another architecture. In the limit of infinite width the error u - g at any test points is "
    "N(0, M (K_u + K_g) M^T) with M = [I, -G] and G = T_*X T_XX^{-1}, T of the predictor alone. It vanishes on X.",
    latex=r"u_\infty - g \sim \mathcal{N}\left(0, M (K_u + K_g) M^\top\right), \qquad M = [I, -T_{*X} T_{XX}^{-1}]",
    source=(
        Source("zanger2026", "Theorem 3.1", "predictor and target of different architectures spelled out", "read"),
    ),
    assumptions=(NTK_PARAMETRISATION, READOUT_TRAINED, INDEPENDENT_TARGET, SUM_LOSS, FULL_BATCH, POSITIVE_DEFINITE),
    function="nonvacuous.numerics.wide_networks.distillation.distillation_error_covariance",
)

RND_LINEAR_SMOOTHER = Statement(
    key="iw.rnd_linear_smoother",
    title="Distillation measures twice the ensemble under every linear training rule",
    kind=Kind.IDENTITY,
    text="If training maps labels to f0 + G (y - f0(X)) with a matrix G that does not depend on the draw, and u0 and g are "
    "independent with one covariance K, then the error u - g has covariance M (K + K) M^T = 2 M K M^T, twice that of the ensemble "
    "trained by the same rule. Gradient flow at every time, every number of steps, every ridge towards the start and the readout "
    "alone are such rules: early stopping does not break the equivalence, comparing a stopped distillation with a converged "
    "ensemble does.",
    latex=r"\operatorname{Cov}(u - g) = M (K + K) M^\top = 2\, \operatorname{Cov}(f), \qquad M = [I, -G]",
    source=(Source("here", "", "the source states convergence only", "derived"),),
    assumptions=(SAME_ARCHITECTURE, FIXED_SMOOTHER),
    function="nonvacuous.numerics.wide_networks.distillation.distillation_error_covariance",
)

RND_VARIANTS = Statement(
    key="iw.rnd_variants",
    title="Variants of distillation and their constants",
    kind=Kind.LIMIT,
    text="With one architecture, a target scaled by c and a predictor that starts at its draw, the error has covariance (1 + c^2) "
    "Sigma. A centred predictor u - u0 leaves c^2 Sigma: no factor 2. When only the readout is trained T becomes K and the error "
    "has covariance 2 Sigma_nngp, twice an exact posterior. A target of another architecture adds M K_g M^T, the error of kernel "
    "regression on functions from another prior. Dividing the mean square by the constant gives an unbiased variance.",
    latex=r"\operatorname{Cov}(u - c g) = (1 + c^2)\, \Sigma, \quad \operatorname{Cov}(u - u_0 - c g) = c^2\, \Sigma, \quad T = K:\; 2\, \Sigma_{nngp}",
    source=(Source("here", "", "", "derived"),),
    assumptions=(NTK_PARAMETRISATION, SAME_ARCHITECTURE, SUM_LOSS, FULL_BATCH, POSITIVE_DEFINITE),
    function="nonvacuous.numerics.wide_networks.distillation.distilled_variance",
)

RND_BAYES_GAP = Statement(
    key="iw.rnd_bayes_gap",
    title="Distillation lies above the Bayesian posterior by two explicit parts",
    kind=Kind.INEQUALITY,
    text="For g ~ GP(0, K) and any predictor h that sees g only through g(X) and independent randomness, E (g - h)^2 = "
    "Sigma_nngp + E (h - H g(X))^2 with H = K_*X K_XX^{-1}: conservative, with equality for the posterior mean only. For a trained "
    "wide network the second part is M K M^T + (G - H) K_XX (G - H)^T, which is 2 Sigma_ens - Sigma_nngp.",
    latex=r"\mathbb{E}(g - h)^2 = \Sigma_{nngp} + \mathbb{E}(h - H g(X))^2 \geq \Sigma_{nngp}",
    source=(
        Source("ciosek2020", "", "the inequality; known from notes about it", "secondary"),
        Source("here", "", "both parts of the gap in closed form", "derived"),
    ),
    assumptions=(SAME_ARCHITECTURE, FIXED_SMOOTHER),
    function="nonvacuous.numerics.wide_networks.distillation.bayes_gap",
)

HEAD_INDEPENDENCE = Statement(
    key="iw.head_independence",
    title="Heads of one trunk are independent in the limit",
    kind=Kind.LIMIT,
    text="With K heads on a shared trunk, K fixed and the width going to infinity, the errors of different heads are independent at "
    "every training time, each with covariance 2 Sigma_t: kernels are block-diagonal over heads, so every head is the same affine "
    "map of its own initial Gaussian processes. At finite width squared errors of two heads correlate like c/n.",
    latex=r"\operatorname{Cov}(e_i, e_j) = 2\, \delta_{ij}\, \Sigma_t",
    source=(Source("zanger2026", "", "for every training time", "read"),),
    assumptions=(NTK_PARAMETRISATION, READOUT_TRAINED, SAME_ARCHITECTURE, SUM_LOSS, FULL_BATCH, POSITIVE_DEFINITE),
    function="nonvacuous.numerics.wide_networks.heads.head_error_covariance",
)

RND_HEADS_CHI2 = Statement(
    key="iw.rnd_heads_chi2",
    title="Half the mean square of K heads is a chi-square estimate of the ensemble variance",
    kind=Kind.EQUIVALENCE,
    text="Half the mean square of K heads' errors at a point has the law of the sample variance (divisor K) of K + 1 independent "
    "ensemble members, (Sigma/K) chi2_K: mean Sigma, relative standard deviation sqrt(2/K). [K e/q_{1-a/2}, K e/q_{a/2}] covers "
    "Sigma with probability 1 - a exactly, and with s = ln(1/delta) each of e <= Sigma (1 - 2 sqrt(s/K)) and "
    "e >= Sigma (1 + 2 sqrt(s/K) + 2 s/K) has probability at most delta. A relative error r at 95% takes about 2 (1.96/r)^2 heads.",
    latex=r"\frac{1}{2K} \sum_{i=1}^{K} (u_i - g_i)^2 \sim \frac{\Sigma}{K}\, \chi^2_K",
    source=(
        Source("zanger2026", "Theorem 3.4", "intervals, tails and the number of heads added", "read"),
        Source("laurent2000", "", "the two tails, derived here for chi-square", "secondary"),
    ),
    assumptions=(NTK_PARAMETRISATION, READOUT_TRAINED, SAME_ARCHITECTURE, SUM_LOSS, FULL_BATCH, POSITIVE_DEFINITE),
    function="nonvacuous.numerics.wide_networks.heads.heads_interval",
)

RND_WISHART = Statement(
    key="iw.rnd_wishart",
    title="K heads estimate the whole predictive covariance: a Wishart law",
    kind=Kind.EQUIVALENCE,
    text="Over any test points the mean over K heads of e e^T/2 is Wishart(Sigma, K)/K: unbiased for the full covariance of the "
    "ensemble, correlations included, with entry (i,j) of variance (Sigma_ij^2 + Sigma_ii Sigma_jj)/K.",
    latex=r"\frac{1}{2} \sum_{i=1}^{K} e_i e_i^\top \sim \mathcal{W}(\Sigma, K), \qquad \operatorname{Var} = \frac{1}{K} (\Sigma_{ij}^2 + \Sigma_{ii} \Sigma_{jj})",
    source=(Source("here", "", "", "derived"),),
    assumptions=(NTK_PARAMETRISATION, READOUT_TRAINED, SAME_ARCHITECTURE, SUM_LOSS, FULL_BATCH, POSITIVE_DEFINITE),
    function="nonvacuous.numerics.wide_networks.heads.head_covariance_deviation",
)

RND_HEAD_SATURATION = Statement(
    key="iw.rnd_head_saturation",
    title="Finite width limits what more heads buy",
    kind=Kind.IDENTITY,
    text="If squared errors of two heads correlate by c, K heads estimate a variance like K_eff = K/(1 + (K - 1) c) independent "
    "ones, never more than 1/c. For bias-free max(z,0) networks of H hidden layers of width n at initialisation, exactly at every "
    "width and with m = (1 + 5/n)^H, c = (m - 1)/(3m - 1) for the outputs of one network and (m - 1)/(3m + 1) for the errors of a "
    "predictor and a target: about 2n/(5H) and 4n/(5H) useful heads.",
    latex=r"K_{eff} = \frac{K}{1 + (K - 1) c}, \qquad c = \frac{m - 1}{3m + 1}, \quad m = (1 + 5/n)^H",
    source=(Source("here", "", "", "derived"),),
    assumptions=(NTK_PARAMETRISATION, BIAS_FREE_RELU),
    function="nonvacuous.numerics.wide_networks.heads.effective_heads",
)

RND_DEF = Statement(
    key="iw.rnd_def",
    title="Random network distillation",
    kind=Kind.ALGORITHM,
    text="Draw a target g, frozen, and a predictor u of one architecture with K heads on a shared trunk, all parameters independent "
    "N(0, 1) in the NTK parametrisation. Cache g(X). Train u on these values by full-batch descent on half the sum of squares until "
    "the residual has fallen to the given fraction of its start. The signal at x is the mean over heads of e_i(x)^2/2 with e = u - g: "
    "the estimate of the ensemble's variance, at two forward passes per query.",
    latex=r"\varepsilon^2(x) = \frac{1}{K} \sum_{i=1}^{K} (u_i(x) - g_i(x))^2, \qquad \hat\Sigma(x, x) = \varepsilon^2(x)/2",
    source=(
        Source("burda2018", "", "their idea; here the idealised form that the theory covers", "secondary"),
        Source("zanger2026", "", "half the square, by the corrected constant", "read"),
    ),
    assumptions=(NTK_PARAMETRISATION, READOUT_TRAINED, SAME_ARCHITECTURE, SUM_LOSS, FULL_BATCH),
    function="nonvacuous.numerics.methods.random_network_distillation.fit",
)

RND_PRACTICE = Statement(
    key="iw.rnd_practice",
    title="Random network distillation as it is used for exploration",
    kind=Kind.ALGORITHM,
    text="The exploration bonus of deep reinforcement learning differs from the idealised method in ways that no theorem here covers: "
    "Adam in place of full-batch descent, a predictor deeper than its target, the standard parametrisation, convolutional networks of "
    "finite width with hundreds of outputs, data that change as the agent moves and are subsampled, observations whitened and clipped, "
    "a bonus divided by its running standard deviation. Such a bonus may rank states well; it is not a calibrated variance, and the "
    "results on distillation say what the idealised signal would be, not what this one is.",
    latex=r"b(x) = \frac{1}{\hat s} \left\| u(\tilde x) - g(\tilde x) \right\|^2",
    source=(Source("burda2018", "", "reported, not verified here", "secondary"),),
)

EPINET = Statement(
    key="iw.epinet",
    title="Epistemic neural networks and relatives of distillation",
    kind=Kind.ALGORITHM,
    text="An epistemic network draws an index z ~ N(0, I) and returns mu(x) + sigma(features of x, z) + prior(x, z), the features held "
    "fixed in the gradient; joint predictions over several inputs are scored by joint log-loss. Other variants of distillation divide "
    "the error by the variance of several targets at x. Named for comparison: nothing here is derived for them.",
    latex=r"f(x, z) = \mu(x) + \sigma(\phi(x), z) + p(x, z), \qquad z \sim \mathcal{N}(0, I)",
    source=(Source("osband2021", "", "reported, not verified here", "secondary"),),
)

STATEMENTS: tuple[Statement, ...] = (
    RND_DEF,
    RND_ERROR_LAW,
    RND_EQUALS_ENSEMBLE,
    RND_LINEAR_SMOOTHER,
    RND_VARIANTS,
    RND_BAYES_GAP,
    HEAD_INDEPENDENCE,
    RND_HEADS_CHI2,
    RND_WISHART,
    RND_HEAD_SATURATION,
    RND_PRACTICE,
    EPINET,
)
