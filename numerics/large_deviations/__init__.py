"""Large deviations of a loss: cumulants, rate functions, inverse rates, and what a sample can say about them.

`penalty` (training objectives) needs torch and is imported on its own.
"""

from .bootstrap import PlugIn, plug_in
from .duality import WorstCase, worst_reweighting
from .inverse_rate import InverseRate, inverse_rate
from .laws import ExponentialLaw, FiniteLaw, GaussianLaw
from .levers import distance_inverse_rate, gradient_inverse_rate
from .mixture import mixture_inverse_rate
from .rate import rate
from .smoothness import compare_smoothness
from .tails import GaussianLosses, InputGradient, KnownLaws, ParameterNorm, SecondMoment, SubGamma, SubGaussian
from .tilting import penalty_coefficients, tilted_weights

__all__ = [
    "ExponentialLaw",
    "FiniteLaw",
    "GaussianLaw",
    "GaussianLosses",
    "InputGradient",
    "InverseRate",
    "KnownLaws",
    "ParameterNorm",
    "PlugIn",
    "SecondMoment",
    "SubGamma",
    "SubGaussian",
    "WorstCase",
    "compare_smoothness",
    "distance_inverse_rate",
    "gradient_inverse_rate",
    "inverse_rate",
    "mixture_inverse_rate",
    "penalty_coefficients",
    "plug_in",
    "rate",
    "tilted_weights",
    "worst_reweighting",
]
