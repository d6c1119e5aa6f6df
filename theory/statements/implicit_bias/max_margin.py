"""Separable classification: the direction that descent takes, its constant term, and other geometries."""

from __future__ import annotations

from ...statement import Assumption, Kind, Source, Statement
from .separability import EXPONENTIAL_LOSS, GENERIC_SUPPORT, GRADIENT_FLOW, SEPARABLE, SMALL_STEP, SPANNING_SUPPORT

BOUNDED_RESIDUAL = Assumption("bounded residual", "w_t - w_hat log t stays bounded along the run; not shown here.")
DUAL_STEP = Assumption("small step", "0 < eta <= 1/(B^2 L(w_0)), B the largest dual norm of a row.")

LOGIT_MAXMARGIN = Statement(
    key="ib.logit_maxmargin",
    title="Descent on separable data turns towards the maximum margin",
    kind=Kind.LIMIT,
    text="Let some w have x_n^T w > 0 for every row (labels absorbed), let w_hat minimise ||w||^2 subject to x_n^T w >= 1, "
    "w_hat = X^T alpha with alpha >= 0, so that ||w_hat||^2 = sum alpha = 1/gamma^2. Gradient descent on L = sum exp(-x_n^T w) "
    "with 0 < eta <= 1/(B^2 L(w_0)), B the longest row, lowers L every step, 1/L(w_t) >= 1/L(w_0) + eta gamma^2 t/2, and "
    "1 >= cos(w_t, w_hat) >= min_n x_n^T w_t / (gamma ||w_t||) >= 1 - C / log(1/L(w_0) + eta gamma^2 t/2) with "
    "C = gamma ||w_0|| + log L(w_0) + eta B^2 L(w_0). So w_t/||w_t|| converges to w_hat/||w_hat||, on every separable data "
    "set. (Logistic and other exponentially tailed losses, and the sharper rates of the direction, are in the literature "
    "and are not claimed here.)",
    latex=r"\frac{\min_n x_n^\top w_t}{\gamma \|w_t\|} \geq 1 - \frac{C}{\log(1/L(w_0) + \eta \gamma^2 t/2)}, \qquad "
    r"\frac{w_t}{\|w_t\|} \to \frac{\hat{w}}{\|\hat{w}\|}",
    source=(
        Source("soudry2018", "", "the limit direction, for a class of losses", "secondary"),
        Source("here", "", "the finite-time bounds with their constants, for the exponential loss", "derived"),
    ),
    assumptions=(SEPARABLE, EXPONENTIAL_LOSS, SMALL_STEP),
    function="nonvacuous.numerics.implicit_bias.max_margin.max_margin",
)

LOGIT_RESIDUAL = Statement(
    key="ib.logit_residual",
    title="The constant term of descent on separable data",
    kind=Kind.LIMIT,
    text="If the support vectors are independent with alpha_n > 0, gradient flow on sum exp(-x_n^T w) satisfies, on their span, "
    "w(t) - w_hat log t -> w_tilde, the solution of x_n^T w_tilde = -log alpha_n; off the rows of X it keeps P w_0. So if "
    "they span the rows, w(t) = w_hat log t + w_tilde + P w_0 + o(1). With A the sum of alpha_n x_n x_n^T over them, "
    "A w_hat = w_hat, and the remainder on their span is O(e^(-rho tau)) in tau = log(1 + t), rho = min(lambda_min, m_2 - 1), "
    "lambda_min the least nonzero eigenvalue of A and m_2 the smallest other margin (times tau in case of a tie). Gradient "
    "descent with a small step eta has log(eta/alpha_n) in place of -log alpha_n. Hence (w_t2 - w_t1)/log(t2/t1) estimates "
    "w_hat with a polynomially small error, and w_t/log t is off by (w_tilde + P w_0)/log t.",
    latex=r"w_t = \hat{w} \log t + \tilde{w} + P w_0 + o(1), \qquad x_n^\top \tilde{w} = \log(\eta/\alpha_n)",
    source=(
        Source("soudry2018", "", "bounded residuals and the equations of w_tilde", "secondary"),
        Source("here", "", "the exponent of the remainder; the flow is derived, descent is checked", "derived"),
    ),
    assumptions=(SEPARABLE, EXPONENTIAL_LOSS, GENERIC_SUPPORT, GRADIENT_FLOW),
    function="nonvacuous.numerics.implicit_bias.separable_limits.constant_term",
)

STEEPEST = Statement(
    key="ib.steepest",
    title="Steepest descent in a norm maximises the margin in that norm",
    kind=Kind.LIMIT,
    text="Let gamma be the largest min_n x_n^T v over |v| <= 1 in a norm with dual norm |.|_*, and let steepest descent on L = sum exp(-x_n^T w) "
    "move w by eta |grad L|_* along the unit vector of largest decrease, 0 < eta <= 1/(B^2 L(w_0)), B the largest |x_n|_*. Then L falls every step and "
    "1 >= min_n x_n^T w_t / (gamma |w_t|) >= 1 - C / log(1/L(w_0) + eta gamma^2 t/2) with C = gamma |w_0| + log L(w_0) + eta B^2 L(w_0). So "
    "coordinate descent finds the largest l1 margin and sign descent the largest l_inf margin. (A quadratic norm w^T D^-1 w is gradient descent in the "
    "metric D. AdaGrad and Adam are no steepest descent in any fixed norm, and nothing is claimed about them.)",
    latex=r"\frac{\min_n x_n^\top w_t}{|w_t|} \to \max_{|v| \leq 1} \min_n x_n^\top v",
    source=(
        Source("gunasekar2018", "", "the limit margin of steepest descent in classification", "secondary"),
        Source("here", "", "the finite-time bound with its constants, for the exponential loss", "derived"),
    ),
    assumptions=(SEPARABLE, EXPONENTIAL_LOSS, DUAL_STEP),
    function="nonvacuous.numerics.implicit_bias.steepest.steepest_max_margin",
)

LOGIT_SGD = Statement(
    key="ib.logit_sgd",
    title="Mini-batch descent with a fixed step on separable data",
    kind=Kind.LIMIT,
    text="Stochastic gradient descent with a small fixed step on separable data, for smooth losses with an exponential tail, with or without replacement, "
    "has a loss of order 1/t and the direction of w_hat, at the rate 1/log t (literature, not derived here). Where the support vectors are independent, carry "
    "alpha_n > 0 and span the rows, and w_t - w_hat log t stays bounded, it tends almost surely to w_tilde + P w_0 with x_n^T w_tilde = log(eta b/(N alpha_n)) "
    "for batches of b of the N rows whose gradients are summed: the constant term of descent with time t b/N.",
    latex=r"w_t = \hat{w} \log t + \tilde{w} + P w_0 + o(1), \qquad x_n^\top \tilde{w} = \log(\eta b / (N \alpha_n))",
    source=(
        Source("nacson2019", "", "loss and direction", "secondary"),
        Source("here", "", "the constant term, given that the residual stays bounded", "derived"),
    ),
    assumptions=(SEPARABLE, GENERIC_SUPPORT, SPANNING_SUPPORT, BOUNDED_RESIDUAL),
    function="nonvacuous.numerics.implicit_bias.separable_limits.constant_term",
)

STATEMENTS = (LOGIT_MAXMARGIN, LOGIT_RESIDUAL, LOGIT_SGD, STEEPEST)
