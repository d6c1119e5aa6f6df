"""Laws of trained wide networks: dynamics, ensembles, posteriors, distillation, value functions; and how far a finite width is from them."""

from importlib import import_module

from ...theory.errors import MissingExtra
from ..networks.width_moments import DepthToWidth, depth_to_width, kernel_moment_ratio, tangent_kernel_variance
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
from .gram import GramBlocks, gram_blocks, kernel_blocks
from .heads import (
    effective_heads,
    head_covariance,
    head_covariance_deviation,
    head_error_covariance,
    heads_interval,
    heads_needed,
    heads_tail,
    initial_head_correlation,
    squared_error_correlation,
)
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

_WITH_TORCH = {"LabelDependence": "..methods.lazy_regime", "label_dependence": "..methods.lazy_regime"}


def __getattr__(name: str) -> object:
    """What trains the user's own torch module is imported on use: the laws need no torch."""
    if name not in _WITH_TORCH:
        raise AttributeError(f"nonvacuous.wide_networks has no {name!r}.")
    try:
        return getattr(import_module(_WITH_TORCH[name], __package__), name)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors"):
            raise
        raise MissingExtra(
            f"nonvacuous.wide_networks.{name} needs {error.name}, which is not installed.",
            "Install CPU torch first, then 'nonvacuous[torch]'.",
        ) from error


def __dir__() -> list[str]:
    return sorted({*globals(), *_WITH_TORCH})


__all__ = [
    "Collapsed",
    "DepthToWidth",
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
    "LabelDependence",
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
    "depth_to_width",
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
    "head_covariance_deviation",
    "head_error_covariance",
    "heads_interval",
    "heads_needed",
    "heads_tail",
    "initial_head_correlation",
    "kernel_blocks",
    "kernel_moment_ratio",
    "label_dependence",
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
    "squared_error_correlation",
    "steps_to_tolerance",
    "tangent_kernel_variance",
    "td_covariance",
    "td_mean",
    "transition_kernel",
    "uvu_error_covariance",
    "weight_decay_law",
]
