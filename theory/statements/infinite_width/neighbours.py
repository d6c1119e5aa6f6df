"""Neighbouring theory of kernel regression: the statements."""

from __future__ import annotations

from ...statement import Assumption, Kind, Source, Statement

FIXED_PRIOR = Assumption(
    "prior before data", "Kernel, scales and depth were chosen without looking at the examples of the empirical risk."
)
GAUSSIAN_POSTERIOR = Assumption(
    "exact posterior", "Q is the exact posterior of regression with independent Gaussian noise of variance s2 > 0."
)

GP_PAC = Statement(
    key="iw.gp_pac",
    title="PAC-Bayes bound of Gaussian-process regression",
    kind=Kind.IDENTITY,
    text="Prior GP(0,K), posterior Q by regression with noise variance s2 on X. Q and P have the same conditional laws off X, so "
    "KL(Q||P) is that of the N values on X: 1/2 [ln det(I + K/s2) - tr K (K+s2)^{-1} + y^T (K+s2)^{-1} K (K+s2)^{-1} y]. With pb.kl: with "
    "probability at least 1-delta the true Gibbs risk of a loss in [0,1] is at most UP(empirical risk, (KL + ln(xi(N)/delta))/N). K may be "
    "the covariance of a wide network or its tangent kernel, and the empirical risk may come from posterior samples through pb.gibbs_mc.",
    latex=r"\mathrm{KL}(Q \| P) = \frac{1}{2} \left[ \ln\det(I + K/s^2) - \operatorname{tr} K (K + s^2)^{-1} + y^\top (K + s^2)^{-1} K (K + s^2)^{-1} y \right]",
    source=(
        Source("seeger2002", "", "the bound for Gaussian processes", "secondary"),
        Source("maurer2004", "", "xi(N) in place of N + 1", "read"),
        Source("reeb2018", "", "training with it", "secondary"),
        Source("here", "", "the divergence mode by mode and its upper value from residuals", "derived"),
    ),
    assumptions=(FIXED_PRIOR, GAUSSIAN_POSTERIOR),
    function="nonvacuous.numerics.kernel_regression.gaussian_process_bound.gaussian_process_kl",
)

GAUSSIAN_FEATURES = Assumption(
    "concentration",
    "Quadratic forms of the features concentrate: exact for independent ones, observed for many real kernels.",
)
RIDGE_OR_RANK = Assumption("solvable", "The ridge is positive or the kernel has rank above n.")

EIGENLEARNING = Statement(
    key="iw.eigenlearning",
    title="Eigenlearning: the error of kernel regression from its spectrum",
    kind=Kind.LIMIT,
    text="Kernel eigenvalues l_i under the law of the inputs, target coefficients v_i, n examples, ridge del on the Gram matrix, noise "
    "variance s2. The one kappa > 0 with n = sum l_i/(l_i+kappa) + del/kappa gives the learnabilities L_i = l_i/(l_i+kappa): the mean "
    "predictor has coefficients L_i v_i, the mean squared test error is E0 (sum (1-L_i)^2 v_i^2 + s2) with E0 = n/(n - sum L_i^2), and the "
    "train error is (del/(n kappa))^2 times it. Conservation: sum L_i <= n with equality iff del = 0; it holds on every draw for the trace "
    "of the learned map. If del = 0 and the rank is at most n there is no solution. (Measured here, not derived: relative errors of order 1/n.)",
    latex=r"n = \sum_i \frac{\lambda_i}{\lambda_i + \kappa} + \frac{\delta}{\kappa}, \qquad \mathcal{E}_{\mathrm{test}} = \frac{n}{n - \sum_i L_i^2} \left( \sum_i (1 - L_i)^2 v_i^2 + \sigma^2 \right)",
    source=(
        Source("simon2021", "", "read in released code", "secondary"),
        Source("bordelon2020", "", "the same learning curves", "secondary"),
        Source("canatar2021", "", "the same, kappa n times ours", "secondary"),
        Source("here", "", "leave-one-out derivation of every step but the concentration", "derived"),
    ),
    assumptions=(GAUSSIAN_FEATURES, RIDGE_OR_RANK),
    function="nonvacuous.numerics.kernel_regression.eigenlearning.eigenlearning",
)

GCV = Statement(
    key="iw.gcv",
    title="Generalised cross-validation of kernel regression",
    kind=Kind.LIMIT,
    text="With R = (K + del)^{-1}: the leave-one-out residuals are (R y)_i / R_ii exactly, and GCV = train error / ((del/n) tr R)^2 = "
    "n |R y|^2 / (tr R)^2 puts the mean of R_ii for each; it tends to the test error (label noise included) and 1/tr R to the kappa of "
    "eigenlearning. Without a ridge GCV = |K^{-1} y|^2/n / (tr K^{-1}/n)^2. (Measured here, not derived: errors of order 1/n.)",
    latex=r"\mathrm{GCV} = \frac{n\, \| R y \|^2}{(\operatorname{tr} R)^2}, \qquad R = (K + \delta)^{-1}, \qquad \hat{\kappa} = \frac{1}{\operatorname{tr} R}",
    source=(
        Source("golub1979", provenance="standard"),
        Source("wei2022", "", "for kernels, and 1/tr R", "secondary"),
        Source("here", "", "leave-one-out algebra and the ridgeless limit", "derived"),
    ),
    assumptions=(GAUSSIAN_FEATURES, RIDGE_OR_RANK),
    function="nonvacuous.numerics.kernel_regression.risk_estimates.risk_estimates",
)

