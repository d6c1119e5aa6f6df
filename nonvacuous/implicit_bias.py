"""Implicit bias of gradient descent on linear models: where training ends, how fast, and the law that variational training ends in."""

from .numerics.implicit_bias.assess import assess
from .numerics.implicit_bias.assessment import Assessment
from .numerics.implicit_bias.classification import (
    classification_limit,
    classification_rates,
    guaranteed_law_step,
    predictive_margin,
    predictive_probability,
    rescaled_limit,
)
from .numerics.implicit_bias.ensemble_law import ensemble_errors, ensemble_flow_law, ensemble_law
from .numerics.implicit_bias.expected_losses import expected_hessian, expected_loss
from .numerics.implicit_bias.fixed_noise import fixed_noise_limit
from .numerics.implicit_bias.function_space import PredictiveLaw, predictive_law
from .numerics.implicit_bias.gaussian_flow import flow_velocity, gaussian_flow
from .numerics.implicit_bias.gaussian_law import GaussianLaw, covariance
from .numerics.implicit_bias.kl_regression import (
    kl_to_prior,
    mean_field_posterior,
    noise_free_posterior,
    tempered_posterior,
)
from .numerics.implicit_bias.least_squares import (
    contraction_factor,
    convergence_bound,
    fastest_step,
    gradient_descent_limit,
    gradient_descent_path,
    half_sum_step,
    largest_stable_step,
    null_projector,
    rounding_floor,
    row_projector,
    row_space,
    spectral_filter,
)
from .numerics.implicit_bias.linearised import excess_over_posterior, linearised_law
from .numerics.implicit_bias.max_margin import MaxMargin, absorb_labels, max_margin
from .numerics.implicit_bias.metric import metric_limit, metric_path, oblique_projector
from .numerics.implicit_bias.metric_regression import (
    dial_law,
    metric_regression_limit,
    metric_regression_path,
    prior_power,
)
from .numerics.implicit_bias.mini_batches import largest_stable_batch_step, mean_square_bound, stationary_covariance
from .numerics.implicit_bias.mirror import Potential, bregman_solution, diagonal_network_limit, hypentropy
from .numerics.implicit_bias.momentum import largest_stable_momentum_step, momentum_contraction, momentum_path
from .numerics.implicit_bias.report import RunReport, report
from .numerics.implicit_bias.sampled_regression import largest_sampled_step, sampled_bound, sampled_steps
from .numerics.implicit_bias.separable_limits import (
    constant_term,
    correction_exponent,
    guaranteed_descent_step,
    limit_remainder,
    log_difference,
    rate_matrix,
    rate_spectrum,
)
from .numerics.implicit_bias.single_example import law_at_time, time_to_margin
from .numerics.implicit_bias.spectral_filters import flow_filter, gradient_flow_path, ridge_filter, ridge_path
from .numerics.implicit_bias.stability import (
    SampledDescent,
    largest_stable_mode_step,
    largest_stable_sampled_step,
    mean_square_rate,
)
from .numerics.implicit_bias.steepest import SteepestMargin, steepest_max_margin
from .numerics.implicit_bias.support_vectors import every_row_supports, support_report
from .numerics.implicit_bias.training_choices import Training
from .numerics.implicit_bias.training_plan import TrainingPlan, cheapest_plan, plan_training
from .numerics.implicit_bias.training_run import TrainingRun
from .numerics.implicit_bias.variational_regression import (
    distance_to_limit_bound,
    distance_to_prior_squared,
    law_rounding_floor,
    regression_limit,
    regression_path,
)
from .numerics.implicit_bias.wasserstein import wasserstein2, wasserstein2_squared
from .numerics.implicit_bias.wasserstein_regression import distance_to_zero_penalty, proximal_law

__all__ = [
    "Assessment",
    "GaussianLaw",
    "MaxMargin",
    "Potential",
    "PredictiveLaw",
    "RunReport",
    "SampledDescent",
    "SteepestMargin",
    "Training",
    "TrainingPlan",
    "TrainingRun",
    "absorb_labels",
    "assess",
    "bregman_solution",
    "cheapest_plan",
    "classification_limit",
    "classification_rates",
    "constant_term",
    "contraction_factor",
    "convergence_bound",
    "correction_exponent",
    "covariance",
    "diagonal_network_limit",
    "dial_law",
    "distance_to_limit_bound",
    "distance_to_prior_squared",
    "distance_to_zero_penalty",
    "ensemble_errors",
    "ensemble_flow_law",
    "ensemble_law",
    "every_row_supports",
    "excess_over_posterior",
    "expected_hessian",
    "expected_loss",
    "fastest_step",
    "fixed_noise_limit",
    "flow_filter",
    "flow_velocity",
    "gaussian_flow",
    "gradient_descent_limit",
    "gradient_descent_path",
    "gradient_flow_path",
    "guaranteed_descent_step",
    "guaranteed_law_step",
    "half_sum_step",
    "hypentropy",
    "kl_to_prior",
    "largest_sampled_step",
    "largest_stable_batch_step",
    "largest_stable_mode_step",
    "largest_stable_momentum_step",
    "largest_stable_sampled_step",
    "largest_stable_step",
    "law_at_time",
    "law_rounding_floor",
    "limit_remainder",
    "linearised_law",
    "log_difference",
    "max_margin",
    "mean_field_posterior",
    "mean_square_bound",
    "mean_square_rate",
    "metric_limit",
    "metric_path",
    "metric_regression_limit",
    "metric_regression_path",
    "momentum_contraction",
    "momentum_path",
    "noise_free_posterior",
    "null_projector",
    "oblique_projector",
    "plan_training",
    "predictive_law",
    "predictive_margin",
    "predictive_probability",
    "prior_power",
    "proximal_law",
    "rate_matrix",
    "rate_spectrum",
    "regression_limit",
    "regression_path",
    "report",
    "rescaled_limit",
    "ridge_filter",
    "ridge_path",
    "rounding_floor",
    "row_projector",
    "row_space",
    "sampled_bound",
    "sampled_steps",
    "spectral_filter",
    "stationary_covariance",
    "steepest_max_margin",
    "support_report",
    "tempered_posterior",
    "time_to_margin",
    "wasserstein2",
    "wasserstein2_squared",
]
