"""Gaussian variational inference on separable data with the divergence term left out: what training converges to.

Model x^T w, family N(mu, S S^T), objective sum_n E exp(-x_n^T w) = sum_n exp(-m_n + v_n/2) with m_n = x_n^T mu and
v_n = ||S^T x_n||^2, labels absorbed into the rows (examples, parameters); the prior enters only as the start. With generic
support vectors that span the rows,

    mu_t = w_hat log t + w_tilde + P mu_0 + o(1),      S_t -> P S_0,

derived for gradient flow in `proofs/implicit_bias/classification` (step eta = 1), checked for descent and for the logistic
loss. With a training metric D all projections are those of D. The rescaled law N(w_hat + P mu_0, P Sigma_0 P) is the one
of Wenger et al., arXiv 2505.20235.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .gaussian_law import GaussianLaw
from .least_squares import design_matrix, largest_stable_step
from .max_margin import MaxMargin, max_margin
from .metric import largest_stable_metric_step, metric_matrix
from .separable_limits import constant_term, kept_part, positive_step, rate_spectrum
from .support_vectors import require_generic, support_report

THEOREM = "The limit law of variational classification (ib.class_w2)"


@dataclass(frozen=True, eq=False)
class ClassificationLimit:
    """direction w_hat (parameters,), offset w_tilde + P mu_0 (parameters,), factor P S_0 (parameters, rank)."""

    direction: Float[np.ndarray, " parameters"]
    offset: Float[np.ndarray, " parameters"]
    factor: Float[np.ndarray, "parameters rank"]

    def at(self, time: float) -> GaussianLaw:
        """The law after `time` > 0 (gradient flow) or that many steps, up to what vanishes as time grows."""
        if not (math.isfinite(time) and time > 0):
            raise InvalidInput(f"time is {time!r}.", "It must be positive and finite.")
        return GaussianLaw(self.direction * math.log(time) + self.offset, self.factor)


@dataclass(frozen=True)
class ClassificationRates:
    """Exponents of t: slowest direction of the factor, training variance, mean correction, and every mode of D A.

    `modes` are in the order of `rate_spectrum`: min(kappa lambda_j, factor + mean), since the mean's correction mixes them.
    """

    factor: float
    variance: float
    mean: float
    modes: tuple[float, ...]


def classification_limit(
    design: Any, prior: GaussianLaw, *, step: float = 1.0, metric: Any = None, solution: MaxMargin | None = None
) -> ClassificationLimit:
    """Where training from the prior goes. Raises `AssumptionViolated` unless the support vectors are generic and spanning.

    `solution`: what `max_margin` returned for this design and metric, where it is known.
    """
    x, d, solution = _spanning(design, prior, metric, solution)
    offset = constant_term(x, step=step, metric=d, solution=solution) + kept_part(x, solution, prior.mean, metric=d)
    return ClassificationLimit(solution.weights, offset, kept_part(x, solution, prior.factor, metric=d))


def rescaled_limit(design: Any, prior: GaussianLaw, *, metric: Any = None) -> GaussianLaw:
    """N(w_hat + P mu_0, P Sigma_0 P): of all laws with Q w = w_hat, the nearest to the prior in W2 (for D = I)."""
    x, d, solution = _spanning(design, prior, metric)
    mean = solution.weights + kept_part(x, solution, prior.mean, metric=d)
    return GaussianLaw(mean, kept_part(x, solution, prior.factor, metric=d))


def rescaled_distance_squared(design: Any, prior: GaussianLaw) -> float:
    """W2^2 between the rescaled limit and the prior: ||w_hat - Q mu_0||^2 + ||Q S_0||_F^2, in squared units of the weights."""
    x, _, solution = _spanning(design, prior, None)
    q, _ = np.linalg.qr(x[solution.support].T)
    return float(np.sum((q.T @ (solution.weights - prior.mean)) ** 2) + np.sum((q.T @ prior.factor) ** 2))


def classification_rates(
    design: Any, *, factor_ratio: float = 1.0, metric: Any = None, solution: MaxMargin | None = None
) -> ClassificationRates:
    """Exponents of gradient flow for generic data, kappa = `factor_ratio` the relative learning rate of the factor.

    With lambda the spectrum of D A and m_2 the second margin: factor kappa lambda_min, variance twice that, mean
    rho = min(lambda_min, 2 kappa lambda_min, m_2 - 1). A tie inside a minimum adds a factor log t. None depends on the step.
    """
    x = design_matrix(design)
    kappa = positive_step(factor_ratio)
    solution = max_margin(x, metric=metric) if solution is None else solution
    require_generic(support_report(x, solution=solution), theorem=THEOREM, spanning=True)
    spectrum = rate_spectrum(x, metric=metric, solution=solution)
    slowest = float(kappa * spectrum[0])
    mean = float(min(spectrum[0], 2 * slowest, solution.second_margin - 1))
    modes = tuple(float(min(kappa * value, slowest + mean)) for value in spectrum)
    return ClassificationRates(slowest, 2 * slowest, mean, modes)


def guaranteed_law_step(design: Any, prior: GaussianLaw) -> float:
    """1 / (L(0) max_n ||x_n||^2 (2 + ||x_n||^2 ||S_0||_2^2)): up to this step every step lowers the expected exponential loss.

    It also keeps ||S|| from growing. With different steps for mean and factor it bounds the larger one: the loss then falls
    by g^T D g - (curvature/2) ||D g||^2 > 0, D their diagonal. Steps beyond it may work or may blow up; assert the decrease if
    you take them.
    """
    x, loss = _loss(design, prior)
    squares = (x**2).sum(axis=1)
    spread = float(np.linalg.norm(prior.factor, 2)) ** 2
    return float(1 / (loss.sum() * (squares * (2 + squares * spread)).max()))


def guaranteed_logistic_step(design: Any, *, metric: Any = None) -> float:
    """8/lambda_max(X D X^T): below it every step of mean and factor lowers the expected logistic loss, or it is at its least.

    phi'' <= 1/4 makes the Hessian of E phi in (mu, S) at most sum_n E (x_n^T (dmu + dS z))^2/4 <= lambda_max (||dmu||^2 +
    ||dS||_F^2)/4; with different steps for mean and factor it bounds the larger one. Infinite when the design is zero.
    """
    return 4 * (largest_stable_step(design) if metric is None else largest_stable_metric_step(design, metric=metric))


def heuristic_law_step(design: Any, prior: GaussianLaw) -> float:
    """1 / sum_n l_n(0) ||x_n||^2 (2 + ||x_n||^2 ||S_0||_F^2), the curvature at the start. It guarantees nothing (ib.class_step)."""
    x, loss = _loss(design, prior)
    squares = (x**2).sum(axis=1)
    return float(1 / (loss * squares * (2 + squares * np.sum(prior.factor**2))).sum())


def _loss(design: Any, prior: GaussianLaw) -> tuple[np.ndarray, np.ndarray]:
    x = _checked(design, prior)
    with np.errstate(over="ignore"):
        loss = np.exp(-(x @ prior.mean) + ((x @ prior.factor) ** 2).sum(axis=1) / 2)
    if not (np.isfinite(loss).all() and loss.sum() > 0 and x.any()):
        raise InvalidInput(
            "The expected loss at the start is not a positive finite number.", "Rescale the rows or the prior."
        )
    return x, loss


def _checked(design: Any, prior: GaussianLaw) -> np.ndarray:
    x = design_matrix(design)
    if not isinstance(prior, GaussianLaw) or prior.mean.shape != x.shape[1:]:
        raise InvalidInput(
            f"design has shape {x.shape} and the prior does not belong to it.", "Pass GaussianLaw(mean, factor)."
        )
    return x


def _spanning(
    design: Any, prior: GaussianLaw, metric: Any, solution: MaxMargin | None = None
) -> tuple[np.ndarray, np.ndarray | None, MaxMargin]:
    x = _checked(design, prior)
    d = metric_matrix(metric, parameters=x.shape[1])
    solution = max_margin(x, metric=d) if solution is None else solution
    require_generic(support_report(x, solution=solution), theorem=THEOREM, spanning=True)
    return x, d, solution


def predictive_margin(law: GaussianLaw, row: Any) -> tuple[float, float]:
    """Mean and standard deviation of x^T w under the law, for features x (parameters,)."""
    x = finite("row", row, ndim=1)
    if x.shape != law.mean.shape:
        raise InvalidInput(f"row has shape {x.shape}, the law {law.mean.shape}.", "Pass one feature per parameter.")
    return float(x @ law.mean), float(np.linalg.norm(x @ law.factor))


def predictive_probability(law: GaussianLaw, row: Any) -> float:
    """E sigmoid(x^T w), to 1e-12 for standard deviations of x^T w up to 20: the trapezoidal rule in the noise.

    With step h the rule errs like exp(-2 pi d/h), d = min(pi/std, ..) the distance of the nearest pole of the integrand.
    """
    mean, spread = predictive_margin(law, row)
    step = min(0.1, 1.0 / (2 * max(spread, 1e-300)), 0.1)
    reach = math.ceil(9 / step)
    z = step * np.arange(-reach, reach + 1)
    weight = np.exp(-z * z / 2)
    values = np.exp(-np.logaddexp(0, -(mean + spread * z)))
    return float(weight @ values / weight.sum())
