"""Variational classification without a divergence term: the limit law, its rates and its conditions."""

from __future__ import annotations

from ...statement import Assumption, Kind, Source, Statement
from .separability import EXPONENTIAL_LOSS, GENERIC_SUPPORT, GRADIENT_FLOW, SEPARABLE, SPANNING_SUPPORT

EXPECTED_LOSS = Assumption(
    "expected loss",
    "Training descends the exact expectation sum_n exp(-m_n + v_n/2) from the prior, with no divergence term.",
)
EXPECTED_LOGISTIC_LOSS = Assumption(
    "expected loss",
    "Training descends the exact expectation of sum_n log(1 + exp(-x_n^T w)) from the prior, with no divergence term.",
)
NO_TIES = Assumption("no ties", "The two smallest numbers inside each minimum differ; a tie adds a factor log t.")
SMALL_LAW_STEP = Assumption(
    "guaranteed step", "0 < eta <= 1/(L(0) max_n ||x_n||^2 (2 + ||x_n||^2 ||S_0||_2^2)), S_0 the initial factor."
)
HERE = Source("here", "", "derived for gradient flow, checked for descent", "derived")

CLASS_W2 = Statement(
    key="ib.class_w2",
    title="Variational classification without a divergence keeps the prior off the data",
    kind=Kind.LIMIT,
    text="Let the rows (labels absorbed) be separable with independent support vectors that span all rows and carry weights "
    "alpha_n > 0. Gradient flow on the expected exponential loss of N(mu, S S^T), without a divergence term, from the prior "
    "N(mu_0, S_0 S_0^T) satisfies mu_t = w_hat log t + w_tilde + P mu_0 + o(1) and S_t -> P S_0, with x_n^T w_tilde = "
    "log(eta/alpha_n), eta = 1 (descent: eta the step): the law itself converges in shape. The rescaled law "
    "N(w_hat + P mu_0, P Sigma_0 P) is, among all laws under which Q w = w_hat almost surely, Gaussian or not, the unique nearest to "
    "the prior in 2-Wasserstein distance, at W2^2 = ||w_hat - Q mu_0||^2 + ||Q S_0||_F^2. The paper states the rescaled limit for gradient "
    "descent; here the flow is derived and descent is checked. Momentum is open and not claimed.",
    latex=r"\mu_t = \hat{w} \log t + \tilde{w} + P \mu_0 + o(1), \qquad S_t \to P S_0",
    source=(
        Source(
            "wenger2025",
            "Theorem 2",
            "the rescaled limit under gradient descent; its constraint set is reconstructed",
            "secondary",
        ),
        Source(
            "here", "", "the law without rescaling, under gradient flow; competitors that are not Gaussian", "derived"
        ),
    ),
    assumptions=(SEPARABLE, EXPONENTIAL_LOSS, EXPECTED_LOSS, GENERIC_SUPPORT, SPANNING_SUPPORT, GRADIENT_FLOW),
    function="nonvacuous.numerics.implicit_bias.classification.classification_limit",
)

CLASS_LOGISTIC = Statement(
    key="ib.class_logistic",
    title="The logistic loss has the same variational limit",
    kind=Kind.LIMIT,
    text="Under gradient flow on the expected logistic loss, with the assumptions of ib.class_w2 otherwise, the law has the same limit: "
    "mu_t = w_hat log t + w_tilde + P mu_0 + o(1) with the same w_tilde, and S_t -> P S_0. The reason: -phi' and phi'' differ from "
    "exp(-u) by at most 2 exp(-2u), so the two flows differ by an integrable force once the margins grow. For generic data ||S_t - P S_0|| "
    "has the exponent of ib.class_rates, t^(-kappa lambda_min). Derived for the flow and given "
    "that the margins grow like log t; for descent and for sampled training it is checked.",
    latex=r"|E\, \sigma(-u) - E\, e^{-u}| \leq E\, e^{-2u} = e^{-2m + 2v}",
    source=(HERE,),
    assumptions=(SEPARABLE, EXPECTED_LOGISTIC_LOSS, GENERIC_SUPPORT, SPANNING_SUPPORT, GRADIENT_FLOW),
)

