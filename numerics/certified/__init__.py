"""Certified scalars: float64, vectorised, rounded outward where a bound consumes them."""

from .binary_kl import binary_kl
from .exponential_rate import cgf_exponential, inverse_rate_exponential, rate_exponential
from .kl_derivatives import KlUpperDerivatives, kl_upper_derivatives
from .kl_inverse import KlInverseParts, kl_lower, kl_lower_parts, kl_upper, kl_upper_parts
from .maurer import log_maurer_xi, log_maurer_xi_upper, maurer_xi, maurer_xi_upper

__all__ = [
    "KlInverseParts",
    "KlUpperDerivatives",
    "binary_kl",
    "cgf_exponential",
    "inverse_rate_exponential",
    "kl_lower",
    "kl_lower_parts",
    "kl_upper",
    "kl_upper_derivatives",
    "kl_upper_parts",
    "log_maurer_xi",
    "log_maurer_xi_upper",
    "maurer_xi",
    "maurer_xi_upper",
    "rate_exponential",
]
