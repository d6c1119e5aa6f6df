"""Results about how predictive uncertainty scales with the number of examples."""

from __future__ import annotations

from . import gaussian_design

SCALING_LAWS = (gaussian_design.RESULT,)