ISOTROPIC = Assumption("isotropic features", "The n feature vectors have independent standard normal entries.")

RIDGELESS = Statement(
    key="iw.ridgeless",
    title="Ridgeless regression on isotropic features, and the best ridge",
    kind=Kind.LIMIT,
    text="Minimum-norm least squares on p features, p/n -> g, |beta|^2 = r2, noise s2. The excess risk is s2 g/(1-g) for g < 1 and "
    "r2 (1-1/g) + s2/(g-1) for g > 1; at finite n exactly s2 p/(n-p-1) and r2 (1-n/p) + s2 n/(p-n-1). The best penalty against the mean "
    "of squares is s2 g/r2, with risk s2 g m, m = [-(1-g+z) + sqrt((1-g+z)^2 + 4 g z)]/(2 g z) at z = s2 g/r2. All of it is "
    "eigenlearning with equal eigenvalues.",
    latex=r"R(g) = \frac{\sigma^2 g}{1 - g} \;\; (g < 1), \qquad R(g) = r^2 \left( 1 - \frac{1}{g} \right) + \frac{\sigma^2}{g - 1} \;\; (g > 1)",
    source=(
        Source("hastie2019", "", "the limits; the values at finite n are derived here", "secondary"),
        Source(
            "here",
            "",
            "from the mean of an inverse Wishart matrix, and as eigenlearning with equal eigenvalues",
            "derived",
        ),
    ),
    assumptions=(ISOTROPIC,),
    function="nonvacuous.numerics.kernel_regression.ridgeless.ridgeless_risk",
)

ALIGNMENT = Statement(
    key="iw.alignment",
    title="Kernel-target alignment",
    kind=Kind.INEQUALITY,
    text="A(K,y) = y^T K y / (|K|_F |y|^2) lies in [0,1] for positive semi-definite K, and is 1 iff K is proportional to y y^T. Centred: "
    "with C = I - 11^T/n the same of C K C and C y; both are centred, or 1 could not be reached.",
    latex=r"0 \le \frac{y^\top K y}{\| K \|_F \, \| y \|^2} \le 1",
    source=(
        Source("cristianini2001", "", "plain", "standard"),
        Source("cortes2012", "", "centred", "standard"),
        Source("here", "", "the case of equality", "derived"),
    ),
    function="nonvacuous.numerics.kernel_regression.alignment.alignment",
)

IID = Assumption("i.i.d. examples", "The n examples are independent draws from one distribution.")
KERNEL_FIRST = Assumption("kernel before data", "Kernel and unit norm were fixed without looking at the n examples.")
LIPSCHITZ_LOSS = Assumption("loss", "The loss lies in [0, 1] and is 1-Lipschitz in the prediction.")
KERNEL_PREDICTOR = Assumption(
    "kernel predictor",
    "The predictor lies in the kernel's function space: a network only in the limit of infinite width, centred.",
)

ARORA2019 = Statement(
    key="iw.arora2019",
    title="Generalisation of the minimum-norm interpolant, with explicit constants",
    kind=Kind.CERTIFICATE,
    text="Norm B = sqrt(y^T T^{-1} y) of the interpolant, unit B0 fixed before the sample, k = max(1, ceil(B/B0)). With probability at least "
    "1-delta its risk is at most 2 k B0 sqrt(tr T)/n + 3 sqrt(ln(2 k(k+1)/delta)/(2n)), plus the mean loss on the sample for predictors "
    "that do not interpolate. For a two-layer ReLU network with its first layer trained on unit inputs T_ij = x_i.x_j (pi - angle)/(2 pi), "
    "tr T = n/2, and the first term is the printed leading term sqrt(2 y^T H^{-1} y/n) with B rounded up. Plugging B in without the "
    "union over k is not a bound.",
    latex=r"R \le \frac{2\, k B_0 \sqrt{\operatorname{tr} T}}{n} + 3 \sqrt{\frac{\ln(2 k (k+1) / \delta)}{2 n}}, \qquad k = \max\left( 1, \left\lceil \sqrt{y^\top T^{-1} y} / B_0 \right\rceil \right)",
    source=(
        Source("arora2019", "", "its O(.) terms are replaced by explicit ones", "secondary"),
        Source("bartlett2002", "", "the bound for one ball", "standard"),
        Source("here", "", "constants and the union over norms", "derived"),
    ),
    assumptions=(IID, KERNEL_FIRST, LIPSCHITZ_LOSS, KERNEL_PREDICTOR),
    function="nonvacuous.numerics.kernel_regression.rademacher.kernel_ball_bound",
)

