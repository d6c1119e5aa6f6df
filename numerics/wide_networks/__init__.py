"""Laws of trained wide networks: dynamics, ensembles, posteriors, distillation, value functions."""

from .bayesian_distillation import (
    brnd_error_covariance,
    brnd_noise_error_covariance,
    brnd_target_covariance,
    posterior_covariance,
)
from .distillation import bayes_gap, distillation_error_covariance, distilled_variance, readout_error_covariance
from .duplicates import Collapsed, collapse_duplicates
from .ensemble import (
    EnsembleLaw,
    ensemble_covariance,
    ensemble_law,
    ensemble_mean,
    rnd_error_covariance,
    rnd_variance,
    smoother,
)
from .features import features, preconditioned_smoother, sample_then_optimise
from .finite_width import FiniteWidthProgress, FiniteWidthTable, finite_width_table
from .gram import GramBlocks, gram_blocks
from .heads import effective_heads, head_covariance, head_error_covariance, heads_interval, heads_needed, heads_tail
from .policy import SingularGram
from .posterior import (
    GaussianPosterior,
    excess_decomposition,
    nngp_posterior,
    ntkgp_posterior,
    posterior,
    readout_ensemble,
)
from .posterior_functions import HeadsExhausted, PosteriorFunctions
from .randomised_priors import bayesian_ensemble_law, randomised_prior_covariance
from .smoother import LinearSmoother, linear_smoother
from .step_sizes import best_step_size_sum_loss, largest_step_size_sum_loss, steps_to_tolerance
from .training import GradientDescent, GradientFlow, HeavyBall, UnstableStep
from .value_functions import (
    DivergingTD,
    TransitionKernel,
    csd_variance,
    td_covariance,
    td_mean,
    transition_kernel,
    uvu_error_covariance,
)
from .weight_decay import relu_offset, weight_decay_law

__all__ = [
    "Collapsed",
    "DivergingTD",
    "EnsembleLaw",
    "FiniteWidthProgress",
    "FiniteWidthTable",
    "GaussianPosterior",
    "GradientDescent",
    "GradientFlow",
    "GramBlocks",
    "HeadsExhausted",
    "HeavyBall",
    "LinearSmoother",
    "PosteriorFunctions",
    "SingularGram",
    "TransitionKernel",
    "UnstableStep",
    "bayes_gap",
    "bayesian_ensemble_law",
    "best_step_size_sum_loss",
    "brnd_error_covariance",
    "brnd_noise_error_covariance",
    "brnd_target_covariance",
    "collapse_duplicates",
    "csd_variance",
    "distillation_error_covariance",
    "distilled_variance",
    "effective_heads",
    "ensemble_covariance",
    "ensemble_law",
    "ensemble_mean",
    "excess_decomposition",
    "features",
    "finite_width_table",
    "gram_blocks",
    "head_covariance",
    "head_error_covariance",
    "heads_interval",
    "heads_needed",
    "heads_tail",
    "largest_step_size_sum_loss",
    "linear_smoother",
    "nngp_posterior",
    "ntkgp_posterior",
    "posterior",
    "posterior_covariance",
    "preconditioned_smoother",
    "randomised_prior_covariance",
    "readout_ensemble",
    "readout_error_covariance",
    "relu_offset",
    "rnd_error_covariance",
    "rnd_variance",
    "sample_then_optimise",
    "smoother",
    "steps_to_tolerance",
    "td_covariance",
    "td_mean",
    "transition_kernel",
    "uvu_error_covariance",
    "weight_decay_law",
]
