"""How predictive uncertainty scales with the number of examples, in teaching order."""

from . import gaussian_design

SCALING_LAWS = (gaussian_design.RESULT,)