GAUSSIAN_PARAMETERS = Assumption(
    "stochastic layer",
    "All parameters are independent Gaussians; one hidden layer of max(z, 0), units with their own weights.",
)

CLERICO2021 = Statement(
    key="iw.clerico2021",
    title="Wide stochastic networks: moments and expected losses in closed form",
    kind=Kind.LIMIT,
    text="f = n^-1/2 sum w_j max(z_j,0), w_j ~ N(m_j,s^2), z_j ~ N(mu_j,tau^2). At every width, given the means, f has mean n^-1/2 sum m_j E phi "
    "and variance n^-1 sum (s^2 E phi^2 + m_j^2 Var phi), where at x = mu/tau E phi = mu Phi(x) + tau p(x) and E phi^2 = (mu^2+tau^2) Phi(x) "
    "+ mu tau p(x). In the wide limit f is Gaussian, so its expected 0-1 loss is Phi(-y mean/deviation); square and Gaussian losses are "
    "exact at every width. With the relative entropy of diagonal Gaussians this trains a PAC-Bayes bound without sampling.",
    latex=r"\mathbb{E} f = \frac{1}{\sqrt{n}} \sum_j m_j \mathbb{E} \varphi(z_j), \qquad \operatorname{Var} f = \frac{1}{n} \sum_j \left( s^2\, \mathbb{E} \varphi(z_j)^2 + m_j^2 \operatorname{Var} \varphi(z_j) \right)",
    source=(
        Source("clerico2021", "", "seen as an abstract only", "secondary"),
        Source("here", "", "moments, losses and their forms without cancellation", "derived"),
    ),
    assumptions=(GAUSSIAN_PARAMETERS,),
    function="nonvacuous.numerics.networks.stochastic_moments.stochastic_output",
)

LINEARISED = Assumption(
    "linearised flow", "Gradient flow at unit rate on 1/2 sum (f - y)^2, with a tangent kernel that does not move."
)
SPHERE = Assumption("sphere", "Inputs are uniform on the unit sphere of R^d, d >= 2, and there are no biases.")

SPECTRAL_BIAS = Statement(
    key="iw.spectral_bias",
    title="Spectral bias: which parts of a target are learned first",
    kind=Kind.IDENTITY,
    text="In an eigenvector of T_XX with eigenvalue l the residual decays as exp(-l t). On the unit sphere the eigenvalue of degree k is the "
    "mean of the kernel times the Gegenbauer polynomial P_k. The tangent kernel of one hidden ReLU layer without biases has no odd "
    "degree above 1: its odd part is a multiple of x.y. With two hidden layers every degree is present.",
    latex=r"q_i^\top (f_t - y) = e^{-\lambda_i t}\, q_i^\top (f_0 - y)",
    source=(
        Source("bietti2019", "", "spectrum on the sphere", "secondary"),
        Source("here", "", "odd and even parts, and positivity at two layers by power series", "derived"),
    ),
    assumptions=(LINEARISED, SPHERE),
    function="nonvacuous.numerics.kernel_regression.spectral.zonal_spectrum",
)

CENTRED_OUTPUT = Assumption("centred", "The output at initialisation is subtracted before it is scaled.")
SMOOTH_NETWORK = Assumption(
    "smooth network", "The tangent kernel on X is positive definite and the activation is smooth."
)

FEATURE_VS_LAZY = Statement(
    key="iw.feature_vs_lazy",
    title="Feature learning against lazy training: the output scale",
    kind=Kind.LIMIT,
    text="Training alpha (f - f0) on labels y with step eta is, step by step, training f on f0 + y/alpha with step eta alpha^2. At a fixed "
    "width the trained output then differs from that of the linearised network by O(1/alpha) relative. Without centring alpha f0 grows "
    "too and nothing becomes lazy.",
    latex=r"\| \alpha (f_\infty - f_0) - \alpha (f^{\mathrm{lin}}_\infty - f_0) \| = O(1/\alpha)",
    source=(
        Source("chizat2019", "", "lazy training by scale", "secondary"),
        Source("here", "", "the equivalent plain problem, the curvature term, and the measured rate", "derived"),
    ),
    assumptions=(CENTRED_OUTPUT, SMOOTH_NETWORK),
    function="nonvacuous.numerics.training.lazy.lazy_problem",
)

STATEMENTS: tuple[Statement, ...] = (
    GP_PAC,
    EIGENLEARNING,
    GCV,
    RIDGELESS,
    ALIGNMENT,
    ARORA2019,
    CLERICO2021,
    SPECTRAL_BIAS,
    FEATURE_VS_LAZY,
)
