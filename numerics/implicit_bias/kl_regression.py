"""What a Kullback-Leibler term to the prior selects in linear regression: posteriors, their limits, mean-field laws.

Objective over q: E_q ||y - X w||^2 / (2 noise) + kl_weight KL(q || prior), prior N(mu_0, S_0 S_0^T), noise a variance.
Over all q the minimiser is the posterior for the noise kl_weight * noise. With vanishing weight it tends to the prior
conditioned on X w = y (where that has no solution: on the least-squares fit), an oblique projection of the prior, whereas
descent without a divergence (`variational_regression`) projects it orthogonally. Shapes are those of `least_squares`.
Derived in `proofs/implicit_bias`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from ...theory.errors import AssumptionViolated, InvalidInput
from ...theory.validation import finite
from .gaussian_law import GaussianLaw, covariance
from .least_squares import UNIT_ROUNDOFF, gradient_descent_path, least_squares_problem, row_space, whole_times
from .spectral_filters import ridge_filter


def tempered_posterior(
    design: Any, targets: Any, prior: GaussianLaw, *, noise: float, kl_weight: float = 1.0, temperature: float = 1.0
) -> GaussianLaw:
    """The minimiser over all laws, covariance (H/(kl_weight noise) + Sigma_0^{-1})^{-1}, times `temperature`.

    kl_weight -> 0 tends to `noise_free_posterior`; temperature -> 0 (a cold posterior) to a point mass at the mean, the
    ridge solution. Computed in prior-whitened coordinates w = mu_0 + S_0 v, so that weights near 0 and singular priors are
    fine (a singular prior's posterior lives where the prior does).
    """
    x, y, prior = checked(design, targets, prior)
    weight, scale = positive("kl_weight", kl_weight) * positive("noise", noise), positive("temperature", temperature)
    return _conditioned(x, y, prior, weight, scale)


def noise_free_posterior(design: Any, targets: Any, prior: GaussianLaw) -> GaussianLaw:
    """mu_c = mu_0 + Sigma_0 X^T (X Sigma_0 X^T)^+ (y - X mu_0), Sigma_c = Sigma_0 - Sigma_0 X^T (X Sigma_0 X^T)^+ X Sigma_0."""
    x, y, prior = checked(design, targets, prior)
    return _conditioned(x, y, prior, 0.0, 1.0)


def mean_field_posterior(
    design: Any, targets: Any, prior: GaussianLaw, *, noise: float, kl_weight: float = 1.0
) -> tuple[Float[np.ndarray, " parameters"], Float[np.ndarray, " parameters"]]:
    """Mean and variances of the best law with independent parameters: the exact mean, v_i = 1/[H/(kl_weight noise) + Sigma_0^{-1}]_ii.

    The variance of every parameter that the data use (X_i not 0) vanishes with kl_weight. Needs a nonsingular prior.
    """
    x, y, prior = checked(design, targets, prior)
    weight = positive("kl_weight", kl_weight) * positive("noise", noise)
    precision = np.sum(x**2, axis=0) / weight + np.diag(np.linalg.inv(nonsingular(prior)))
    return _conditioned(x, y, prior, weight, 1.0).mean, 1 / precision


def mean_field_descent(
    design: Any, targets: Any, mean: Any, scales: Any, *, step: float, time: Any
) -> tuple[Float[np.ndarray, "*times parameters"], Float[np.ndarray, "*times parameters"]]:
    """Means and scales of a law with independent parameters under descent on E ||y - X w||^2 / 2 alone, after `time` steps.

    s_i(t) = (1 - step ||X_i||^2)^t s_i(0), X_i the i-th column: it vanishes for every parameter that the data use.
    """
    x, y, start = least_squares_problem(design, targets, mean)
    s, times = finite("scales", scales, ndim=1), whole_times(time)
    if s.shape != start.shape:
        raise InvalidInput(f"scales has shape {s.shape}, mean {start.shape}.", "Pass one scale per parameter.")
    path = gradient_descent_path(x, y, start, step=step, time=times)  # also refuses unstable steps; ||X_i||^2 <= h_max
    return path, (1 - step * np.sum(x**2, axis=0)) ** times[..., None] * s


def kl_to_prior(law: GaussianLaw, prior: GaussianLaw) -> float:
    """KL(law || prior) in nats; infinite when the law is singular and the prior is not. Needs a nonsingular prior."""
    sigma = nonsingular(prior)
    spread = covariance(law)
    values = np.linalg.svd(law.factor, compute_uv=False)
    size = len(law.mean)
    if len(values) < size or values[-1] <= size * 2.0**-52 * values[0]:
        return math.inf
    shift = law.mean - prior.mean
    logs = 2 * float(np.sum(np.log(values))) - float(np.linalg.slogdet(sigma)[1])
    return 0.5 * (
        float(np.trace(np.linalg.solve(sigma, spread))) + float(shift @ np.linalg.solve(sigma, shift)) - size - logs
    )


def kl_objective(
    design: Any, targets: Any, law: GaussianLaw, prior: GaussianLaw, *, noise: float, kl_weight: float
) -> float:
    """E_q ||y - X w||^2 / (2 noise) + kl_weight KL(q || prior) of a Gaussian law; infinite for a singular one."""
    x, y, _ = checked(design, targets, law)
    fit = float(np.sum((y - x @ law.mean) ** 2) + np.sum((x @ law.factor) ** 2)) / (2 * positive("noise", noise))
    return fit + positive("kl_weight", kl_weight) * kl_to_prior(law, prior)


def row_mixing(design: Any, prior: GaussianLaw) -> tuple[float, float]:
    """||P Sigma_0 Q||_F, and what rounding alone can make of it, to first order in u = 2^-53.

    It is 0 exactly where KL and W2 select the same covariance. The row space is that of a design moved by at most the rank
    cutoff, which turns it by cutoff/s_min and the product by twice that of Sigma_0; products over p and R terms add
    gamma_R + 3 gamma_p of ||S_0||_F^2.
    """
    x, _, _ = checked(design, np.zeros(len(np.atleast_2d(design))), prior)
    space, sigma = row_space(x), covariance(prior)
    if not space.singular_values.size:
        return 0.0, 0.0
    cross = sigma @ space.right - space.right @ (space.right.T @ sigma @ space.right)
    turned = 2 * space.cutoff / float(space.singular_values[-1])
    rounding = (prior.factor.shape[1] + 3 * x.shape[1]) * UNIT_ROUNDOFF
    return float(np.linalg.norm(cross)), (turned + rounding) * float(np.sum(prior.factor**2))


def is_row_invariant(design: Any, prior: GaussianLaw) -> bool:
    """Whether P Sigma_0 Q = 0, up to rounding: exactly then KL and W2 select the same covariance."""
    size, floor = row_mixing(design, prior)
    return size <= floor


def conditioning_floor(design: Any, targets: Any, prior: GaussianLaw, *, weight: float) -> tuple[float, float]:
    """Bounds, to first order in u = 2^-53, on the rounding of mean and covariance above; weight = kl_weight * noise >= 0.

    A = X S_0 and its decomposition are exact for a matrix moved by at most d = (2 max(n, p) + p + 2) u ||X|| ||S_0||, and
    the residual r errs by e = (p + 2) u (||X|| ||mu_0|| + ||y||). With g = s_min^2 + weight, A^T (A A^T + weight)^+ is at most
    g^{-1/2} and moves by at most 3 d/g, and the factor's function of A by at most 4 d/g^{1/2} (rank unchanged).
    Products and sums add 4 p u of their size.
    """
    x, y, prior = checked(design, targets, prior)
    space, size, shape = (
        row_space(x @ prior.factor),
        float(np.linalg.norm(prior.factor)),
        max(*x.shape, *prior.factor.shape),
    )
    norm, residual = float(np.linalg.norm(x)), float(np.linalg.norm(y - x @ prior.mean))
    unit, shift = 2.0**-53, float(np.linalg.norm(prior.mean))
    g = (float(space.singular_values[-1]) ** 2 if space.singular_values.size else 1.0) + weight
    moved, error = (3 * shape + 2) * unit * norm * size, (shape + 2) * unit * (norm * shift + float(np.linalg.norm(y)))
    mean = size * (3 * moved * residual / g + error / math.sqrt(g)) + 4 * shape * unit * (
        shift + size * residual / math.sqrt(g)
    )
    root = size * (4 * moved / math.sqrt(g) + 4 * shape * unit)
    return mean, (2 * size + root) * root + 4 * shape * unit * size**2


def checked(design: Any, targets: Any, law: GaussianLaw) -> tuple[np.ndarray, np.ndarray, GaussianLaw]:
    """The problem with a law over its parameters, or `InvalidInput`."""
    if not isinstance(law, GaussianLaw):
        raise InvalidInput(f"prior is a {type(law).__name__}.", "Pass GaussianLaw(mean, factor).")
    x, y, _ = least_squares_problem(design, targets, law.mean)
    return x, y, law


def positive(name: str, value: Any) -> float:
    """`value` as a positive finite float, or `InvalidInput`."""
    number = float(finite(name, value, ndim=0))
    if number <= 0:
        raise InvalidInput(f"{name} is {number:g}.", "It must be positive.")
    return number


def nonsingular(prior: GaussianLaw) -> Float[np.ndarray, "parameters parameters"]:
    """Sigma_0, or `AssumptionViolated` where it has no inverse."""
    values = np.linalg.svd(prior.factor, compute_uv=False)
    if len(values) < len(prior.mean) or values[-1] <= len(prior.mean) * 2.0**-52 * values[0]:
        raise AssumptionViolated(
            "the prior is singular, so a KL divergence to it is infinite.",
            "Use a prior factor of full rank, or W2 to the prior, which needs none.",
        )
    return covariance(prior)


def _conditioned(x: np.ndarray, y: np.ndarray, prior: GaussianLaw, weight: float, scale: float) -> GaussianLaw:
    # A = X S_0 = U diag(s) V^T: mean V phi(s)/s U^T (y - X mu_0), covariance I - V phi(s) V^T with ridge's filter phi
    space = row_space(x @ prior.factor)
    phi = ridge_filter(space.singular_values, penalty=weight)
    shift = space.right @ (phi / space.singular_values * (space.left.T @ (y - x @ prior.mean)))
    left_over = np.sqrt(weight / (space.singular_values**2 + weight)) if weight else np.zeros_like(phi)
    root = np.eye(prior.factor.shape[1]) - (space.right * (1 - left_over)) @ space.right.T
    return GaussianLaw(prior.mean + prior.factor @ shift, math.sqrt(scale) * prior.factor @ root)
