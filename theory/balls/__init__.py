"""Ground truth for the certified scalars: rigorous enclosures by ball arithmetic (python-flint), to any number of digits."""

from .exponential import cgf_exponential_ball, inverse_rate_exponential_ball, rate_exponential_ball
from .kl import KlInverseBall, binary_kl_ball, kl_lower_ball, kl_upper_ball
from .maurer import maurer_xi_ball, xi_exact

__all__ = [
    "KlInverseBall",
    "binary_kl_ball",
    "cgf_exponential_ball",
    "inverse_rate_exponential_ball",
    "kl_lower_ball",
    "kl_upper_ball",
    "maurer_xi_ball",
    "rate_exponential_ball",
    "xi_exact",
]