CLASS_RATES = Statement(
    key="ib.class_rates",
    title="How fast the covariance of variational classification collapses on the data",
    kind=Kind.LIMIT,
    text="Let A be the sum of alpha_n x_n x_n^T over the support vectors and lambda the nonzero spectrum of D A, D the training metric; 1 "
    "is always in it, D A w_hat = w_hat. With kappa the learning rate of the factor relative to the mean's, gradient flow under the assumptions "
    "of ib.class_w2 has, for generic data, ||S_t - P S_0|| of order t^(-kappa lambda_min), training variances v_n of order "
    "t^(-2 kappa lambda_min), a mean correction of order t^(-rho) with rho = min(lambda_min, 2 kappa lambda_min, m_2 - 1), and mode j of the "
    "factor of order t^(-min(kappa lambda_j, kappa lambda_min + rho)): the mean's correction mixes the modes, and no mode decays faster than "
    "kappa lambda_min + rho. The exponents do not depend on the step. So kappa = 1/R divides the exponent by R: the covariance may "
    "hardly collapse within any finite training.",
    latex=r"\|S_t - P S_0\| \sim t^{-\kappa \lambda_{\min}}, \qquad \rho = \min(\lambda_{\min},\, 2 \kappa \lambda_{\min},\, m_2 - 1)",
    source=(HERE,),
    assumptions=(SEPARABLE, EXPONENTIAL_LOSS, EXPECTED_LOSS, GENERIC_SUPPORT, SPANNING_SUPPORT, GRADIENT_FLOW, NO_TIES),
    function="nonvacuous.numerics.implicit_bias.classification.classification_rates",
)

CLASS_SINGLE = Statement(
    key="ib.class_single",
    title="Variational classification of one example, solved",
    kind=Kind.IDENTITY,
    text="For one labelled row x, b = ||x||^2, margin mean m = x^T mu and s = S^T x, gradient flow on exp(-m + ||s||^2/2) conserves "
    "s e^m, and time is explicit: b t = F(e^m) - F(e^(m_0)) with F(Y) = Y exp(-c/Y^2) + sqrt(pi c) erf(sqrt(c)/Y), c = ||s_0||^2 e^(2 m_0)/2, "
    "whose derivative is exp(-c/Y^2). So e^m <= b t + F(e^(m_0)) <= e^m + c e^(-m): m = log(b t) + O(1/t) and ||s|| decays like 1/t. "
    "Rows that are orthogonal to each other are independent copies.",
    latex=r"b t = F(e^m) - F(e^{m_0}), \qquad F(Y) = Y e^{-c/Y^2} + \sqrt{\pi c}\, \mathrm{erf}(\sqrt{c}/Y)",
    source=(Source("here", "", "", "derived"),),
    assumptions=(EXPONENTIAL_LOSS, EXPECTED_LOSS),
    function="nonvacuous.numerics.implicit_bias.single_example.law_at_time",
)

CLASS_STEP = Statement(
    key="ib.class_step",
    title="A step that is safe for the expected exponential loss",
    kind=Kind.INEQUALITY,
    text="The expected exponential loss L = sum l_n, l_n = exp(-m_n + v_n/2), has at (mu, S) no larger curvature than sum l_n ||x_n||^2 (2 + v_n). "
    "Gradient descent with 0 < eta <= 1/(L(0) max_n ||x_n||^2 (2 + ||x_n||^2 ||S_0||_2^2)) lowers L by at least eta/2 times the squared gradient "
    "at every step, and no singular value of S ever grows. The larger 1/(curvature at the start) guarantees nothing: on the rows (1, 0), "
    "(-100, 1000) from mu_0 = (0, .03), S_0 = 0 its first step takes L from 1.00 to 4.9e8.",
    latex=r"\eta \leq \frac{1}{L(0) \max_n \|x_n\|^2 (2 + \|x_n\|^2 \|S_0\|_2^2)} \;\Rightarrow\; L_{t+1} \leq L_t - \frac{\eta}{2} \|\nabla L_t\|^2",
    source=(Source("here", "", "", "derived"),),
    assumptions=(EXPONENTIAL_LOSS, EXPECTED_LOSS, SMALL_LAW_STEP),
    function="nonvacuous.numerics.implicit_bias.classification.guaranteed_law_step",
)

