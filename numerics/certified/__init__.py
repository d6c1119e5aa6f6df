"""Certified scalars: float64, vectorised, rounded outward where a bound consumes them."""

from .binary_kl import binary_kl
from .binomial_tail import binomial_lower, binomial_upper
from .exponential_rate import cgf_exponential, inverse_rate_exponential, rate_exponential
from .kl_derivatives import KlUpperDerivatives, kl_upper_derivatives
from .kl_inverse import KlInverseParts, kl_lower, kl_lower_parts, kl_upper, kl_upper_parts
from .krichevsky_trofimov import kt_constant, log_kt, log_kt_upper
from .maurer import log_maurer_xi, log_maurer_xi_upper, maurer_xi, maurer_xi_upper
from .pinsker import (
    hoeffding_cgf,
    kearns_saul_cgf,
    kearns_saul_factor,
    linear_lower,
    pinsker_lower,
    pinsker_upper,
    quadratic_upper,
    relaxed_lower,
    relaxed_upper,
)

__all__ = [
    "KlInverseParts",
    "KlUpperDerivatives",
    "binary_kl",
    "binomial_lower",
    "binomial_upper",
    "cgf_exponential",
    "hoeffding_cgf",
    "inverse_rate_exponential",
    "kearns_saul_cgf",
    "kearns_saul_factor",
    "kl_lower",
    "kl_lower_parts",
    "kl_upper",
    "kl_upper_derivatives",
    "kl_upper_parts",
    "kt_constant",
    "linear_lower",
    "log_kt",
    "log_kt_upper",
    "log_maurer_xi",
    "log_maurer_xi_upper",
    "maurer_xi",
    "maurer_xi_upper",
    "pinsker_lower",
    "pinsker_upper",
    "quadratic_upper",
    "rate_exponential",
    "relaxed_lower",
    "relaxed_upper",
]
