"""Generalization bounds as functions of losses, divergences, n and delta. Each returns a `Certificate`."""

from ..large_deviations.tails import (
    GaussianLosses,
    InputGradient,
    KnownLaws,
    ParameterNorm,
    SecondMoment,
    SubGamma,
    SubGaussian,
)
from .alquier import alquier
from .alternation import alternate_lambda
from .betting import betting_interval, betting_pac_bayes
from .catoni import catoni
from .catoni_grid import catoni_continuous, catoni_grid, catoni_uniform
from .cbound import majority_vote_cbound_joint, majority_vote_chebyshev_cantelli
from .certificate import Certificate, Recheck, load
from .chernoff import pac_bayes_chernoff, pac_bayes_chernoff_alpha
from .compare import BoundComparison, compare
from .compression import code_log_inv_weight, compression_bound, quantised_code_bits
from .empirical_bernstein import empirical_bernstein, posterior_moments
from .ensembles import ensemble_chernoff
from .envelope import small_data_envelope
from .from_losses import certify_losses
from .gibbs_posterior import gibbs_posterior
from .held_out import binomial_test_set, chernoff_test_set, hoeffding_test_set
from .information import conditional_information, conditional_information_kl, individual_information, mutual_information
from .majority_vote import (
    majority_vote_cbound,
    majority_vote_disagreement,
    majority_vote_first_order,
    majority_vote_tandem,
)
from .majority_vote_data import Votes, certify_votes, vote_moments, vote_risk, votes_from_forest
from .majority_vote_weights import fit_vote_weights
from .master import master
from .mcallester import mcallester
from .monte_carlo import gibbs_monte_carlo
from .occam import occam_binomial, occam_kl
from .one_draw import gaussian_log_ratio, one_draw_catoni, one_draw_kl, one_draw_occam, one_draw_renyi
from .pac2 import pac2, pac2_oracle, pair_log_loss
from .pac_chernoff import pac_chernoff
from .pbb import pbb, prior_variance, scale_indices
from .recursive import RecursiveStep, recursive_pac_bayes
from .relaxations import quad, thiemann_lambda
from .renyi import chi_square, power_divergence, renyi
from .second_moment import second_moment
from .seeger import seeger_kl, seeger_kl_split
from .split_kl import split_kl, split_kl_continuous
from .stochastic_vote import fit_dirichlet, stochastic_majority_vote, stochastic_vote_risk
from .sub_gaussian import sub_gaussian_mixture, sub_gaussian_mixture_one_sided
from .subsample import subsampled_occam
from .supermartingale import supermartingale
from .surrogates import clamped_log_loss, smoothed_log_loss, squeezed_log_loss, to_own_scale
from .time_uniform import kl_anytime
from .unexpected_bernstein import unexpected_bernstein
from .vector_kl import trinomial_kl, vector_kl
from .wasserstein import gaussian_distance, wasserstein

__all__ = [
    "BoundComparison",
    "Certificate",
    "GaussianLosses",
    "InputGradient",
    "KnownLaws",
    "ParameterNorm",
    "Recheck",
    "RecursiveStep",
    "SecondMoment",
    "SubGamma",
    "SubGaussian",
    "Votes",
    "alquier",
    "alternate_lambda",
    "betting_interval",
    "betting_pac_bayes",
    "binomial_test_set",
    "catoni",
    "catoni_continuous",
    "catoni_grid",
    "catoni_uniform",
    "certify_losses",
    "certify_votes",
    "chernoff_test_set",
    "chi_square",
    "clamped_log_loss",
    "code_log_inv_weight",
    "compare",
    "compression_bound",
    "conditional_information",
    "conditional_information_kl",
    "empirical_bernstein",
    "ensemble_chernoff",
    "fit_dirichlet",
    "fit_vote_weights",
    "gaussian_distance",
    "gaussian_log_ratio",
    "gibbs_monte_carlo",
    "gibbs_posterior",
    "hoeffding_test_set",
    "individual_information",
    "kl_anytime",
    "load",
    "majority_vote_cbound",
    "majority_vote_cbound_joint",
    "majority_vote_chebyshev_cantelli",
    "majority_vote_disagreement",
    "majority_vote_first_order",
    "majority_vote_tandem",
    "master",
    "mcallester",
    "mutual_information",
    "occam_binomial",
    "occam_kl",
    "one_draw_catoni",
    "one_draw_kl",
    "one_draw_occam",
    "one_draw_renyi",
    "pac2",
    "pac2_oracle",
    "pac_bayes_chernoff",
    "pac_bayes_chernoff_alpha",
    "pac_chernoff",
    "pair_log_loss",
    "pbb",
    "posterior_moments",
    "power_divergence",
    "prior_variance",
    "quad",
    "quantised_code_bits",
    "recursive_pac_bayes",
    "renyi",
    "scale_indices",
    "second_moment",
    "seeger_kl",
    "seeger_kl_split",
    "small_data_envelope",
    "smoothed_log_loss",
    "split_kl",
    "split_kl_continuous",
    "squeezed_log_loss",
    "stochastic_majority_vote",
    "stochastic_vote_risk",
    "sub_gaussian_mixture",
    "sub_gaussian_mixture_one_sided",
    "subsampled_occam",
    "supermartingale",
    "thiemann_lambda",
    "to_own_scale",
    "trinomial_kl",
    "unexpected_bernstein",
    "vector_kl",
    "vote_moments",
    "vote_risk",
    "votes_from_forest",
    "wasserstein",
]