CLASS_NONSPAN = Statement(
    key="ib.class_nonspan",
    title="Without spanning support vectors the covariance freezes on the data",
    kind=Kind.LIMIT,
    text="The spanning assumption of ib.class_w2 is necessary. A row of margin m_n > 1 has a loss l_n of order t^(-m_n), which is integrable, so "
    "the part of the factor off the span of the support vectors stops at a value that depends on the path, and the training variance need not vanish: "
    "for the rows (1,0,0), (2.5,2,0) from mu_0 = 0 the variance of the second margin goes from 10.25 to 1.68161 with S_0 = I and from 2.5625 to .42822 with "
    "S_0 = I/2, not a rescaling of the former, while the direction of the mean is unaffected. For independent rows, support vectors span all rows if "
    "and only if every row is a support vector, that is (X X^T)^(-1) 1 > 0: a matter of P far above N, not merely P > N.",
    latex=r"(X X^\top)^{-1} \mathbf{1} > 0 \;\Longleftrightarrow\; \mathrm{every\ row\ is\ a\ support\ vector}",
    source=(
        Source("here", "", "the equivalence and the freezing are derived; the two limits are integrated", "derived"),
    ),
    assumptions=(SEPARABLE, EXPONENTIAL_LOSS, EXPECTED_LOSS, GRADIENT_FLOW),
)

CLASS_ENSEMBLE = Statement(
    key="ib.class_ensemble",
    title="Deep ensembles and variational classification meet in the limit",
    kind=Kind.EQUIVALENCE,
    text="Under the assumptions of ib.class_w2, a point estimate trained by gradient flow from w_0 is w_hat log t + w_tilde + P w_0 + o(1). So if w_0 = "
    "mu_0 + S_0 z, it agrees up to o(1) with mu_t + S_t z of the variational law trained from the prior: ensemble and variational law have the same limit. "
    "Unlike in regression they differ at every finite time, and without spanning support vectors they differ in the limit too.",
    latex=r"w_t(\mu_0 + S_0 z) - (\mu_t + S_t z) \to 0",
    source=(HERE,),
    assumptions=(SEPARABLE, EXPONENTIAL_LOSS, EXPECTED_LOSS, GENERIC_SUPPORT, SPANNING_SUPPORT, GRADIENT_FLOW),
)

CLASS_OVERCONFIDENCE = Statement(
    key="ib.class_overconfidence",
    title="Trained long enough, variational classification is certain almost everywhere",
    kind=Kind.LIMIT,
    text="Under the assumptions of ib.class_w2, at features x the margin x^T w has mean x^T w_hat log t + O(1) and a standard deviation that tends to "
    "||S_0^T P x||. So where x^T w_hat is not 0 the predictive probability E sigma(x^T w) tends to 0 or 1, and uncertainty relative to the mean fades like "
    "1/log t: training time is a hidden hyperparameter. Only where x^T w_hat = 0 does it keep a limit strictly inside (0, 1), "
    "E sigma(x^T (w_tilde + P mu_0) + ||S_0^T P x|| z), which is 1/2 only if that mean vanishes too.",
    latex=r"x^\top \hat{w} = 0: \quad E\,\sigma(x^\top w) \to E\,\sigma(x^\top(\tilde{w} + P\mu_0) + \|S_0^\top P x\|\, z)",
    source=(HERE,),
    assumptions=(SEPARABLE, EXPONENTIAL_LOSS, EXPECTED_LOSS, GENERIC_SUPPORT, SPANNING_SUPPORT, GRADIENT_FLOW),
    function="nonvacuous.numerics.implicit_bias.classification.predictive_probability",
)

STATEMENTS = (
    CLASS_W2,
    CLASS_RATES,
    CLASS_LOGISTIC,
    CLASS_NONSPAN,
    CLASS_SINGLE,
    CLASS_STEP,
    CLASS_ENSEMBLE,
    CLASS_OVERCONFIDENCE,
)
